"""Limits of blank and detection: the design figures, closed forms, and where more cells stop helping."""

import math

import numpy as np
import pytest
from scipy.stats import gamma, nbinom, poisson

from lsm.errors import InputError
from lsm.stats import BetaShare, GammaRate, ReaderErrors, limit_of_detection


def limit(cells: float, *, cv: float, sensitivity: float = 0.8, alpha: float = 0.025, beta: float = 0.05):
    errors = ReaderErrors(BetaShare(sensitivity), GammaRate(1e-5, cv))
    return limit_of_detection(cells, errors, alpha=alpha, beta=beta)


def test_variation_between_slides_moves_61_to_141_per_microlitre():
    """2 million cells, 1e-5 false positives, sensitivity 80 %, errors of 2.5 and 5 %."""
    assert limit(2e6, cv=0.0).per_ul == pytest.approx(61, abs=0.5)
    assert limit(2e6, cv=0.5).per_ul == pytest.approx(141, abs=0.5)


def test_with_errors_of_5_percent_about_50_become_over_100():
    for sensitivity, known, varying in ((1.0, 46, 99), (0.9, 51, 110)):
        found = [limit(2e6, cv=cv, sensitivity=sensitivity, alpha=0.05).per_ul for cv in (0.0, 0.5)]
        assert found == pytest.approx([known, varying], abs=0.6)  # whole parasites


@pytest.mark.parametrize("cells", [1e5, 2e6, 3e7])
def test_blank_counts_are_quantiles(cells: float):
    assert limit(cells, cv=0.0).blank_count == poisson.ppf(0.975, cells * 1e-5)
    # 377 slides stand for all: their quantile is off by at most one of them
    near = nbinom.ppf([0.9735, 0.9765], 4, 4 / (4 + cells * 1e-5))
    assert near[0] <= limit(cells, cv=0.5).blank_count <= near[1]


def test_limits_level_off_where_slides_differ_and_fall_on_where_they_do_not():
    cells = (2e4, 2e5, 2e6, 2e7, 2e8)
    known = [limit(each, cv=0.0).per_ul for each in cells]
    varying = [limit(each, cv=0.5).per_ul for each in cells]
    floor = limit(math.inf, cv=0.5)
    assert np.diff(known).max() < 0
    assert np.diff(varying).max() < 0
    assert known[-1] < 6
    assert floor.per_ul < varying[-1] < 1.01 * floor.per_ul
    # what 97.5 % of slides stay below must be exceeded by the parasites of the slide with the fewest false ones of 95 %
    edges = gamma.ppf([0.975, 0.05], 4, scale=2.5e-6)
    assert floor.per_ul == pytest.approx((edges[0] - edges[1]) / 0.8 * 5e6, rel=0.02)  # 377 quantiles
    assert limit(math.inf, cv=0.0).per_ul == pytest.approx(0.0, abs=1e-6)


def test_an_estimated_slide_rate_lowers_the_floor():
    varying = GammaRate(1e-5, 0.5)
    controlled = ReaderErrors(BetaShare(0.8), varying.given(200, 20_000_000))
    assert limit_of_detection(2e6, controlled).per_ul < 0.7 * limit(2e6, cv=0.5, alpha=0.05).per_ul


def test_a_reader_that_misses_on_many_slides_has_no_limit():
    errors = ReaderErrors(BetaShare(0.03, 0.1), GammaRate(1e-3, 0.5))
    assert limit_of_detection(1e6, errors).per_ul == math.inf


@pytest.mark.parametrize(("cells", "alpha"), [(0, 0.05), (1e6, 0.0), (1e6, 1.0)])
def test_impossible_designs_are_refused(cells: float, alpha: float):
    with pytest.raises(InputError):
        limit(cells, cv=0.5, alpha=alpha)
