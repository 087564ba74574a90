"""Lights as a page or a program asks for them."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le, MaxLen

from lsm.config import Config
from lsm.errors import InputError
from lsm.illum import LedBoard, Pattern, annulus, bright_field, dark, dark_field, half_disc, single_led
from lsm.types import DutyLevels

Share = Annotated[float, Ge(0), Le(1)]
Preset = Literal["dark", "bright field", "dark field", "annulus", "dpc left", "dpc right", "dpc top", "dpc bottom"]
TURNS_DEG = {"dpc right": 0, "dpc top": 90, "dpc left": 180, "dpc bottom": 270}
COLOURS = {"red": (0,), "green": (1,), "blue": (2,), "white": (0, 1, 2)}
MOST_LEDS = 65_536


class LightRequest(Config):
    """One of `preset`, `leds` and `designed`, in a colour and with a brightness.

    leds: indices in board order. designed: index into the patterns of the model; those bring their own colour.
    na, na_min: edges of a preset, as numerical apertures; na None is that of the objective.
    """

    preset: Preset | None = None
    leds: Annotated[tuple[Annotated[int, Ge(0), Le(MOST_LEDS)], ...], MaxLen(MOST_LEDS)] | None = None
    designed: Annotated[int, Ge(0), Le(1000)] | None = None
    colour: Literal["red", "green", "blue", "white"] = "green"
    brightness: Share = 1.0
    na: Annotated[float, Ge(0), Le(2)] | None = None
    na_min: Annotated[float, Ge(0), Le(2)] = 0.0


def pattern_of(request: LightRequest, board: LedBoard, na: float, designed: tuple[Pattern, ...]) -> Pattern:
    """The light asked for. na: of the objective. Raises InputError for none, several or LEDs that are not there."""
    given = [request.preset, request.leds, request.designed]
    if sum(value is not None for value in given) != 1:
        raise InputError("A light is one of 'preset', 'leds' and 'designed'.", hint="give exactly one of them")
    if request.designed is not None:
        if request.designed >= len(designed):
            raise InputError(
                f"There is no designed pattern {request.designed}.", hint=f"the model has {len(designed)}, from 0 on"
            )
        pattern = designed[request.designed]
        return Pattern.of(board, pattern.duty * np.float32(request.brightness), name=pattern.name)
    shape = _leds(request.leds, board) if request.leds is not None else _preset(request, board, na)
    channels = COLOURS[request.colour] if board.n_colours == 3 else (0,)
    duty = np.zeros_like(shape.duty)
    duty[:, channels] = shape.duty.max(axis=1, keepdims=True) * request.brightness
    return Pattern.of(board, duty, name=shape.name)


def lit(levels: DutyLevels) -> tuple[tuple[int, ...], ...]:
    """The LEDs that are lit: index and level per colour."""
    return tuple((int(led), *map(int, levels[led])) for led in np.flatnonzero(levels.any(axis=1)))


def _preset(request: LightRequest, board: LedBoard, na: float) -> Pattern:
    edge = na if request.na is None else request.na
    if request.preset in TURNS_DEG:
        name = request.preset
        half = half_disc(board, na=edge, angle_rad=np.radians(TURNS_DEG[name]), colour=0)
        return Pattern.of(board, half.duty, name=name)
    if request.preset == "dark":
        return dark(board)
    if request.preset == "annulus":
        return annulus(board, na_min=request.na_min, na_max=edge, colour=0)
    return (bright_field if request.preset == "bright field" else dark_field)(board, na=edge, colour=0)


def _leds(leds: tuple[int, ...], board: LedBoard) -> Pattern:
    if leds and max(leds) >= board.n_leds:
        raise InputError(f"There is no LED {max(leds)}.", hint=f"the board has {board.n_leds}, from 0 on")
    if len(leds) == 1:
        return single_led(board, leds[0], colour=0)
    duty = np.zeros(board.n_leds)
    duty[list(leds)] = 1.0
    return Pattern.of_colour(board, duty, colour=0, name=f"{len(leds)} LEDs" if leds else "dark")
