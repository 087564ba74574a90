"""Captures that are all known before the first one is taken: what other acquisition programs can run too."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from lsm.devices import Observe
from lsm.errors import LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.safety import Limits
from lsm.safety.limits import requested_dose_led_ms
from lsm.types import DutyLevels

FULL = 255


@dataclass(frozen=True)
class CapturePlan:
    """Captures in the order in which they are taken, on one board.

    Patterns hold the 8-bit levels that a board shows. None as a place leaves the axis where it is.
    """

    board: LedBoard
    captures: tuple[Observe, ...]

    @classmethod
    def of(cls, board: LedBoard, captures: Iterable[Observe]) -> "CapturePlan":
        """The plan of these captures. Raises WrongFormat for none, or a pattern of another board."""
        rounded = tuple(replace(capture, pattern=_rounded(board, capture.pattern)) for capture in captures)
        if not rounded:
            raise WrongFormat("The plan has no capture.", hint="give at least one place and one pattern")
        return cls(board, rounded)

    def __len__(self) -> int:
        return len(self.captures)

    @property
    def places(self) -> int:
        """How often stage or focus are sent elsewhere, the first place counted."""
        return sum(1 for _ in groupby((capture.xy_um, capture.z_um) for capture in self.captures))

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """Each pattern once, in the order of first use."""
        return tuple(dict.fromkeys(capture.pattern for capture in self.captures))

    @property
    def exposure_s(self) -> float:
        """Seconds of light."""
        return sum(capture.exposure_ms for capture in self.captures) / 1000

    @property
    def light_dose_led_ms(self) -> float:
        """As Frame.light_dose, of all captures."""
        return sum(requested_dose_led_ms(capture) for capture in self.captures)

    def refuse_beyond(self, limits: Limits) -> None:
        """Raise LimitExceeded, naming the capture, where one asks for more than the rig may do.

        What depends on time, or on where stage and focus are, is checked when the plan is run.
        """
        spent_led_ms = 0.0
        for number, capture in enumerate(self.captures, start=1):
            try:
                limits.check(capture, spent_led_ms=spent_led_ms)
            except LimitExceeded as error:
                raise LimitExceeded(f"Capture {number} of {len(self)}: {error.message}", hint=error.hint) from error
            spent_led_ms += requested_dose_led_ms(capture)


def pattern_of_levels(board: LedBoard, levels: DutyLevels, *, name: str = "") -> Pattern:
    """The pattern that a board shows at these levels [led, colour]."""
    return Pattern.of(board, (levels / FULL).astype(np.float32), name=name)


def _rounded(board: LedBoard, pattern: Pattern) -> Pattern:
    if pattern.board != board.digest:
        raise WrongFormat(
            f"Pattern '{pattern.name}' was made for another board than '{board.name}'.",
            hint="build it with Pattern.of(board, duty) from the rig's own board",
        )
    return pattern_of_levels(board, pattern.levels, name=pattern.name)
