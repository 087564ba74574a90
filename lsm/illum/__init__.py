"""Where the LEDs are, which of them shine, and what a given board can really show."""

from lsm.illum.board import LedBoard
from lsm.illum.compile import CompiledLight, LitFrame, compile_light, split_signed
from lsm.illum.drive import LEVELS, Drive
from lsm.illum.lightfile import LightCapture, LightFile
from lsm.illum.pattern import (
    Pattern,
    annulus,
    bright_field,
    dark,
    dark_field,
    half_disc,
    single_led,
)
from lsm.illum.rays import Glass, arriving_rays, arriving_sine

__all__ = [
    "LEVELS",
    "CompiledLight",
    "Drive",
    "Glass",
    "LedBoard",
    "LightCapture",
    "LightFile",
    "LitFrame",
    "Pattern",
    "annulus",
    "arriving_rays",
    "arriving_sine",
    "bright_field",
    "compile_light",
    "dark",
    "dark_field",
    "half_disc",
    "single_led",
    "split_signed",
]
