"""Which cells an operator is asked about, and what the answers make of the verdict."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from lsm.diagnose.scan.evidence import CellOdds
from lsm.diagnose.scan.suspects import Suspect
from lsm.diagnose.scan_report.facts import Answer, CellFacts, TurningFacts
from lsm.diagnose.verdict import Outcome, Verdict, VerdictRules, advice, fields_to_decide, from_interval, pronounced
from lsm.stats import PrevalenceEstimate, ScoreCalibration
from lsm.stats.reviewed import OperatorAccuracy, estimate_reviewed

Counts = Int[np.ndarray, "mask bin"]

METHOD = (
    "A cell that was answered counts as what it was called, with the operator's stated accuracy; every other cell "
    "keeps its score. The queue holds the cells with the strongest evidence, and of equal evidence those that a lot "
    "chose, so that which cells were looked at says nothing about them beyond their scores, and all scores stay in the "
    "estimate. Cells without an answer are taken to lack it for reasons that have nothing to do with the cell; where "
    "the operator was unsure, both extremes are stated. What the answers say about this slide's false positives is "
    "not carried over to cells that nobody looked at: the interval stays wider than it might be."
)


@runtime_checkable
class Binning(Protocol):
    """A reader of fields, as far as it sorts scores into bins."""

    def bins(self, p_infected: Float[np.ndarray, " cell"]) -> Int[np.ndarray, " cell"]: ...


def review_queue(
    suspects: Sequence[Suspect], reader: Binning, odds: CellOdds, estimate: PrevalenceEstimate
) -> tuple[CellFacts, ...]:
    """The cells in the order in which they are asked about."""
    here, at_most = odds.probability(estimate.prevalence), odds.probability(estimate.high)
    expected = estimate.prevalence * estimate.cells
    queue = []
    for number, suspect in enumerate(suspects, start=1):
        cell = suspect.cell
        score_bin = int(reader.bins(np.array([cell.p_infected]))[0])
        chance = float(here[cell.mask, score_bin])
        queue.append(
            CellFacts(
                id=f"c{number:03d}",
                field=cell.field,
                xy_um=(cell.x_um, cell.y_um),
                box_px=cell.box_px,
                score=cell.p_infected,
                bin=score_bin,
                mask=cell.mask,
                evidence=suspect.evidence,
                probability=chance,
                probability_high=float(at_most[cell.mask, score_bin]),
                weight=min(1.0, chance / expected) if expected > 0 else 0.0,
            )
        )
    return tuple(queue)


def reviewed_verdict(
    counts: Counts,
    queue: Sequence[CellFacts],
    answers: Mapping[str, Answer],
    rules: VerdictRules,
    calibration: ScoreCalibration,
    *,
    fields: int,
    operator: OperatorAccuracy = OperatorAccuracy(),  # noqa: B008 - a frozen value
) -> Verdict:
    """What the slide is called by its scores and the answers; cells without one, or unsure, keep their scores."""
    called = {answer: np.zeros_like(counts) for answer in Answer}
    for cell in queue:
        if cell.id in answers:
            called[answers[cell.id]][cell.mask, cell.bin] += 1
    infected, not_infected = called[Answer.INFECTED], called[Answer.NOT_INFECTED]
    estimate = estimate_reviewed(counts, infected, not_infected, calibration, operator=operator)
    outcome, reason = from_interval(estimate, rules)
    more = None
    if outcome is Outcome.INDETERMINATE:
        more = fields_to_decide(counts, fields, rules, calibration)
        reason = f"{reason} {advice(more)}"
    return pronounced(outcome, reason, estimate, rules, fields=fields, more_fields=more)


def turning_points(
    counts: Counts, queue: Sequence[CellFacts], verdict: Verdict, rules: VerdictRules, calibration: ScoreCalibration
) -> tuple[TurningFacts, ...]:
    """Per answer the fewest cells from the head of the queue that change the outcome; absent where none do.

    More of one answer never lead back, so the number is found by halving.
    """
    found = []
    for answer in (Answer.INFECTED, Answer.NOT_INFECTED):

        def outcome(cells: int, answer: Answer = answer) -> Outcome:
            answers = {cell.id: answer for cell in queue[:cells]}
            return reviewed_verdict(counts, queue, answers, rules, calibration, fields=verdict.fields).outcome

        low, high = 0, len(queue)
        if verdict.outcome is Outcome.UNUSABLE or not queue or outcome(high) is verdict.outcome:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if outcome(middle) is not verdict.outcome else (middle, high)
        found.append(TurningFacts(answer=answer, cells=high, outcome=outcome(high)))
    return tuple(found)
