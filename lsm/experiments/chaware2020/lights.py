"""The book of lights: standard ones by their shape on the board, and some that were learned."""

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int

from lsm.experiments.chaware2020.config import StudyConfig
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.training import CellModel, train_cells

RING = 2.2
"""Outer rim of the ring, in units of the objective's aperture."""
EDGE = 1e-9


def standard_lights(lamps: Lamps) -> dict[str, Float32[np.ndarray, " lamp"]]:
    """Duties of bright field, dark field, half-moons and annuli; shapes that light no lamp are left out."""
    na, objective = lamps.na, lamps.na_objective
    x, y = lamps.board.directions[lamps.led, :2].T
    bright, outer = na <= objective, na > (objective + na.max()) / 2
    shapes: dict[str, Bool[np.ndarray, " lamp"]] = {
        "centre": na <= na.min() + EDGE,
        "bright field": bright,
        "half-moon": bright & (x > EDGE),
        "annulus": ~bright & (na <= RING * objective),
        "dark field": ~bright,
        "outer dark field": outer,
        "dark, from +x": outer & (x > EDGE),
        "dark, from -x": outer & (x < -EDGE),
        "dark, from +y": outer & (y > EDGE),
        "dark, from -y": outer & (y < -EDGE),
    }
    return {name: lit.astype(np.float32) for name, lit in shapes.items() if lit.any()}


def learned_lights(
    stack: CellStack, rows: Int[np.ndarray, " row"], lamps: Lamps, config: StudyConfig, seed: int
) -> dict[str, Float32[np.ndarray, " lamp"]]:
    """Lights that were learned together, with a network that is thrown away, on these rows alone."""
    if config.learned == 0:
        return {}
    generator = torch.Generator().manual_seed(seed)
    light = CellLightConfig(captures=config.learned, colours=lamps.colours)
    share = config.learned / config.captures
    budget = config.budget.model_copy(update={"electrons": config.budget.electrons * share})
    model = CellModel(lamps, stack.shape[-1], light, generator, camera=config.camera, budget=budget)
    training = config.light.model_copy(update={"turned": config.turned})
    train_cells(model, stack, rows, training, generator)
    with torch.no_grad():
        weights = model.light().numpy()
    return {f"learned {number + 1}": row.astype(np.float32) for number, row in enumerate(weights)}
