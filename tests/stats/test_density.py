"""Densities from counts: limits that are known, exact coverage, and what each uncertainty does to the interval."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, nbinom, norm, poisson

from lsm.errors import InputError
from lsm.stats import (
    BetaShare,
    GammaRate,
    ReaderErrors,
    mid_p,
    poisson_interval,
    thick_film_density,
    thin_film_density,
)
from lsm.stats._tails import upper_tail
from lsm.stats.corrected import AmongRedCells, AmongWhiteCells, corrected_interval, inside
from lsm.stats.density import false_positive_estimate

PERFECT = ReaderErrors(BetaShare(1.0), GammaRate(0.0))
USUAL = ReaderErrors(BetaShare(0.9, 0.01), GammaRate(1e-5, 0.5))


@pytest.mark.parametrize("count", [10, 40, 300])
def test_a_perfect_reader_gives_the_mid_p_interval(count: int):
    """From some ten cells on zero is far away, and the two tails are alike."""
    found = thin_film_density(count, 100_000, PERFECT)
    low, high = mid_p(count, 100_000)
    assert (found.low / 5e6, found.high / 5e6) == pytest.approx((low, high), rel=1e-5)  # ends are found to 1e-6
    assert found.per_ul == pytest.approx(count / 100_000 * 5e6)


def test_nothing_seen_leaves_about_three_cells():
    """One-sided in part: above 3.0 of two tails, below 3.7 of an exact one."""
    found = thin_film_density(0, 300_000, PERFECT)
    assert (found.low, found.per_ul) == (0.0, 0.0)
    assert 3.0 <= found.high / 5e6 * 300_000 < 3.3


def test_tail_split_is_that_of_feldman_and_cousins():
    """Their unified 95 % interval for a normal estimate of 0, 1 and 2 standard deviations reaches 1.96, 2.96 and 3.96.

    The low ends are 0, 0 and 0.35: table X of the paper, two digits.
    """
    truth = np.linspace(0, 5, 50_001)
    for measured, low, high in ((0.0, 0.0, 1.96), (1.0, 0.0, 2.96), (2.0, 0.35, 3.96)):
        below = norm.cdf(measured - truth)
        tail = upper_tail(truth, 0.95)
        inside = truth[(1 - below >= tail) & (below >= 0.05 - tail)]
        assert (inside[0], inside[-1]) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(("per_ul", "rate"), [(0, 1e-6), (0, 1e-5), (20, 1e-5), (100, 1e-5), (300, 1e-6), (30, 1e-4)])
def test_exact_coverage_at_fixed_densities(per_ul: float, rate: float):
    """Summed over all counts, with false positives that vary by half between slides; 500,000 cells."""
    cells, fraction = 500_000, per_ul / 5e6
    errors = ReaderErrors(BetaShare(0.9), GammaRate(rate, 0.5))
    quantiles = (np.arange(2000) + 0.5) / 2000
    called = fraction * 0.9 + (1 - fraction) * errors.false_positives.at(quantiles)
    counts = np.arange(int(cells * called.max() + 8 * np.sqrt(cells * called.max()) + 10))
    low, high = corrected_interval(counts, AmongRedCells(cells), errors)
    held = counts[(low <= fraction) & (fraction <= high)]
    # both ends rise with the count, so that these lie side by side
    chance = binom.cdf(held[-1], cells, called) - binom.cdf(held[0] - 1, cells, called)
    # half ties: single densities swing, most of all where less than one false positive is expected
    assert chance.mean() == pytest.approx(0.95, abs=0.03 if cells * rate < 1 else 0.015)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 500), st.floats(0, 2e-3))
def test_a_fraction_is_inside_where_it_lies_between_the_ends(count: int, fraction: float):
    law, counts = AmongRedCells(300_000), np.array([count])
    (low,), (high,) = corrected_interval(counts, law, USUAL)
    # ends are found to 1e-6
    assume(abs(fraction / low - 1) > 1e-5 if low else fraction > 1e-9)
    assume(abs(fraction / high - 1) > 1e-5)
    assert inside(counts, np.array([fraction]), law, USUAL)[0] == (low <= fraction <= high)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000))
def test_more_suspicious_cells_never_mean_less(one: int, other: int):
    fewer, more = (thin_film_density(count, 1_000_000, USUAL) for count in sorted((one, other)))
    assert fewer.per_ul <= more.per_ul
    assert fewer.low <= more.low * (1 + 1e-5)  # ends are found to 1e-6
    assert fewer.high <= more.high * (1 + 1e-5)
    assert fewer.low <= fewer.per_ul <= fewer.high


def test_every_uncertainty_widens_the_interval():
    known = ReaderErrors(BetaShare(0.9), GammaRate(1e-5))
    unknown_rate = ReaderErrors(BetaShare(0.9), GammaRate(1e-5, 0.5))
    unknown_both = ReaderErrors(BetaShare(0.9, 0.05), GammaRate(1e-5, 0.5))
    widths = [
        (found := thin_film_density(300, 2_000_000, errors)).high - found.low
        for errors in (known, unknown_rate, unknown_both)
    ]
    assert widths[0] < widths[1] < widths[2]


def test_a_known_slide_rate_makes_fewer_parasites_visible():
    """45 suspicious cells of 2 million: hardly anything, unless the slide itself shows how many of them are false."""
    blind = thin_film_density(45, 2_000_000, USUAL)
    counted = ReaderErrors(USUAL.sensitivity, USUAL.false_positives.given(100, 10_000_000))
    seen = thin_film_density(45, 2_000_000, counted)
    assert blind.low < 15
    assert seen.low > 30


def test_few_suspicious_cells_say_that_the_slide_has_few_false_ones():
    few, many = (false_positive_estimate(count, 2_000_000, USUAL) for count in (3, 3000))
    assert few.value < 4e-6 < many.value
    assert many.value == pytest.approx(1e-5, rel=0.01)  # the lattice leaves out the last 0.13 %
    assert few.low < few.value < few.high < 1e-5
    assert false_positive_estimate(0, 0, USUAL).value == pytest.approx(1e-5, rel=0.01)


def test_thick_film_has_two_random_counts():
    """100 parasites beside 200 white cells: relative variance 1/100 + 1/200 for one, 1/100 for the other."""
    found = thick_film_density(100, 200, PERFECT)
    assert found.per_ul == pytest.approx(4000)
    spread = np.log(found.high / found.low) / 2 / 1.96
    assert spread == pytest.approx(np.sqrt(1 / 100 + 1 / 200), rel=0.01)  # a normal logarithm is nearly right
    fixed = poisson_interval(100)
    assert found.high / found.low > 1.05 * fixed[1] / fixed[0]
    assert "200 white cells" in found.convention


def covered_beside(white_cells: int, mean: float, chance: np.ndarray) -> float:
    """Probability that the interval holds `mean` parasites per white cell, for these probabilities of each count."""
    low, high = corrected_interval(np.arange(len(chance)), AmongWhiteCells(white_cells), PERFECT)
    return float(chance[(low <= mean) & (mean <= high)].sum())


def test_thick_film_covers_whether_white_cells_or_area_are_fixed():
    counts, mean = np.arange(130), 0.25
    stopped = covered_beside(200, mean, nbinom.pmf(counts, 200, 1 / (1 + mean)))
    # an area with 200 white cells in the mean holds these numbers of them, every tenth of its distribution
    beside = [int(poisson.ppf(place, 200)) for place in np.arange(0.05, 1, 0.1)]
    area = np.mean([covered_beside(white, mean, poisson.pmf(counts, 200 * mean)) for white in beside])
    # half ties at 50 parasites; ten numbers of white cells for all
    assert (stopped, area) == pytest.approx((0.95, 0.95), abs=0.015)


def test_no_cells_know_nothing():
    thin, thick = thin_film_density(0, 0, USUAL), thick_film_density(0, 0, USUAL)
    assert (thin.low, thin.high) == (0.0, 5e6)
    assert (thick.low, thick.high) == (0.0, np.inf)
    assert thin.relative_half_width == np.inf


def test_conventions_are_said_and_scale_the_answer():
    found = thin_film_density(100, 1_000_000, USUAL, red_cells_per_ul=4e6)
    assert found.convention == "thin film, 4 million red cells per microlitre assumed"
    assert found.per_ul == pytest.approx(0.8 * thin_film_density(100, 1_000_000, USUAL).per_ul)


def test_impossible_counts_are_refused():
    for suspicious, cells in ((3, 2), (-1, 10), (1, -5)):
        with pytest.raises(InputError):
            thin_film_density(suspicious, cells, USUAL)
    with pytest.raises(InputError):
        thick_film_density(5, -1, USUAL)
    with pytest.raises(InputError):
        thin_film_density(3, 100, USUAL, confidence=95.0)
