"""What readers answered and what is true, side by side, and which answers are right by the WHO's rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from lsm.diagnose import Outcome
from lsm.experiments.panel.slides import PanelSlide
from lsm.stats import RED_CELLS_PER_UL
from lsm.stats.agreement import WITHIN

Yes = Bool[np.ndarray, " slide"]
Values = Float[np.ndarray, " slide"]
Readings = Sequence[Mapping[str, Any]]

PERFECT = "every cell seen rightly"
"""The reader who errs in nothing, but sees no more than the scanned region."""

AMOUNTS = ("cells", "fields", "captures", "time_s", "light_dose")


@dataclass(frozen=True, eq=False)
class Reference:
    """Of every slide: parasites per microlitre of its blood, whether it is marked for detection, and its group."""

    per_ul: Values
    detection: Yes
    group: tuple[str, ...]

    @classmethod
    def of(cls, slides: Sequence[PanelSlide]) -> "Reference":
        return cls(
            np.array([slide.per_ul for slide in slides]),
            np.array([slide.part == "detection" for slide in slides]),
            tuple(slide.group for slide in slides),
        )

    @property
    def infected(self) -> Yes:
        return self.per_ul > 0

    @property
    def strata(self) -> tuple[str, ...] | None:
        """The groups, whose sizes the panel fixes; None where one slide alone would stand for a group."""
        alone = any(self.group.count(name) < 2 for name in set(self.group))
        return None if alone else self.group


@dataclass(frozen=True, eq=False)
class Answers:
    """Of every slide: called positive, called negative (neither where there is no verdict), the density read, nan where
    none, and what it took: one array per name of AMOUNTS.
    """

    positive: Yes
    negative: Yes
    per_ul: Values
    amounts: Mapping[str, Values]

    @classmethod
    def of(cls, readings: Readings) -> "Answers":
        outcomes = np.array([reading["outcome"] for reading in readings])
        return cls(
            outcomes == Outcome.POSITIVE.value,
            outcomes == Outcome.NEGATIVE.value,
            np.array([np.nan if reading["per_ul"] is None else reading["per_ul"][0] for reading in readings]),
            {name: np.array([float(reading[name]) for reading in readings]) for name in AMOUNTS},
        )

    @classmethod
    def of_truth(cls, counted: Readings) -> "Answers":
        """Of someone who sees every red cell of the region, each for what it is."""
        infected = np.array([float(row["infected"]) for row in counted])
        cells = np.array([float(row["cells"]) for row in counted])
        per_ul = RED_CELLS_PER_UL * infected / np.maximum(cells, 1)
        return cls(infected > 0, infected == 0, per_ul, {"cells": cells})

    def right_detections(self, reference: Reference, *, forced: bool = False) -> Values:
        """1 where the call is right, 0 where it is wrong, nan where the slide is not marked for it.

        No verdict is wrong. forced: it is taken as negative, as of someone who must answer and has not seen enough.
        """
        cleared = ~self.positive if forced else self.negative
        right = np.where(reference.infected, self.positive, cleared).astype(np.float64)
        return np.where(reference.detection, right, np.nan)

    def right_counts(self, reference: Reference) -> Values:
        """1 where the density is within 25 % of the reference, 0 where not or there is none, nan elsewhere."""
        near = np.abs(self.per_ul - reference.per_ul) <= WITHIN * reference.per_ul
        return np.where(reference.detection, np.nan, near.astype(np.float64))
