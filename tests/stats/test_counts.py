"""Intervals for expected counts against closed forms, an independent library and their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chi2, nbinom, poisson

from lsm.errors import InputError
from lsm.stats import clopper_pearson, gamma_poisson_interval, mid_p, poisson_interval


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 500))
def test_exact_poisson_is_garwoods(count: int):
    low, high = poisson_interval(count, exact=True)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2 if count else 0.0, rel=1e-9)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 2, rel=1e-9)


def test_no_events_leave_three_by_mid_p():
    """Half of exp(-m) is 2.5 % at m = ln 20."""
    assert poisson_interval(0) == (0.0, pytest.approx(np.log(20)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.floats(0, 1.2))
def test_mid_p_lies_within_exact_and_holds_the_count(count: int, cv: float):
    inner, outer = gamma_poisson_interval(count, cv), gamma_poisson_interval(count, cv, exact=True)
    near = 1 + 1e-6  # inverse beta functions with shapes up to 1e8
    assert outer[0] <= inner[0] * near <= count * near**2
    assert count <= inner[1] * near <= outer[1] * near**2


@pytest.mark.parametrize("count", [3, 20, 150])
def test_more_variation_widens(count: int):
    ends = np.array([gamma_poisson_interval(count, cv) for cv in (0.0, 0.1, 0.3, 0.6, 1.0)])
    assert np.diff(ends[:, 0]).max() < 0
    assert np.diff(ends[:, 1]).min() > 0


def test_without_variation_it_is_poisson():
    assert gamma_poisson_interval(17, 0.0) == poisson_interval(17)
    close = gamma_poisson_interval(17, 1e-3)
    assert close == pytest.approx(poisson_interval(17), rel=1e-4)  # the variance grows by 2e-5


@pytest.mark.parametrize("cv", [0.0, 0.5])
def test_coverage_is_nominal_on_average_where_exact_is_too_high(cv: float):
    """Exactly, over expectations from 2 to 30, from the probabilities of all counts."""
    counts = np.arange(0, 200)
    middle, exact = (
        np.array([gamma_poisson_interval(int(count), cv, exact=each) for count in counts]) for each in (False, True)
    )
    covered = []
    for mean in np.geomspace(2, 30, 30):
        chance = poisson.pmf(counts, mean) if cv == 0 else nbinom.pmf(counts, cv**-2, cv**-2 / (cv**-2 + mean))
        covered.append([chance[(ends[:, 0] <= mean) & (mean <= ends[:, 1])].sum() for ends in (middle, exact)])
    found = np.array(covered)
    assert found[:, 1].min() >= 0.95 - 1e-6  # counts beyond 200 are left out
    assert found[:, 0].mean() == pytest.approx(
        0.952, abs=0.006
    )  # the swing of single means, a percent, over 30 of them
    assert found[:, 1].mean() > found[:, 0].mean() + 0.005


def test_mid_p_of_a_fraction_is_nominal_on_average():
    n = 35
    ends = np.array([mid_p(k, n) for k in range(n + 1)])
    truth = np.linspace(0.5, 0.98, 60)
    held = (ends[:, 0] <= truth[:, None]) & (truth[:, None] <= ends[:, 1])
    covered = (binom.pmf(np.arange(n + 1), n, truth[:, None]) * held).sum(axis=1)
    assert covered.mean() == pytest.approx(0.957, abs=0.01)  # 35 trials: single fractions swing by 3 %
    assert mid_p(33, n)[0] > clopper_pearson(33, n)[0]
    assert (mid_p(0, n)[0], mid_p(n, n)[1]) == (0.0, 1.0)


@pytest.mark.parametrize(("count", "cv", "confidence"), [(-1, 0.0, 0.95), (3, -0.5, 0.95), (3, 0.0, 0.0)])
def test_impossible_numbers_are_refused(count: int, cv: float, confidence: float):
    with pytest.raises(InputError):
        gamma_poisson_interval(count, cv, confidence=confidence)
