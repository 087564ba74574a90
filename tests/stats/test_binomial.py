"""Intervals for k of n against published values, an independent library and their own laws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lsm.errors import InputError
from lsm.stats import clopper_pearson, wilson

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_33_of_35_is_81_to_98_percent():
    """The example of the WHO competence assessment: 33 of 35 right."""
    low, high = clopper_pearson(33, 35)
    assert (low, high) == pytest.approx((0.808, 0.993), abs=5e-4)  # scipy's exact values, rounded to 3 digits
    assert wilson(33, 35) == pytest.approx((0.814, 0.984), abs=5e-4)


@given(COUNTS)
def test_both_agree_with_scipy(count: tuple[int, int]):
    k, n = count
    for ours, method in ((wilson(k, n), "wilson"), (clopper_pearson(k, n), "exact")):
        theirs = binomtest(k, n).proportion_ci(0.95, method=method)
        assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-8)  # scipy solves the exact one iteratively


@given(COUNTS)
def test_exact_interval_holds_wilson_centre_and_the_fraction(count: tuple[int, int]):
    k, n = count
    low, high = clopper_pearson(k, n)
    assert 0 <= low <= k / n <= high <= 1


def test_no_trials_know_nothing():
    assert wilson(0, 0) == (0.0, 1.0)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)])
def test_impossible_counts_are_refused(k: int, n: int, confidence: float):
    with pytest.raises(InputError):
        wilson(k, n, confidence=confidence)
