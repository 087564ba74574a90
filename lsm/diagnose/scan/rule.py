"""When a scan may end, and what its counts say: the question asked after every field, and a sequential test."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from lsm.agent.results import MaskBinCounts
from lsm.diagnose.verdict import Interval, VerdictRules
from lsm.stats import (
    Answered,
    Decision,
    DensityEstimate,
    PrevalenceEstimate,
    ReaderErrors,
    ScoreCalibration,
    SequentialRule,
    anytime_density,
    count_suspicious,
    forecast_cells,
    limit_of_detection,
    reviewed_density,
    thin_film_density,
)

FIELDS_OF_A_FILM = 20_000
"""That a film of 20 x 50 mm holds at 0.2 mm each: more cannot be scanned."""
NOTHING = PrevalenceEstimate(0.0, 0.0, 1.0, 0)


class Answer(StrEnum):
    """What a rule says after a field."""

    GO_ON = "go on"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Said:
    """The answer, why, and the estimate that it rests on with the kind of its interval.

    suspicious: cells that count as such.
    """

    answer: Answer
    reason: str
    estimate: PrevalenceEstimate
    interval: Interval = Interval.ANY_TIME
    suspicious: int = 0


@dataclass(frozen=True)
class Terms:
    """What a decision rests on besides the counts.

    first_bin: the score bin from which on a cell is suspicious. errors: of the reader, under the lights that the cells
    were seen with. least_per_ul: the lowest target that a slide without parasites would be told from in any number of
    cells; infinite where there is none.
    """

    target_per_ul: float
    alpha: float
    beta: float
    first_bin: int
    errors: ReaderErrors

    @property
    def least_per_ul(self) -> float:
        return limit_of_detection(math.inf, self.errors, alpha=self.alpha, beta=self.beta).per_ul


@runtime_checkable
class StoppingRule(Protocol):
    """Asked after every field that counts; the same counts give the same answer.

    counts: unique red cells per set of patterns and score bin. fields: that count.
    """

    def after(self, counts: MaskBinCounts, fields: int) -> Said:
        """With an interval that holds whenever the scan ends."""
        ...

    def at_the_end(self, counts: MaskBinCounts, fields: int) -> Said:
        """With an interval that holds where the number of fields was fixed beforehand."""
        ...

    def reviewed(self, counts: MaskBinCounts, fields: int, answered: Answered) -> Said:
        """Where an operator has looked at some of the cells."""
        ...

    def more_fields(self, counts: MaskBinCounts, fields: int) -> int | None:
        """Fields like those so far that should bring a decision; None where none would."""
        ...

    def terms(self, counts: MaskBinCounts) -> Terms:
        """What it asks for, and with what errors."""
        ...


@dataclass(frozen=True, eq=False)
class SuspicionRule:
    """A sequential test on the number of suspicious cells, between no parasites and the density of the rules.

    Its error rates, and its interval, hold however often it is asked and whyever the scan ends, as far as the errors
    do; see lsm.stats.sequential and lsm.stats.anytime. These come from the calibration slides, with what so few slides
    leave open (lsm.stats.thresholds); how well intervals then cover is in experiments/interval_coverage.
    Where cells are seen under several sets of patterns it takes their mean errors, and the rates hold as nearly as
    these sets find infected cells at the same ratio to others.

    first_bin: of the scores that are suspicious. target_per_ul: parasites per microlitre; a negative slide has fewer.
    Both are to be fixed before the slide is looked at; `lsm.diagnose.scan.kit.suspicion_rule` does.
    """

    rules: VerdictRules
    calibration: ScoreCalibration
    first_bin: int
    target_per_ul: float

    def after(self, counts: MaskBinCounts, fields: int) -> Said:
        if not counts.sum():
            return _nothing()
        suspicious, cells, errors = self._counted(counts)
        found = anytime_density(suspicious, cells, errors, red_cells_per_ul=self.rules.red_cells_per_ul)
        return self._said(self._test(errors).decide(suspicious, cells), found, Interval.ANY_TIME)

    def at_the_end(self, counts: MaskBinCounts, fields: int) -> Said:
        if not counts.sum():
            return _nothing()
        suspicious, cells, errors = self._counted(counts)
        found = thin_film_density(suspicious, cells, errors, red_cells_per_ul=self.rules.red_cells_per_ul)
        return self._said(self._test(errors).decide(suspicious, cells), found, Interval.FIXED)

    def reviewed(self, counts: MaskBinCounts, fields: int, answered: Answered) -> Said:
        if not counts.sum():
            return _nothing()
        suspicious, cells, errors = self._counted(counts)
        found = reviewed_density(suspicious, cells, errors, answered, red_cells_per_ul=self.rules.red_cells_per_ul)
        return self._said(self._test(errors).decide(suspicious, cells, answered), found, Interval.ANY_TIME)

    def more_fields(self, counts: MaskBinCounts, fields: int) -> int | None:
        suspicious, cells, errors = self._counted(counts)
        if not cells or not fields:
            return None
        most = round(cells / fields * FIELDS_OF_A_FILM)
        found = forecast_cells(self._test(errors), suspicious, cells, cells_max=most)
        if found.more_cells is None:
            return None
        more = max(found.more_cells, self.rules.cells_min - cells)
        return max(1, math.ceil(more / (cells / fields)))

    def terms(self, counts: MaskBinCounts) -> Terms:
        rules = self.rules
        return Terms(self.target_per_ul, rules.alpha, rules.beta, self.first_bin, self._counted(counts)[2])

    def _counted(self, counts: MaskBinCounts) -> tuple[int, int, ReaderErrors]:
        found = count_suspicious(counts, self.calibration, self.first_bin)
        return found.suspicious, found.cells, found.errors

    def _test(self, errors: ReaderErrors) -> SequentialRule:
        rules = self.rules
        return SequentialRule(errors, self.target_per_ul, rules.alpha, rules.beta, rules.red_cells_per_ul)

    def _said(self, decision: Decision, found: DensityEstimate, interval: Interval) -> Said:
        rules = self.rules
        per_ul = (found.per_ul, found.low, found.high)
        prevalence, low, high = (min(value / rules.red_cells_per_ul, 1.0) for value in per_ul)
        estimate = PrevalenceEstimate(prevalence, low, high, found.among, found.confidence)
        told = f"{found.suspicious:,} of {found.among:,} red cells are suspicious"
        target = f"{self.target_per_ul:,.0f} parasites per microlitre"
        if found.among < rules.cells_min:
            answer, reason = Answer.GO_ON, f"{told}; {rules.cells_min} are needed for a verdict."
        elif decision is Decision.POSITIVE:
            answer = Answer.POSITIVE
            reason = (
                f"{told}: more than without parasites, where at most {_percent(rules.alpha)} of slides are called so "
                "if they differ as those of the calibration do."
            )
        elif decision is Decision.NEGATIVE:
            answer = Answer.NEGATIVE
            reason = (
                f"Fewer than {target}, rarer ones are not excluded: {told}; at most {_percent(rules.beta)} of slides "
                "with that many are called so if they differ as those of the calibration do."
            )
        else:
            answer, reason = Answer.GO_ON, f"{told}: that fits no parasites as well as {target}."
        return Said(answer, reason, estimate, interval, found.suspicious)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _nothing() -> Said:
    return Said(Answer.GO_ON, "No red cells were counted.", NOTHING)
