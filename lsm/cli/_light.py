"""Lights as they are named on the command line."""

from enum import StrEnum

import numpy as np

from lsm.errors import InputError
from lsm.illum import LedBoard, Pattern, annulus, bright_field, dark, dark_field, half_disc, single_led

COLOURS = {"red": (0,), "green": (1,), "blue": (2,), "white": (0, 1, 2)}
FULL = 255


class Light(StrEnum):
    """What can be lit."""

    BRIGHT_FIELD = "bright-field"
    DARK_FIELD = "dark-field"
    ANNULUS = "annulus"
    DPC_LEFT = "dpc-left"
    DPC_RIGHT = "dpc-right"
    DPC_TOP = "dpc-top"
    DPC_BOTTOM = "dpc-bottom"
    LED = "led"
    DARK = "dark"


TURNS = {Light.DPC_RIGHT: 0, Light.DPC_TOP: 90, Light.DPC_LEFT: 180, Light.DPC_BOTTOM: 270}
"""Degrees from +x of the half that shines."""


def named_pattern(
    board: LedBoard, light: Light, *, na: float, na_min: float, led: int, colour: str, level: int = FULL
) -> Pattern:
    """The light in the colour asked for ("" is green, or the board's only one). Raises InputError."""
    return tinted(board, _shape(board, light, na, na_min, led), colour, level)


def tinted(board: LedBoard, pattern: Pattern, colour: str, level: int = FULL) -> Pattern:
    """The pattern's strongest channel in the colour asked for, at this drive of 255. Raises InputError."""
    duty = np.zeros_like(pattern.duty)
    duty[:, channels(board, colour)] = pattern.duty.max(axis=1, keepdims=True) * level / FULL
    return Pattern.of(board, duty, name=pattern.name)


def channels(board: LedBoard, colour: str) -> tuple[int, ...]:
    """The board's colour channels of that name. Raises InputError."""
    if colour and colour not in COLOURS:
        raise InputError(f"There is no colour '{colour}'.", hint=f"choose {', '.join(COLOURS)}")
    if board.n_colours == 1:
        if colour:
            raise InputError(f"--colour {colour}: the board has one colour only.", hint="leave --colour out")
        return (0,)
    return COLOURS[colour or "green"]


def _shape(board: LedBoard, light: Light, na: float, na_min: float, led: int) -> Pattern:
    if light in TURNS:
        return half_disc(board, na=na, angle_rad=np.radians(TURNS[light]), colour=0)
    if light is Light.DARK:
        return dark(board)
    if light is Light.LED:
        return single_led(board, led, colour=0)
    if light is Light.ANNULUS:
        return annulus(board, na_min=na_min, na_max=na, colour=0)
    return (bright_field if light is Light.BRIGHT_FIELD else dark_field)(board, na=na, colour=0)
