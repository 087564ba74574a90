"""Mean and variation of false positives from control slides: recovered, covered, and cautious where slides are few."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lsm.errors import WrongFormat
from lsm.stats import GammaRateFit, fit_gamma_rate


def controls(rng: np.random.Generator, *, slides: int, mean: float = 1e-5, cv: float = 0.5) -> GammaRateFit:
    """A fit to slides with 100,000 to 2 million cells."""
    cells = rng.integers(100_000, 2_000_000, slides)
    rates = np.full(slides, mean) if cv == 0 else rng.gamma(cv**-2, mean * cv**2, slides)
    return fit_gamma_rate(rng.poisson(rates * cells), cells)


def test_many_slides_give_the_distribution_back():
    found = controls(np.random.default_rng(0), slides=400)
    # 400 slides: 2.5 % for the mean, some 5 % for the variation
    assert found.mean.value == pytest.approx(1e-5, rel=0.08)
    assert found.cv.value == pytest.approx(0.5, rel=0.15)
    assert found.new_slide.cv == pytest.approx(found.cv.value, rel=0.02)


def test_intervals_cover():
    rng = np.random.default_rng(1)
    fits = [controls(rng, slides=20) for _ in range(120)]
    for hits in (
        sum(fit.mean.low <= 1e-5 <= fit.mean.high for fit in fits),
        sum(fit.cv.low <= 0.5 <= fit.cv.high for fit in fits),
    ):
        assert binomtest(hits, len(fits), 0.95, alternative="less").pvalue > 1e-3


def test_slides_that_are_alike_may_not_vary_at_all():
    found = controls(np.random.default_rng(2), slides=200, cv=0.0)
    assert found.cv.low == 0.0
    # ten events a slide: the squared variation is known to 0.1 / sqrt(100), twice that is 0.14 squared
    assert found.cv.high < 0.25


def test_few_slides_expect_more_of_the_next_one():
    rng = np.random.default_rng(3)
    few, many = (np.median([controls(rng, slides=n).new_slide.cv for _ in range(20)]) for n in (5, 60))
    assert few > 1.2 * many


def test_no_events_bound_the_mean():
    found = fit_gamma_rate(np.zeros(20, dtype=np.int64), np.full(20, 100_000))
    assert found.mean.low < 1e-8
    # 3 / 2,000,000 if slides were alike, and they need not be
    assert 1e-6 < found.mean.high < 5e-6


def test_empty_slides_do_not_count():
    events, cells = np.array([3, 0, 5, 2, 0]), np.array([100_000, 0, 200_000, 150_000, 0])
    used = cells > 0
    assert fit_gamma_rate(events, cells) == fit_gamma_rate(events[used], cells[used])
    assert fit_gamma_rate(events, cells).slides == 3


@pytest.mark.parametrize(
    ("events", "cells"), [([1], [100]), ([1, 2], [100]), ([1, -2], [100, 100]), ([3, 1], [2, 100]), ([1, 0], [100, 0])]
)
def test_impossible_controls_are_refused(events: list[int], cells: list[int]):
    with pytest.raises(WrongFormat):
        fit_gamma_rate(np.array(events), np.array(cells))
