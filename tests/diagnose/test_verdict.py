"""Which verdict an estimate leads to, and how much more would be needed for one."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_run import MASKS, calibration, drawn_slide, example_run, no_estimate

from lsm.agent.results import SlideRun
from lsm.diagnose import Outcome, VerdictRules, judge
from lsm.errors import ConfigError
from lsm.stats import PrevalenceEstimate, estimate_prevalence

RULES = VerdictRules()
RUN = example_run(drawn_slide(), policy="agent", adaptive=True, captures=12)


def with_estimate(prevalence: float, low: float, high: float, cells: int = 2000) -> SlideRun:
    return replace(RUN, estimate=PrevalenceEstimate(prevalence, low, high, cells))


@pytest.mark.parametrize(
    ("estimate", "outcome"),
    [
        ((0.03, 0.02, 0.05), Outcome.POSITIVE),
        ((0.002, 0.0015, 0.003), Outcome.POSITIVE),  # narrow and low: the low end decides before the high one
        ((0.0, 0.0, 0.004), Outcome.NEGATIVE),
        ((0.005, 0.0, 0.012), Outcome.INDETERMINATE),
        ((0.02, 0.001, 0.05), Outcome.INDETERMINATE),  # the limit itself does not count as above
    ],
)
def test_interval_against_the_two_limits_decides(estimate: tuple[float, float, float], outcome: Outcome):
    assert judge(with_estimate(*estimate), RULES).outcome is outcome


def test_few_cells_decide_nothing_however_clear_they_look():
    verdict = judge(with_estimate(0.3, 0.2, 0.4, cells=299), RULES)
    assert verdict.outcome is Outcome.INDETERMINATE
    assert "299" in verdict.reason
    assert judge(with_estimate(0.3, 0.2, 0.4, cells=300), RULES).outcome is Outcome.POSITIVE


def test_unusable_slide_names_its_most_common_fault():
    faults = ["out of focus"] * 4 + ["empty"] * 2
    faulty = tuple(
        replace(visit, fault=faults[index] if index < 6 else "") for index, visit in enumerate(RUN.visits[:1] * 8)
    )
    verdict = judge(replace(RUN, visits=faulty), RULES)
    assert verdict.outcome is Outcome.UNUSABLE
    assert "6 of 8" in verdict.reason
    assert "out of focus" in verdict.reason
    mostly_good = (*faulty[:2], *(replace(visit, fault="") for visit in faulty[2:]))
    assert judge(replace(RUN, visits=mostly_good), RULES).outcome is not Outcome.UNUSABLE


def test_low_quality_is_a_fault_and_an_empty_slide_unusable():
    dim = tuple(replace(visit, quality=0.1) for visit in RUN.visits)
    assert "low quality" in judge(replace(RUN, visits=dim), RULES).reason
    assert judge(replace(RUN, estimate=no_estimate()), RULES).reason == "No red cells were found."
    assert judge(replace(RUN, visits=()), RULES).outcome is Outcome.UNUSABLE


def test_density_uses_the_stated_convention():
    verdict = judge(with_estimate(0.02, 0.01, 0.04), VerdictRules(red_cells_per_ul=4e6))
    assert (verdict.per_ul_low, verdict.per_ul, verdict.per_ul_high) == pytest.approx((40_000, 80_000, 160_000))
    assert "4 million" in verdict.convention


def test_fields_advised_for_an_open_verdict_do_decide_it():
    """Scanning as many more fields of the same kind leads to a verdict, by the full interval."""
    counts = np.zeros((MASKS, 10), dtype=np.int64)
    counts[1] = [330, 20, 8, 4, 2, 1, 1, 0, 0, 0]
    run = replace(RUN, counts=counts, estimate=estimate_prevalence(counts, calibration()))
    rules = VerdictRules(negative_below=0.008)
    verdict = judge(run, rules, calibration=calibration())
    assert verdict.outcome is Outcome.INDETERMINATE
    assert verdict.more_fields is not None
    assert f"{verdict.more_fields} more fields" in verdict.reason
    # Twice the advice: the cheap interval behind it is a normal approximation, good to 35 %.
    factor = 1 + 2 * verdict.more_fields / len(run.visits)
    more = np.round(counts * factor).astype(np.int64)
    later = replace(run, counts=more, estimate=estimate_prevalence(more, calibration()))
    assert judge(later, rules).outcome is Outcome.NEGATIVE


def test_where_slides_differ_too_much_no_number_of_fields_is_promised():
    counts = np.zeros((MASKS, 10), dtype=np.int64)
    counts[1] = [6000, 700, 300, 150, 80, 50, 40, 25, 14, 10]
    run = replace(RUN, counts=counts, estimate=estimate_prevalence(counts, calibration()))
    rules = VerdictRules(positive_above=0.002, negative_below=0.0025)
    verdict = judge(run, rules, calibration=calibration())
    assert verdict.outcome is Outcome.INDETERMINATE
    assert verdict.more_fields is None
    assert "differ too much" in verdict.reason


def test_rules_outside_0_to_1_are_refused():
    with pytest.raises(ConfigError, match="negative_below"):
        VerdictRules.from_table({"negative_below": 1.5})
