"""Where the LEDs are, which of them shine, and what a given board can really show."""

from lsm.illum.board import LedBoard
from lsm.illum.compile import CompiledPattern, DriveLimits, compile_pattern, split_signed
from lsm.illum.pattern import (
    Pattern,
    annulus,
    bright_field,
    dark,
    dark_field,
    half_disc,
    single_led,
)

__all__ = [
    "CompiledPattern",
    "DriveLimits",
    "LedBoard",
    "Pattern",
    "annulus",
    "bright_field",
    "compile_pattern",
    "dark",
    "dark_field",
    "half_disc",
    "single_led",
    "split_signed",
]
