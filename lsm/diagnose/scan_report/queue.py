"""Which cells an operator is asked about, and what the answers make of the verdict."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from lsm.diagnose.scan import CellOdds, Said, StoppingRule, Suspect
from lsm.diagnose.scan.verdict import OUTCOMES, judge_said
from lsm.diagnose.scan_report.facts import Answer, CellFacts, TurningFacts
from lsm.diagnose.verdict import Interval, Outcome, Verdict, VerdictRules
from lsm.stats import Answered, OperatorAccuracy, PrevalenceEstimate

Counts = Int[np.ndarray, "mask bin"]

METHOD = (
    "The count of suspicious cells stays in the test and in the estimate, and each answer is added with its "
    "probability, given the score of the cell and the operator's stated accuracy. The queue holds the cells with the "
    "strongest evidence, and of equal evidence those that a lot chose, so that which cells were looked at says nothing "
    "about them beyond their scores. Cells without an answer are taken to lack it for reasons that have nothing to do "
    "with the cell; where the operator was unsure, both extremes are stated. With answers the interval is the one that "
    "holds whenever the scan ended."
)


@runtime_checkable
class Binning(Protocol):
    """A reader of fields, as far as it sorts scores into bins."""

    def bins(self, p_infected: Float[np.ndarray, " cell"]) -> Int[np.ndarray, " cell"]: ...


def review_queue(
    suspects: Sequence[Suspect], reader: Binning, odds: CellOdds, estimate: PrevalenceEstimate, *, target: float
) -> tuple[CellFacts, ...]:
    """The cells in the order in which they are asked about. target: density of the rule, as a prevalence."""
    here, at_most, there = (odds.probability(share) for share in (estimate.prevalence, estimate.high, target))
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
                weight=float(-np.log1p(-there[cell.mask, score_bin])),
            )
        )
    return tuple(queue)


def reviewed_verdict(
    counts: Counts,
    queue: Sequence[CellFacts],
    answers: Mapping[str, Answer],
    rules: VerdictRules,
    rule: StoppingRule,
    odds: CellOdds,
    *,
    before: Interval,
    fields: int,
    operator: OperatorAccuracy = OperatorAccuracy(),  # noqa: B008 - a frozen value
) -> Verdict:
    """What the slide is called by its count and the answers; no answer, or one that is unsure, changes nothing.

    before: the kind of the scan's own interval. fields: that were looked at.
    """
    said = _said(counts, queue, answers, rule, odds, fields=fields, operator=operator)
    if said is None:
        said = rule.at_the_end(counts, fields) if before is Interval.FIXED else rule.after(counts, fields)
    return judge_said(said, counts, rules, rule, fields=fields)


def turning_points(
    counts: Counts, queue: Sequence[CellFacts], verdict: Verdict, rule: StoppingRule, odds: CellOdds
) -> tuple[TurningFacts, ...]:
    """Per answer the fewest cells from the head of the queue that change the outcome; absent where none do.

    More of one answer never lead back, so the number is found by halving.
    """
    found = []
    for answer in (Answer.INFECTED, Answer.NOT_INFECTED):

        def outcome(cells: int, answer: Answer = answer) -> Outcome:
            answers = {cell.id: answer for cell in queue[:cells]}
            said = _said(counts, queue, answers, rule, odds, fields=verdict.fields)
            return verdict.outcome if said is None else OUTCOMES[said.answer]

        low, high = 0, len(queue)
        if verdict.outcome is Outcome.UNUSABLE or not queue or outcome(high) is verdict.outcome:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if outcome(middle) is not verdict.outcome else (middle, high)
        found.append(TurningFacts(answer=answer, cells=high, outcome=outcome(high)))
    return tuple(found)


def _said(
    counts: Counts,
    queue: Sequence[CellFacts],
    answers: Mapping[str, Answer],
    rule: StoppingRule,
    odds: CellOdds,
    *,
    fields: int,
    operator: OperatorAccuracy = OperatorAccuracy(),  # noqa: B008 - a frozen value
) -> Said | None:
    """What the rule says with the answers; None where there is none that says anything."""
    kinds = sorted({(cell.mask, cell.bin) for cell in queue})
    called = {answer: np.zeros(len(kinds), dtype=np.int64) for answer in Answer}
    for cell in queue:
        if cell.id in answers:
            called[answers[cell.id]][kinds.index((cell.mask, cell.bin))] += 1
    infected, not_infected = called[Answer.INFECTED], called[Answer.NOT_INFECTED]
    if not (infected.any() or not_infected.any()):
        return None
    ratio = np.array([odds.ratios[kind] for kind in kinds])
    return rule.reviewed(counts, fields, Answered(ratio, infected, not_infected, operator))
