"""What posteriors on a grid have in common."""

import numpy as np
from jaxtyping import Float

Grid = Float[np.ndarray, " grid"]


def shortest_interval(grid: Grid, density: Grid, confidence: float) -> tuple[float, float]:
    """Ends of the shortest interval that holds `confidence` of a density given on a rising grid."""
    steps = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    reached = np.interp(steps + confidence * steps[-1], steps, grid)
    possible = steps <= steps[-1] * (1 - confidence)
    length = np.where(possible, reached - grid, np.inf)
    best = int(np.argmin(length))
    return float(grid[best]), float(reached[best])


def window(density: Grid, *, below: float = 1e-5) -> tuple[int, int]:
    """Indices of the grid points around all that is above this share of the highest density."""
    held = np.flatnonzero(density > density.max() * below)
    return max(int(held[0]) - 1, 0), min(int(held[-1]) + 1, len(density) - 1)
