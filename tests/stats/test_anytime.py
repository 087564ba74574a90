"""Intervals that hold at every moment: the promise, what an ordinary interval does instead, and the price."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lsm.errors import InputError
from lsm.stats import BetaShare, GammaRate, ReaderErrors, anytime_density, thin_film_density
from lsm.stats.anytime import log_evidence
from lsm.stats.corrected import AmongRedCells, corrected_interval

USUAL = ReaderErrors(BetaShare(0.9, 0.01), GammaRate(1e-5, 0.5))
PERFECT = ReaderErrors(BetaShare(1.0), GammaRate(0.0))
LOOKS = np.unique(np.geomspace(2_000, 2e6, 60).astype(np.int64))


def counts_of(rng: np.random.Generator, per_ul: float, slides: int) -> np.ndarray:
    """Suspicious cells [slide, look] of slides whose rates differ as USUAL says."""
    size = 0.9 * 0.1 / 0.01**2 - 1
    sensitivity, false = rng.beta(0.9 * size, 0.1 * size, slides), rng.gamma(4, 2.5e-6, slides)
    called = per_ul / 5e6 * sensitivity + (1 - per_ul / 5e6) * false
    return np.cumsum(rng.binomial(np.diff(LOOKS, prepend=0), called[:, None]), axis=1)


@pytest.mark.parametrize("per_ul", [0.0, 100.0, 3000.0])
def test_the_truth_is_left_out_at_any_look_by_at_most_5_percent_of_slides(per_ul: float):
    slides = 1500
    counts = counts_of(np.random.default_rng(0), per_ul, slides)
    ever, ordinary = np.zeros(slides, dtype=bool), np.zeros(slides, dtype=bool)
    for look, cells in enumerate(LOOKS):
        seen, place = np.unique(counts[:, look], return_inverse=True)
        truth = np.full(len(seen), per_ul / 5e6)
        evidence = log_evidence(seen, np.full(len(seen), float(cells)), truth, USUAL)
        ever |= (evidence > np.log(20))[place]
        if look % 10 == 9 and len(seen) < 120:
            low, high = corrected_interval(seen, AmongRedCells(int(cells)), USUAL)
            ordinary |= ((low > truth) | (high < truth))[place]
    # one chance in a thousand
    assert binomtest(int(ever.sum()), slides, 0.05, alternative="greater").pvalue > 1e-3
    # at only six looks already
    assert ordinary.mean() > 0.07


def test_its_ends_are_where_the_evidence_reaches_the_level():
    found = anytime_density(60, 1_000_000, USUAL)
    for end in (found.low, found.high):
        evidence = log_evidence(np.array([60]), np.array([1e6]), np.array([end / 5e6]), USUAL)
        assert float(evidence[0]) == pytest.approx(np.log(20), abs=1e-3)  # ends are found to 1e-7 of the fourth root


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_the_price_is_an_interval_two_thirds_wider(count: int):
    anytime, fixed = (call(count, 1_000_000, PERFECT) for call in (anytime_density, thin_film_density))
    # 1.67, 1.62 and 1.66, as the mixture over r has it
    assert 1.55 < anytime.relative_half_width / fixed.relative_half_width < 1.75


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 400), st.sampled_from([USUAL, PERFECT]))
def test_it_holds_the_estimate(count: int, errors: ReaderErrors):
    found = anytime_density(count, 1_000_000, errors)
    assert 0 <= found.low <= found.per_ul <= found.high <= 5e6
    assert found.at_any_time


def test_too_few_suspicious_cells_for_any_slide_leave_what_a_clean_reader_would():
    """None in 20 million, where 200 false positives were expected."""
    found = anytime_density(0, 20_000_000, USUAL)
    assert found.low == found.per_ul == 0.0
    assert 0 < found.high < 5


def test_narrower_than_25_percent_takes_some_150_parasites():
    """Half-width of a quarter: 61 parasites for a fixed number of cells, 1.96^2 / 0.25^2."""
    assert anytime_density(165, 1_000_000, PERFECT).relative_half_width < 0.25
    assert anytime_density(130, 1_000_000, PERFECT).relative_half_width > 0.25


def test_no_cells_know_nothing_and_impossible_counts_are_refused():
    assert (anytime_density(0, 0, USUAL).low, anytime_density(0, 0, USUAL).high) == (0.0, 5e6)
    with pytest.raises(InputError):
        anytime_density(3, 2, USUAL)


def test_more_suspicious_cells_than_any_slide_has_are_a_high_density_and_no_endless_search():
    reader = ReaderErrors(BetaShare(0.5, 0.03), GammaRate(1e-3, 0.5))
    found = anytime_density(300, 300, reader)
    assert found.high == 5e6
    assert 4e6 < found.low < 5e6
