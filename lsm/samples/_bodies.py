"""White cells, platelets and stain precipitate."""

import numpy as np

from lsm.samples._canvas import Canvas, Patch
from lsm.samples._parasites import spot
from lsm.samples.stain import Stain


def paint_white_cell(canvas: Canvas, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
    """A granulocyte or lymphocyte: pale granular body and a dark nucleus of one to four lobes."""
    grid = canvas.grid(x_um, y_um, radius_um * 1.15)
    r = np.hypot(grid.dx, grid.dy) / np.float32(radius_um)
    body = np.clip(5 * (1 - r), 0, 1)
    dome_um = 1.5 * np.sqrt(np.clip(1 - r**2, 0, None))
    canvas.add(grid.row, grid.column, body * np.float32(0.15), (0.04 * dome_um).astype(np.float32), Stain.EOSIN)
    lobes = int(rng.integers(1, 5))
    start = rng.uniform(0, 2 * np.pi)
    nucleus = np.zeros_like(r)
    for k in range(lobes):
        angle = start + k * 1.5 + rng.normal(0, 0.2)
        distance = 0.0 if lobes == 1 else 0.42 * radius_um
        size = radius_um * (1.5 if lobes == 1 else rng.uniform(0.65, 0.85))
        lobe = spot(grid.dx, grid.dy, distance * np.cos(angle), distance * np.sin(angle), size)
        # a steep function of the Gaussian gives a filled lobe with a soft edge
        nucleus = np.maximum(nucleus, np.clip(4 * (lobe - 0.4), 0, 1))
    canvas.add(grid.row, grid.column, nucleus * np.float32(rng.uniform(0.9, 1.3)), nucleus * 0.06, Stain.CHROMATIN)


def paint_platelet(canvas: Canvas, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
    """A purple, granular, slightly irregular disc of 2-3 um."""
    grid = canvas.grid(x_um, y_um, radius_um * 1.6)
    stretch, angle = rng.uniform(1.0, 1.4), rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = grid.dx * cos + grid.dy * sin, grid.dy * cos - grid.dx * sin
    r2 = ((along / stretch) ** 2 + (across * stretch) ** 2) / np.float32(radius_um**2)
    body = np.clip(2.5 * (1 - r2), 0, 1)
    absorbance: Patch = body * np.float32(rng.uniform(0.12, 0.28))
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.normal(0, radius_um * 0.3, 2)
        absorbance = absorbance + body * spot(grid.dx, grid.dy, x, y, rng.uniform(0.4, 0.8)) * rng.uniform(0.1, 0.35)
    absorbance = absorbance.astype(np.float32)
    canvas.add(grid.row, grid.column, absorbance, absorbance * np.float32(0.08), Stain.CHROMATIN)


def paint_precipitate(canvas: Canvas, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
    """One to four dark grains of dried dye."""
    grid = canvas.grid(x_um, y_um, 2 * radius_um + 1)
    absorbance: Patch = np.zeros(np.broadcast_shapes(grid.dx.shape, grid.dy.shape), dtype=np.float32)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.normal(0, radius_um * 0.4, 2)
        absorbance = absorbance + spot(grid.dx, grid.dy, x, y, rng.uniform(0.5, 1.2) * radius_um) * rng.uniform(
            0.4, 1.2
        )
    absorbance = absorbance.astype(np.float32)
    canvas.add(grid.row, grid.column, absorbance, absorbance * np.float32(0.05), Stain.CHROMATIN)
