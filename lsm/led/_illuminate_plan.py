"""What to say to an illuminate board: colours it can draw and commands it cannot misread."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8

from lsm.types import DutyLevels

PACKET_BYTES: Final = 64
FULL: Final = 255

Colour = tuple[int, ...]


class Group(NamedTuple):
    """LEDs that share a colour: 8-bit drive per channel, and their numbers in rising order."""

    colour: Colour
    leds: tuple[int, ...]


def quantise(levels: DutyLevels, *, colours_max: int) -> DutyLevels:
    """Levels with at most `colours_max` different colours among the lit LEDs, on the finest grid that allows it.

    Each channel is rounded to the nearest of k + 1 values spread evenly over 0..255, so no level moves by
    more than half the distance between two of them, and what was off stays off. Levels that have few enough
    colours already are returned as they are (k = 255). colours_max: at least 2**channels - 1, what k = 1 needs.
    """
    steps = FULL
    rounded = levels
    while count_colours(rounded) > colours_max and steps > 1:
        steps -= 1
        rounded = _grid_of(steps)[levels]
    return rounded


def count_colours(levels: DutyLevels) -> int:
    """Number of different colours among the LEDs that are not off."""
    weights = 256 ** np.arange(levels.shape[1])
    packed = levels.astype(np.int64) @ weights
    return len(np.unique(packed[packed > 0]))


def groups_of(levels: DutyLevels) -> list[Group]:
    """The lit LEDs by colour, dimmest first, so that as little light as possible is on while more is added."""
    members: dict[Colour, list[int]] = {}
    for led in np.flatnonzero(levels.any(axis=1)):
        members.setdefault(tuple(int(level) for level in levels[led]), []).append(int(led))
    return [
        Group(colour, tuple(members[colour])) for colour in sorted(members, key=lambda colour: (sum(colour), colour))
    ]


def led_commands(leds: Iterable[int]) -> list[str]:
    """`l` commands for all LEDs, each of which fits one USB packet with its newline."""
    commands: list[str] = []
    current = "l"
    for led in leds:
        argument = f".{led}"
        if len(current) + len(argument) + 1 > PACKET_BYTES:
            commands.append(current)
            current = "l"
        current += argument
    return [*commands, current] if current != "l" else commands


def packet_command(name: str, numbers: Sequence[int]) -> str:
    """A command whose USB packets all end after a number, where a v2 board reads a pause as nothing.

    Filled up with extra points, which such a board skips.
    """
    packets: list[str] = []
    current = name
    for number in numbers:
        argument = f".{number}"
        if len(current) + len(argument) > PACKET_BYTES:
            packets.append(current.replace(".", "." * (1 + PACKET_BYTES - len(current)), 1))
            current = ""
        current += argument
    return "".join([*packets, current])


def _grid_of(steps: int) -> UInt8[np.ndarray, "256"]:
    """The nearest of `steps` + 1 evenly spread values for each of the 256 levels."""
    grid = np.round(np.arange(steps + 1) * FULL / steps)
    middles = (grid[1:] + grid[:-1]) / 2
    return grid[np.searchsorted(middles, np.arange(FULL + 1))].astype(np.uint8)
