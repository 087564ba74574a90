"""The rule of a scan: its errors on slides that differ, what it says where it cannot decide, and what a review does."""

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from drawn_run import BINS, MASKS, calibration
from drawn_scan import RULES, TARGET_PER_UL, rule, scanned
from scipy.stats import binomtest

from lsm.diagnose import Outcome, VerdictRules
from lsm.diagnose.scan import Answer, CellOdds, StoppingRule, SuspicionRule
from lsm.diagnose.scan.config import Light
from lsm.diagnose.scan.kit import scan_calibration, suspicion_rule, threshold_bin
from lsm.diagnose.scan.verdict import judge_said
from lsm.diagnose.scan_report import Answer as Says
from lsm.diagnose.scan_report.facts import VerdictFacts
from lsm.diagnose.scan_report.queue import reviewed_verdict
from lsm.diagnose.scan_report.review import Answers, apply_answers
from lsm.diagnose.verdict import Interval, Verdict
from lsm.errors import InputError
from lsm.sensing import Bundle
from lsm.stats import OperatorAccuracy, ScoreCalibration

BRIGHT = 1


def slide_like(per_ul: float, cells: int, seed: int, fields: int = 40) -> np.ndarray:
    """Counts after each field of a slide to come: its errors differ as the calibration says."""
    rng = np.random.default_rng(seed)
    infected, uninfected = (drawn[0, BRIGHT] for drawn in calibration().draw(1, rng))
    shares = per_ul / 5e6 * infected + (1 - per_ul / 5e6) * uninfected
    counts = np.zeros((fields, MASKS, BINS), dtype=np.int64)
    counts[:, BRIGHT] = rng.multinomial(cells, shares / shares.sum(), fields).cumsum(axis=0)
    return counts


def first_answer(asked: StoppingRule, fields: np.ndarray) -> Answer:
    for number, counts in enumerate(fields, start=1):
        if (said := asked.after(counts, number)).answer is not Answer.GO_ON:
            return said.answer
    return Answer.GO_ON


@pytest.mark.parametrize(("per_ul", "wrong", "level"), [(0.0, Answer.POSITIVE, 0.025), (5e4, Answer.NEGATIVE, 0.05)])
def test_error_rates_hold_at_the_first_field_that_decides(per_ul: float, wrong: Answer, level: float):
    said = [first_answer(rule(), slide_like(per_ul, 250, seed, fields=6)) for seed in range(24)]
    # as many as the level allows among 24 slides with a chance of 1 in 1000
    assert binomtest(said.count(wrong), 24, level, alternative="greater").pvalue > 1e-3


def test_slides_far_from_the_question_are_decided():
    assert first_answer(rule(), slide_like(0.0, 2000, 1)) is Answer.NEGATIVE
    assert first_answer(rule(), slide_like(5e5, 2000, 1)) is Answer.POSITIVE


def test_few_cells_and_none_decide_nothing():
    nothing = np.zeros((MASKS, BINS), dtype=np.int64)
    assert rule().after(nothing, 0).answer is Answer.GO_ON
    assert rule().more_fields(nothing, 0) is None
    nothing[BRIGHT, -1] = RULES.cells_min - 1
    assert rule().after(nothing, 1).answer is Answer.GO_ON
    assert rule().more_fields(nothing, 1) == 1


def test_an_open_question_says_how_many_more_fields():
    counts = slide_like(0.0, 250, 3)[0]
    said = rule().after(counts, 1)
    verdict = judge_said(said, counts, RULES, rule(), fields=1)
    assert verdict.outcome is Outcome.INDETERMINATE
    assert verdict.more_fields is not None
    assert f"About {verdict.more_fields} more fields should decide." in verdict.reason


def test_where_slides_differ_too_much_it_says_that_none_suffice_and_what_the_reader_could_tell():
    asked = SuspicionRule(RULES, calibration(), rule().first_bin, 100.0)
    counts = slide_like(0.0, 5000, 4)[-1]
    verdict = judge_said(asked.after(counts, 40), counts, RULES, asked, fields=40)
    assert verdict.outcome is Outcome.INDETERMINATE
    assert verdict.more_fields is None
    assert "Slides differ too much in false positives for more fields to decide." in verdict.reason
    least = asked.terms(counts).least_per_ul
    assert 100 < least < inf
    assert f"tells from none is {float(f'{least:.2g}'):,.0f}/µl." in verdict.reason


def test_a_fixed_end_has_the_narrower_interval_and_the_same_answer():
    counts = slide_like(1e5, 250, 5)[-1]
    after, end = rule().after(counts, 40), rule().at_the_end(counts, 40)
    assert (after.interval, end.interval) == (Interval.ANY_TIME, Interval.FIXED)
    assert (after.answer, after.suspicious) == (end.answer, end.suspicious)
    assert after.estimate.low < end.estimate.low < end.estimate.high < after.estimate.high


def verdict_on(suspicious: int, cells: int) -> Verdict:
    counts = np.zeros((MASKS, BINS), dtype=np.int64)
    counts[BRIGHT, rule().first_bin], counts[BRIGHT, 0] = suspicious, cells - suspicious
    return judge_said(rule().after(counts, 10), counts, RULES, rule(), fields=10)


def fewest_positive(cells: int) -> int:
    return next(number for number in range(cells) if verdict_on(number, cells).outcome is Outcome.POSITIVE)


def test_a_positive_slide_whose_interval_holds_none_says_why_both_are_right():
    fewest = fewest_positive(2000)
    verdict = verdict_on(fewest, 2000)
    assert verdict.estimate.low == 0
    assert verdict.interval_open
    assert verdict.reason.endswith(
        "The interval still holds 0: the test asks only whether there are any parasites, the interval for every "
        "density at once."
    )
    clear = verdict_on(4 * fewest, 2000)
    assert clear.estimate.low > 0
    assert not clear.interval_open
    assert "still holds" not in clear.reason


def test_a_negative_slide_whose_interval_holds_the_target_says_so():
    soon = next(found for cells in range(300, 9000, 50) if (found := verdict_on(0, cells)).outcome is Outcome.NEGATIVE)
    assert soon.per_ul_high > TARGET_PER_UL
    assert soon.interval_open
    assert "The interval still holds 20,000 per microlitre" in soon.reason
    late = verdict_on(0, 3 * soon.cells)
    assert late.per_ul_high < TARGET_PER_UL
    assert not late.interval_open
    assert "still holds" not in late.reason


def test_the_threshold_is_fixed_by_the_calibration_alone():
    for light in ("bright field", "learned", "agent"):
        assert 0 < threshold_bin(light, calibration()) < BINS
    slides = calibration().to_arrays()
    worse = ScoreCalibration.from_slides(slides["infected_slides"][..., ::-1], slides["uninfected_slides"][..., ::-1])
    with pytest.raises(Exception, match="No threshold"):
        threshold_bin("learned", worse)


def reviewed(answers: dict[str, Says], before: Interval = Interval.ANY_TIME, **operator: float) -> Verdict:
    report, counts, verdict = scanned()
    odds, accuracy = CellOdds(calibration()), OperatorAccuracy(**operator)
    return reviewed_verdict(
        counts, report.queue, answers, RULES, rule(), odds, before=before, fields=verdict.fields, operator=accuracy
    )


@pytest.mark.parametrize("answers", [{}, {"c001": Says.UNSURE}])
def test_a_review_that_says_nothing_leaves_the_verdict_as_it_was(answers: dict[str, Says]):
    _, _, verdict = scanned()
    assert reviewed(answers) == verdict


def test_answers_move_density_and_evidence():
    report, _, verdict = scanned()
    cells = [cell.id for cell in report.queue]
    rejected, accepted = (reviewed(dict.fromkeys(cells, says)) for says in (Says.NOT_INFECTED, Says.INFECTED))
    assert rejected.per_ul < verdict.per_ul < accepted.per_ul
    assert accepted.outcome is Outcome.POSITIVE
    unsure = reviewed(dict.fromkeys(cells, Says.NOT_INFECTED), sensitivity=0.7, specificity=0.7)
    assert rejected.per_ul < unsure.per_ul < verdict.per_ul


def answers_to(report: Any, answers: dict[str, Says]) -> Answers:
    return Answers(version="lsm-review-answers/1", slide=report.slide, report_digest=report.digest(), answers=answers)


def test_a_review_keeps_both_verdicts_and_both_extremes():
    report, _, verdict = scanned()
    given = answers_to(report, {"c001": Says.INFECTED, "c002": Says.UNSURE})
    found = apply_answers(report, given, RULES, rule(), calibration(), OperatorAccuracy())
    assert found.before is report
    review = found.after.review
    assert review is not None
    assert review.before == VerdictFacts.of(verdict)
    assert review.if_unsure_not is not None
    assert review.if_unsure_infected is not None
    assert review.if_unsure_not.per_ul < found.after.verdict.per_ul < review.if_unsure_infected.per_ul


def test_answers_to_another_report_are_refused():
    report, _, _ = scanned()
    other = answers_to(report, {"c001": Says.INFECTED}).model_copy(update={"report_digest": "other"})
    for given in (other, answers_to(report, {}), answers_to(report, {"c999": Says.INFECTED})):
        with pytest.raises(InputError):
            apply_answers(report, given, RULES, rule(), calibration(), OperatorAccuracy())


def test_an_unusable_slide_is_not_mended_by_answers():
    report, _, verdict = scanned()
    unusable = report.model_copy(update={"verdict": VerdictFacts.of(replace(verdict, outcome=Outcome.UNUSABLE))})
    given = answers_to(unusable, {"c001": Says.INFECTED})
    with pytest.raises(InputError, match="unusable"):
        apply_answers(unusable, given, RULES, rule(), calibration(), OperatorAccuracy())


def test_cells_that_decide_more_weigh_more():
    report, _, _ = scanned()
    weights = [cell.weight for cell in report.queue]
    assert weights == sorted(weights, reverse=True)
    assert all(weight > 0 for weight in weights)


@pytest.mark.parametrize(("light", "masks"), [("bright field", [1]), ("learned", [-1]), ("agent", [1, -1])])
def test_a_target_that_is_not_given_is_what_the_model_tells_from_none(light: Light, masks: list[int]):
    model = scan_calibration(Bundle.named("procedural"), light)
    asked = suspicion_rule(light, model, VerdictRules())
    counts = np.zeros(model.infected.shape, dtype=np.int64)
    counts[masks, 0] = 50_000
    # of any number of cells a little less than of 100,000
    assert 0.5 * asked.target_per_ul < asked.terms(counts).least_per_ul <= asked.target_per_ul
    assert asked.target_per_ul == float(f"{asked.target_per_ul:.2g}")
    assert suspicion_rule(light, model, VerdictRules(target_per_ul=777.0)).target_per_ul == 777.0
