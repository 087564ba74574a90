"""When a scan may end: the question asked after every field, and a rule from the limits of the verdict."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from lsm.agent.results import MaskBinCounts
from lsm.diagnose.verdict import Outcome, VerdictRules, fields_to_decide, from_interval
from lsm.stats import PrevalenceEstimate, ScoreCalibration, estimate_prevalence


class Answer(StrEnum):
    """What a rule says after a field."""

    GO_ON = "go on"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Said:
    """The answer, why, and the estimate that it rests on."""

    answer: Answer
    reason: str
    estimate: PrevalenceEstimate


@runtime_checkable
class StoppingRule(Protocol):
    """Asked after every field that counts; the same counts give the same answer."""

    def after(self, counts: MaskBinCounts, fields: int) -> Said:
        """counts: unique red cells per set of patterns and score bin. fields: that count."""
        ...

    def more_fields(self, counts: MaskBinCounts, fields: int) -> int | None:
        """Fields like those so far that should bring a decision; None where none would."""
        ...


@dataclass(frozen=True, eq=False)
class IntervalRule:
    """Ends when the interval of the prevalence lies on one side, as a verdict asks.

    The interval holds at one look: a scan that ends at the first of many looks that satisfies it errs more often than
    the interval says. A rule whose error rates hold at any number of looks takes its place where they matter.
    """

    rules: VerdictRules
    calibration: ScoreCalibration

    def after(self, counts: MaskBinCounts, fields: int) -> Said:
        estimate = estimate_prevalence(counts, self.calibration)
        outcome, reason = from_interval(estimate, self.rules)
        answers = {Outcome.POSITIVE: Answer.POSITIVE, Outcome.NEGATIVE: Answer.NEGATIVE}
        return Said(answers.get(outcome, Answer.GO_ON), reason, estimate)

    def more_fields(self, counts: MaskBinCounts, fields: int) -> int | None:
        return fields_to_decide(counts, fields, self.rules, self.calibration)
