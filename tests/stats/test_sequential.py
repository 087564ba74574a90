"""The sequential test: its edges, its error rates under any stopping, its cells, and slides that differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lsm.errors import InputError
from lsm.stats import (
    BetaShare,
    Decision,
    GammaRate,
    ReaderErrors,
    SequentialCount,
    SequentialRule,
    forecast_cells,
)

KNOWN = SequentialRule(ReaderErrors(BetaShare(0.8), GammaRate(1e-5)))
VARYING = SequentialRule(ReaderErrors(BetaShare(0.8), GammaRate(1e-5, 0.5)), target_per_ul=200)
LOOKS = np.unique(np.geomspace(500, 6e6, 250).astype(np.int64))


def scans(rule: SequentialRule, per_ul: float, *, slides: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Decision (1, -1, 0) and cells of each slide, asked at 250 growing numbers of cells."""
    rng = np.random.default_rng(seed)
    negative, positive = rule.boundaries(LOOKS.astype(np.float64))
    rate = rule.errors.false_positives
    false = np.full(slides, rate.mean) if rate.known else rng.gamma(rate.shape, rate.mean / rate.shape, slides)
    called = per_ul / 5e6 * 0.8 + (1 - per_ul / 5e6) * false
    counts = np.cumsum(rng.binomial(np.diff(LOOKS, prepend=0), called[:, None]), axis=1)
    said = (counts >= positive).astype(int) - (counts <= negative).astype(int)
    ever = said.any(axis=1)
    first = np.where(ever, np.abs(said).argmax(axis=1), len(LOOKS) - 1)
    return said[np.arange(slides), first], LOOKS[first]


def at_most(errors: int, of: int, level: float) -> bool:
    """Whether so many errors are possible at this rate, with a chance of 1 in 1000."""
    return bool(binomtest(errors, of, level, alternative="greater").pvalue > 1e-3)


@pytest.mark.parametrize("rule", [KNOWN, VARYING], ids=["known rate", "rate that varies"])
def test_error_rates_hold_at_the_first_look_that_decides(rule: SequentialRule):
    none, _ = scans(rule, 0.0)
    target, _ = scans(rule, rule.target_per_ul)
    assert at_most(int((none == 1).sum()), len(none), rule.alpha)
    assert at_most(int((target == -1).sum()), len(target), rule.beta)


def test_cells_needed_against_a_fixed_number_of_equal_errors():
    fixed = KNOWN.fixed_design()
    assert fixed is not None
    assert fixed.cells == pytest.approx(890_000, rel=0.01)  # the figure of the design, three digits
    negative, high = (scans(KNOWN, per_ul)[1].mean() / fixed.cells for per_ul in (0.0, 1000.0))
    # 51.1 and 2.3 % of 10,000 slides; 4,000 here give them to 1 % of their value
    assert negative < 0.55
    assert high < 0.05


def test_slides_that_differ_leave_no_fixed_design_for_100_per_microlitre():
    """2.5 % of clean slides have more false positives than 5 % of slides at 100/uL have suspicious cells at all."""
    hard = SequentialRule(VARYING.errors, target_per_ul=100)
    assert hard.fixed_design() is None
    assert VARYING.fixed_design() is not None


def test_a_rate_taken_for_known_calls_clean_slides_positive():
    """The same slides, whose rates vary by half, asked with the rule for a known rate: errors beyond its promise."""
    trusting = SequentialRule(ReaderErrors(BetaShare(0.8), GammaRate(1e-5)), target_per_ul=200)
    rng = np.random.default_rng(1)
    negative, positive = trusting.boundaries(LOOKS.astype(np.float64))
    false = rng.gamma(4, 2.5e-6, 4000)
    counts = np.cumsum(rng.poisson(np.diff(LOOKS, prepend=0) * false[:, None]), axis=1)
    said = (counts >= positive).astype(int) - (counts <= negative).astype(int)
    first = said[np.arange(4000), np.abs(said).argmax(axis=1)]
    assert not at_most(int((first == 1).sum()), 4000, trusting.alpha)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 60), st.integers(1_000, 3_000_000), st.sampled_from([KNOWN, VARYING]))
def test_boundaries_are_where_the_decision_changes(count: int, cells: int, rule: SequentialRule):
    (negative,), (positive,) = rule.boundaries(np.array([float(cells)]))
    expected = Decision.POSITIVE if count >= positive else Decision.NEGATIVE if count <= negative else None
    assert rule.decide(count, cells) is (expected or Decision.UNDECIDED)


def test_a_heavily_infected_slide_is_not_taken_for_one_with_many_false_positives():
    noisy = SequentialRule(ReaderErrors(BetaShare(0.8), GammaRate(1e-4, 0.5)), target_per_ul=100)
    assert noisy.decide(2000, 100_000) is Decision.POSITIVE


def test_a_perfect_reader_needs_one_parasite():
    rule = SequentialRule(ReaderErrors(BetaShare(1.0), GammaRate(0.0)))
    assert rule.decide(1, 500) is Decision.POSITIVE
    assert rule.decide(0, 149_000) is Decision.UNDECIDED
    assert rule.decide(0, 150_000) is Decision.NEGATIVE  # 100/uL are 3.0 cells, and exp(-3.0) is beta


def test_the_first_decision_stays():
    scan = SequentialCount(KNOWN)
    assert scan.add(0, 10_000) is Decision.UNDECIDED
    assert scan.add(8, 10_000) is Decision.POSITIVE
    assert scan.decided_at == 20_000
    assert scan.add(0, 5_000_000) is Decision.POSITIVE
    assert (scan.suspicious, scan.cells, scan.decided_at) == (8, 5_020_000, 20_000)
    assert SequentialCount(KNOWN, suspicious=8, cells=20_000).decision is Decision.POSITIVE


def test_controls_settle_what_the_slides_own_rate_left_open():
    """60 suspicious cells of 2 million: many false ones or some parasites."""
    open_ = SequentialRule(VARYING.errors, target_per_ul=100)
    assert open_.decide(60, 2_000_000) is Decision.UNDECIDED
    clean = VARYING.errors.false_positives.given(90, 10_000_000)
    dirty = VARYING.errors.false_positives.given(300, 10_000_000)
    assert open_.on_slide(clean).decide(60, 2_000_000) is Decision.POSITIVE
    assert open_.on_slide(dirty).decide(60, 2_000_000) is Decision.NEGATIVE
    scan = SequentialCount(open_)
    assert scan.add(60, 2_000_000, false_positives=clean) is Decision.POSITIVE


def test_forecast_is_what_scans_need():
    found = forecast_cells(KNOWN, 0, 0, cells_max=6_000_000)
    needed = scans(KNOWN, 0.0)[1]
    assert found.decided > 0.95
    assert found.more_cells is not None
    # half of the slides thought of have no parasites; others need more or fewer
    assert np.median(needed) / 2 < found.more_cells < 2 * np.median(needed)
    later = forecast_cells(KNOWN, 3, 300_000, cells_max=6_000_000)
    assert later.more_cells is not None
    assert later.more_cells < found.more_cells + 300_000


def test_forecast_says_where_more_cells_will_not_help():
    hard = SequentialRule(VARYING.errors, target_per_ul=100)
    found = forecast_cells(hard, 40, 2_000_000, cells_max=10_000_000)
    assert found.more_cells is None
    assert found.decided < 0.5
    assert forecast_cells(hard, 40, 2_000_000, cells_max=2_000_000).more_cells is None
    assert forecast_cells(KNOWN, 0, 1_000_000, cells_max=6_000_000).more_cells == 0


def test_impossible_rules_and_counts_are_refused():
    with pytest.raises(InputError):
        SequentialRule(KNOWN.errors, target_per_ul=0.0)
    with pytest.raises(InputError):
        SequentialRule(KNOWN.errors, alpha=1.0)
    with pytest.raises(InputError):
        KNOWN.decide(5, 4)
    with pytest.raises(InputError):
        SequentialCount(KNOWN).add(-1, 4)


def test_error_rates_hold_where_sensitivity_differs_between_slides():
    """Slides on which a third fewer infected cells are found look like slides of a third less parasites."""
    varying = SequentialRule(ReaderErrors(BetaShare(0.24, 0.06), GammaRate(2e-3, 0.2)), target_per_ul=50_000)
    rng, looks = np.random.default_rng(7), np.unique(np.geomspace(300, 2e5, 60).astype(np.int64))
    negative, _ = varying.boundaries(looks.astype(np.float64))
    size = 0.24 * 0.76 / 0.06**2 - 1
    found, false = rng.beta(0.24 * size, 0.76 * size, 4000), rng.gamma(25, 2e-3 / 25, 4000)
    called = 0.01 * found + 0.99 * false
    counts = np.cumsum(rng.binomial(np.diff(looks, prepend=0), called[:, None]), axis=1)
    assert at_most(int((counts <= negative).any(axis=1).sum()), 4000, varying.beta)
    trusting = SequentialRule(ReaderErrors(BetaShare(0.24), GammaRate(2e-3, 0.2)), target_per_ul=50_000)
    negative, _ = trusting.boundaries(looks.astype(np.float64))
    assert not at_most(int((counts <= negative).any(axis=1).sum()), 4000, trusting.beta)
