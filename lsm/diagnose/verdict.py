"""From an estimate to what is said about the slide, and how much more to scan where nothing can be said yet."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from lsm.agent.results import MaskBinCounts, SlideRun
from lsm.config import Config
from lsm.stats import PrevalenceEstimate, ScoreCalibration, density_per_ul, half_width, prevalence_em

LARGEST_FACTOR = 1000.0


class Outcome(StrEnum):
    """What is said about a slide."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    INDETERMINATE = "indeterminate"
    UNUSABLE = "unusable"


class Interval(StrEnum):
    """What an interval holds against."""

    ONE_LOOK = "at one look"
    FIXED = "for a number of fields that was fixed beforehand"
    ANY_TIME = "whenever and whyever the scan ended"


class VerdictRules(Config):
    """When a slide is called what.

    positive_above: of a search, the prevalence that the interval's low end must exceed. negative_below: the one that
    its high end must stay below; a negative verdict says no more than that.
    target_per_ul: of a scan, parasites per microlitre; a negative slide has fewer. None takes what the model tells from
    none under the light of the scan (lsm.diagnose.scan.kit.told_from_none). alpha: share of slides without parasites
    that are called positive at most. beta: share of slides of the target density, or more, that are called
    negative at most. Both hold however often is asked, over slides that differ as those of the calibration do.
    cells_min: fewer red cells decide nothing. good_fields_min: share of the visited fields that must be free of faults.
    quality_min: below it a field is faulty.
    """

    positive_above: Annotated[float, Ge(0), Le(1)] = 0.001
    negative_below: Annotated[float, Gt(0), Le(1)] = 0.01
    target_per_ul: Annotated[float, Gt(0), Lt(1e6)] | None = None
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.025
    beta: Annotated[float, Gt(0), Lt(1)] = 0.05
    cells_min: Annotated[int, Ge(1)] = 300
    good_fields_min: Annotated[float, Ge(0), Le(1)] = 0.5
    quality_min: Annotated[float, Ge(0), Le(1)] = 0.3
    red_cells_per_ul: Annotated[float, Gt(0)] = 5e6


@dataclass(frozen=True)
class Verdict:
    """What is said, why, and the numbers behind it.

    per_ul, per_ul_low, per_ul_high: infected red cells per microlitre at `red_cells_per_ul`.
    more_fields: fields to scan for a decision; None where none are needed or none would suffice.
    interval: what that of the estimate holds against. interval_open: it still holds what a scan's test has excluded, 0
    of a positive slide, the target of a negative one; the reason then says so.
    """

    outcome: Outcome
    reason: str
    estimate: PrevalenceEstimate
    per_ul: float
    per_ul_low: float
    per_ul_high: float
    red_cells_per_ul: float
    fields: int
    more_fields: int | None = None
    interval: Interval = Interval.ONE_LOOK
    interval_open: bool = False

    @property
    def cells(self) -> int:
        """Red cells counted, each once."""
        return self.estimate.cells

    @property
    def convention(self) -> str:
        """How the density was computed."""
        return f"thin film, {self.red_cells_per_ul / 1e6:g} million red cells per microlitre assumed"


def judge(run: SlideRun, rules: VerdictRules, *, calibration: ScoreCalibration | None = None) -> Verdict:
    """The verdict on a run's slide. With a calibration, an indeterminate one says how many more fields to scan."""
    fault = slide_fault(run, rules)
    outcome, reason = (Outcome.UNUSABLE, fault) if fault else from_interval(run.estimate, rules)
    more = None
    if outcome is Outcome.INDETERMINATE:
        more = None if calibration is None else fields_to_decide(run.counts, len(run.visits), rules, calibration)
        reason = f"{reason} {advice(more, calibrated=calibration is not None)}".strip()
    return pronounced(outcome, reason, run.estimate, rules, fields=len(run.visits), more_fields=more)


def pronounced(
    outcome: Outcome,
    reason: str,
    estimate: PrevalenceEstimate,
    rules: VerdictRules,
    *,
    fields: int,
    more_fields: int | None = None,
    interval: Interval = Interval.ONE_LOOK,
    interval_open: bool = False,
) -> Verdict:
    """The verdict with its densities."""
    low, middle, high = (
        density_per_ul(value, red_cells_per_ul=rules.red_cells_per_ul)
        for value in (estimate.low, estimate.prevalence, estimate.high)
    )
    return Verdict(
        outcome,
        reason,
        estimate,
        middle,
        low,
        high,
        rules.red_cells_per_ul,
        fields,
        more_fields,
        interval,
        interval_open,
    )


def from_interval(estimate: PrevalenceEstimate, rules: VerdictRules) -> tuple[Outcome, str]:
    """What the interval says by the rules, and why; a slide that is unusable is not seen here."""
    if estimate.cells < rules.cells_min:
        return (
            Outcome.INDETERMINATE,
            f"{estimate.cells} red cells were counted, {rules.cells_min} are needed.",
        )
    if estimate.low > rules.positive_above:
        return Outcome.POSITIVE, f"The interval lies above {rules.positive_above:.2%} of red cells."
    if estimate.high < rules.negative_below:
        return (
            Outcome.NEGATIVE,
            f"Fewer than {rules.negative_below:.2%} of red cells are infected; rarer is not excluded.",
        )
    return (
        Outcome.INDETERMINATE,
        f"The interval reaches from {estimate.low:.2%} to {estimate.high:.2%}, "
        f"across {rules.positive_above:.2%} to {rules.negative_below:.2%}.",
    )


def slide_fault(run: SlideRun, rules: VerdictRules) -> str:
    """Why the slide is unusable; empty where it is not."""
    if not run.visits:
        return "No field was captured."
    faulty = [visit.fault or "low quality" for visit in run.visits if visit.fault or visit.quality < rules.quality_min]
    if 1 - len(faulty) / len(run.visits) < rules.good_fields_min:
        most = Counter(faulty).most_common(1)[0][0]
        return f"{len(faulty)} of {len(run.visits)} fields are faulty, most often: {most}."
    return "" if run.estimate.cells else "No red cells were found."


def fields_to_decide(
    counts: MaskBinCounts, fields: int, rules: VerdictRules, calibration: ScoreCalibration
) -> int | None:
    """More fields like those so far until the cell count and the cheap interval allow a decision; None if none do."""
    cells = int(counts.sum())
    if cells == 0:
        return None
    point = np.array(float(prevalence_em(counts, calibration.p_infected, calibration.p_uninfected, iterations=200)))
    for factor in np.geomspace(max(1.0, rules.cells_min / cells), LARGEST_FACTOR, 200):
        half = float(half_width(counts * factor, point, calibration))
        decided = point + half < rules.negative_below or point - half > rules.positive_above
        if decided:
            return max(1, int(np.ceil((factor - 1) * fields)))
    return None


def advice(more_fields: int | None, *, calibrated: bool = True) -> str:
    """A sentence on what more fields would bring."""
    if more_fields is not None:
        return f"About {more_fields} more fields should decide."
    return "Slides differ too much in false positives for more fields to decide." if calibrated else ""
