"""Sequences stored on the board: what is asked for and what the board reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lsm.errors import WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.led._constants import PULSE_CEILING_US, SCALE_ONE, SEQUENCE_CEILING_MS
from lsm.led._upload import pack
from lsm.types import DutyLevels

PLAN_HINT = "rounds are counted, period and settling time are microseconds, the longest time is seconds"


class Edge(StrEnum):
    """Which edges of a trigger input step a sequence."""

    NONE = "none"
    RISING = "rising"
    FALLING = "falling"
    BOTH = "both"


class When(StrEnum):
    """When a trigger output gives a pulse: at each pattern that has settled, at the first, or after the last."""

    NEVER = "never"
    PATTERN = "pattern"
    START = "start"
    END = "end"


@dataclass(frozen=True)
class SequencePlan:
    """How a stored sequence runs.

    at_first_step: the first edge shows pattern 0; otherwise it is on as soon as the sequence is armed.
    rounds: how often all patterns are shown; 0 goes on until it is stopped or `longest_s` is over.
    period_us: a step every so often by the board's clock; 0 takes steps from trigger edges and from step().
    Keep it longer than settle_us and the time that the board takes to show a pattern.
    settle_us: from latched LEDs to the trigger outputs' pulse; edges before its end are missed.
    longest_s: after this time all LEDs are dark, whatever the triggers do; until then no host is needed.
    Raises WrongFormat for values that the protocol cannot carry.
    """

    at_first_step: bool = True
    rounds: int = 1
    period_us: int = 0
    settle_us: int = 0
    longest_s: float = 60.0

    def __post_init__(self) -> None:
        limits = {
            "rounds": (self.rounds, 0, 65535),
            "period_us": (self.period_us, 0, 2**32 - 1),
            "settle_us": (self.settle_us, 0, PULSE_CEILING_US),
            "longest_s": (self.longest_s, 0.001, SEQUENCE_CEILING_MS / 1000),
        }
        for name, (value, least, most) in limits.items():
            if not least <= value <= most:
                raise WrongFormat(f"A sequence's {name} of {value} is outside {least} to {most}.", hint=PLAN_HINT)
        if 0 < self.period_us <= self.settle_us:
            raise WrongFormat(
                f"A sequence that steps every {self.period_us} us cannot settle for {self.settle_us} us.",
                hint="make the period longer than the settling time",
            )


@dataclass(frozen=True)
class PackedSequence:
    """Patterns as the board stores them: `bits` per LED, in `colour` where bits is 1 or 8."""

    bits: int
    colour: bytes
    data: bytes
    levels: tuple[DutyLevels, ...]

    @property
    def count(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class Armed:
    """A sequence that waits for its first step, or already shows its first pattern.

    levels: of each pattern [led, colour] as the board emits them, scaled where `limited`.
    limited: the current limit scaled all patterns by scale_q16 / 65536.
    latch: the board's count of LED frames when it was armed; the n-th pattern shown is frame latch + n.
    """

    levels: tuple[DutyLevels, ...]
    limited: bool
    scale_q16: int
    latch: int


def pack_sequence(board: LedBoard, patterns: Sequence[Pattern]) -> PackedSequence:
    """The patterns in the fewest bits that hold them all. Raises WrongFormat for none, or for another board's."""
    if not patterns or any(pattern.board != board.digest for pattern in patterns):
        raise WrongFormat(
            f"A sequence for board '{board.name}' needs at least one pattern, all made for that board.",
            hint="build them with Pattern.of(board, duty)",
        )
    levels = tuple(pattern.levels for pattern in patterns)
    bits, colour, _ = pack(np.concatenate(levels))
    if bits == 1:
        size = -(-board.n_leds // 8)
        parts = [np.packbits(each.any(axis=1), bitorder="little").tobytes() for each in levels]
        return PackedSequence(1, colour, b"".join(part.ljust(size, b"\0") for part in parts), levels)
    if bits == 8:
        used = colour.index(255)
        return PackedSequence(8, colour, b"".join(each[:, used].tobytes() for each in levels), levels)
    return PackedSequence(24, colour, b"".join(each.tobytes() for each in levels), levels)


def scaled(levels: DutyLevels, scale_q16: int) -> DutyLevels:
    """Levels as the board emits them at this scale: each rounded down."""
    result: DutyLevels = (levels.astype(np.uint64) * scale_q16 // SCALE_ONE).astype(np.uint8)
    return result
