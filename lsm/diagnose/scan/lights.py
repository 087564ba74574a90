"""Under which patterns a field is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from lsm.stats import ScoreCalibration, half_width

MaskBins = Int[np.ndarray, "mask bin"]

BRIGHT = 0
"""The pattern that every field is looked at first: its quality is judged on it."""

RAREST = 1e-3
"""Prevalence for which the agent plans where less was found: rarer cells change nothing in the order of patterns."""


@runtime_checkable
class FieldLight(Protocol):
    """Chooses what a field is looked at with, after bright field."""

    @property
    def name(self) -> str: ...

    def further(self, red_cells: int, fields: int, counts: MaskBins, prevalence: float) -> tuple[int, ...]:
        """Patterns to capture next.

        red_cells: of this field. fields, counts, prevalence: of the good fields before it.
        """
        ...


@dataclass(frozen=True)
class FixedLight:
    """The same patterns in every field."""

    name: str
    patterns: tuple[int, ...] = ()

    def further(self, red_cells: int, fields: int, counts: MaskBins, prevalence: float) -> tuple[int, ...]:
        return self.patterns


@dataclass(frozen=True, eq=False)
class WorthwhileLight:
    """Further patterns where they pay: the marginal value theorem (Charnov, Theor. Popul. Biol. 9, 129 (1976)).

    The gain of a capture is what it adds to the precision (1 / half_width^2) of the slide's prevalence, slides' own
    variation in false positives included. The next field would bring the best rate that any set of patterns has in a
    field of the mean number of cells, its move paid; a set is taken that brings more than this rate for its time.

    field_s: seconds for move and bright field. pattern_s: per pattern, seconds for its capture.
    """

    calibration: ScoreCalibration
    field_s: float
    pattern_s: tuple[float, ...]
    name: str = "agent"

    def further(self, red_cells: int, fields: int, counts: MaskBins, prevalence: float) -> tuple[int, ...]:
        usual = (counts.sum() + red_cells) / (fields + 1)
        share = max(prevalence, RAREST) if fields else RAREST
        sets = range(1, len(counts), 2)
        times = np.array([sum(self.pattern_s[k] for k in _patterns(mask)) for mask in sets])
        rate = (self._gains(sets, usual, counts, share) / (self.field_s + times)).max()
        worth = self._gains(sets, red_cells, counts, share) - rate * times
        return _patterns(sets[int(worth.argmax())])

    def _gains(self, sets: Sequence[int], cells: float, counts: MaskBins, share: float) -> np.ndarray:
        """Precision added by `cells` more cells under each set of patterns, as bit sets."""
        more = np.repeat(counts[None].astype(np.float64), len(sets) + 1, axis=0)
        for row, mask in enumerate(sets, start=1):
            more[row, mask, 0] += cells
        width = half_width(more, np.full(len(more), share), self.calibration)
        gains: np.ndarray = 1 / width[1:] ** 2 - 1 / width[0] ** 2
        return gains


def _patterns(mask: int) -> tuple[int, ...]:
    """The patterns of a bit set but for bright field."""
    return tuple(k for k in range(1, mask.bit_length()) if mask >> k & 1)
