"""The fixed lights that a learned one has to beat."""

import numpy as np
from jaxtyping import UInt8

from lsm.illum import LEVELS, LedBoard, Pattern, annulus, bright_field, half_disc, single_led

LEARNED = "learned"
RING = 2.0
"""Outer rim of the dark-field ring, in units of the objective's NA."""


def fixed_light(name: str, board: LedBoard, na: float, seed: int) -> UInt8[np.ndarray, " led"]:
    """8-bit drive of each LED [led] of a board of one colour; seed: of the random light."""
    if name == "random":
        return np.random.default_rng(seed).integers(0, LEVELS + 1, board.n_leds).astype(np.uint8)
    if name == "all":
        return np.full(board.n_leds, LEVELS, dtype=np.uint8)
    patterns: dict[str, Pattern] = {
        "centre": single_led(board, int(board.na.argmin()), colour=0),
        "bright field": bright_field(board, na=na, colour=0),
        "dark field": annulus(board, na_min=np.nextafter(na, 1), na_max=RING * na, colour=0),
        "half": half_disc(board, na=na, angle_rad=0.0, colour=0),
    }
    levels: UInt8[np.ndarray, " led"] = patterns[name].levels[:, 0]
    return levels
