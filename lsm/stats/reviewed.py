"""Prevalence on a slide of which an operator has looked at some cells, chosen by their scores."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from lsm.errors import InputError, WrongFormat
from lsm.stats.calibration import DrawnFractions, Fractions, MaskBins, ScoreCalibration
from lsm.stats.estimate import PrevalenceEstimate
from lsm.stats.prevalence import estimate_prevalence

Answered = Int[np.ndarray, "mask bin"]

NEVER = 1e-9
"""Error rate that stands for none: no number of cells on a slide tells them apart."""


@dataclass(frozen=True)
class OperatorAccuracy:
    """How often an operator who answers is right: on infected cells, and on others. Raises InputError."""

    sensitivity: float = 1.0
    specificity: float = 1.0

    def __post_init__(self) -> None:
        if not (0.5 < self.sensitivity <= 1 and 0.5 < self.specificity <= 1):
            raise InputError(
                f"An operator with the sensitivity {self.sensitivity} and the specificity {self.specificity} "
                "tells nothing.",
                hint="give shares above 0.5, at most 1",
            )


def estimate_reviewed(
    counts: MaskBins,
    infected: Answered,
    not_infected: Answered,
    calibration: ScoreCalibration,
    *,
    operator: OperatorAccuracy = OperatorAccuracy(),
    confidence: float = 0.95,
) -> PrevalenceEstimate:
    """Prevalence with its interval, as `estimate_prevalence`, where some cells were also looked at.

    counts: all cells of the slide [mask, bin]. infected, not_infected: those of them that were called so.
    An answered cell adds the probability of its score bin and of its answer to the likelihood, any other cell that of
    its bin alone. Which cells were answered may depend on their bins in any way, such as the most suspicious first,
    for the bins of all cells stay in the likelihood (missing at random: Rubin, Biometrika 63, 581 (1976)). It may not
    depend on what the cells looked like within a bin; those answered there have to be drawn by lot. Answers do not
    change what is thought of the slide's false positives among cells that nobody looked at.
    Raises WrongFormat where more cells of a bin were answered than there are.
    """
    left = counts - infected - not_infected
    if min(left.min(), infected.min(), not_infected.min()) < 0:
        raise WrongFormat(
            f"{int((infected + not_infected).sum())} answers do not fit a slide of {int(counts.sum())} cells.",
            hint="give the answers to this slide's own queue",
        )
    answered = np.concatenate([left, infected, not_infected], axis=1)
    return estimate_prevalence(answered, _WithOperator.of(calibration, operator), confidence=confidence)


@dataclass(frozen=True, eq=False)
class _WithOperator(ScoreCalibration):
    """Bins three times: of cells not looked at, called infected, called not infected."""

    base: ScoreCalibration
    operator: OperatorAccuracy

    @classmethod
    def of(cls, base: ScoreCalibration, operator: OperatorAccuracy) -> "_WithOperator":
        infected, uninfected = np.tile(base.infected, 3), np.tile(base.uninfected, 3)
        trust = np.tile(base.infected_concentration, 3), np.tile(base.uninfected_concentration, 3)
        return cls(infected, uninfected, *trust, base, operator)

    @cached_property
    def p_infected(self) -> Fractions:
        return self._with_answers(self.base.p_infected, self.operator.sensitivity)

    @cached_property
    def p_uninfected(self) -> Fractions:
        return self._with_answers(self.base.p_uninfected, 1 - self.operator.specificity)

    @cached_property
    def drawn(self) -> tuple[DrawnFractions, DrawnFractions]:
        infected, uninfected = self.base.drawn
        return (
            self._with_answers(infected, self.operator.sensitivity),
            self._with_answers(uninfected, 1 - self.operator.specificity),
        )

    @staticmethod
    def _with_answers(fractions: np.ndarray, called_infected: float) -> np.ndarray:
        share = float(np.clip(called_infected, NEVER, 1 - NEVER))
        return np.concatenate([fractions, share * fractions, (1 - share) * fractions], axis=-1)
