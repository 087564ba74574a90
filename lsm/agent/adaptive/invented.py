"""Invented cells under a 3 x 3 board, for tests and examples; no result rests on them."""

from typing import Final

import numpy as np
from jaxtyping import Float

from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.light import named_lights
from lsm.agent.adaptive.rules import AdaptiveConfig
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.illum import LedBoard
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import Kind, Lamps

SIDE_PX: Final = 16
KINDS: Final[tuple[Kind, ...]] = ("centre", "all LEDs", "dark field", "PC +/-")
NAMES: Final = ("centre", "all LEDs", "dark field", "from the right", "from the left")
OBJECTIVE_NA: Final = 0.07
FLUX_E_PER_MS: Final = 100.0
SPOT: Final = 0.35


def invented_stack(cells: int = 96, *, patients: int = 8, seed: int = 0) -> tuple[CellStack, Lamps]:
    """Discs that darken the bright field and glow in the dark field; infected ones have a spot that glows.

    Two LEDs beside the axis light the bright field from the left and from the right, as the middle one does.
    """
    board = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0, name="invented")
    lamps = Lamps(board, np.arange(9), np.ones(9, dtype=np.int64), OBJECTIVE_NA)
    rng = np.random.default_rng([seed, 0])
    infected = np.arange(cells) % 2 == 0
    images = np.stack([_cell(bool(ill), lamps, rng) for ill in infected])
    stack = CellStack(
        images.astype(np.float16),
        led=lamps.led,
        colour=lamps.colour,
        infected=infected,
        patient=np.array([f"P{number % patients}" for number in np.arange(cells) // 2]),
        crop=np.arange(cells),
        board=board,
        system=None,
        source="invented cells",
    )
    return stack, lamps


def invented_world(
    config: AdaptiveConfig | None = None, *, free: bool = False, cells: int = 96, seed: int = 0
) -> AdaptiveWorld:
    """A world of invented cells with five patterns, or with free weights."""
    stack, lamps = invented_stack(cells, seed=seed)
    duty = None if free else named_lights(lamps, KINDS, seed=seed)
    budget = PhotonBudget(electrons=1500.0, flux_e_per_ms=FLUX_E_PER_MS)
    return build_world(stack, lamps, duty=duty, names=NAMES, config=config, budget=budget, seed=seed)


def _cell(infected: bool, lamps: Lamps, rng: np.random.Generator) -> Float[np.ndarray, "lamp y x"]:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    dy, dx = rng.normal(0, 0.5, 2)
    disc = np.hypot(x - dx, y - dy) < rng.normal(5.5, 0.4)
    sy, sx = rng.uniform(-2, 2, 2)
    spot = np.exp(-((x - dx - sx) ** 2 + (y - dy - sy) ** 2) / 2) * (SPOT * rng.uniform(0.3, 1.2) if infected else 0)
    images = []
    for direction, na in zip(lamps.board.directions[lamps.led], lamps.na, strict=True):
        if na <= lamps.na_objective:
            tilt = 1 + 0.6 * (direction[0] * x + direction[1] * y) / SIDE_PX
            images.append(1 - 0.3 * disc * tilt - 0.4 * spot)
        else:
            images.append(0.002 + 0.02 * disc * rng.uniform(0.8, 1.2) + 0.05 * spot)
    return np.asarray(np.clip(np.stack(images), 0, None))
