"""Sensitivity and specificity of slides, and detection against density."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from lsm.errors import WrongFormat
from lsm.stats import (
    Share,
    fit_detection_curve,
    operating_point,
    patient_accuracy,
    sensitivity_by_density,
    wilson,
)


def test_33_of_35_slides_are_81_to_98_percent():
    infected = np.array([True] * 35 + [False] * 20)
    called = np.array([True] * 33 + [False] * 2 + [True] * 1 + [False] * 19)
    found = patient_accuracy(infected, called)
    assert found.sensitivity == Share(33 / 35, *wilson(33, 35), 33, 35)
    assert (round(found.sensitivity.low, 2), round(found.sensitivity.high, 2)) == (0.81, 0.98)
    assert (found.specificity.right, found.specificity.of) == (19, 20)


def test_without_infected_slides_sensitivity_is_unknown():
    found = patient_accuracy(np.zeros(5, dtype=bool), np.zeros(5, dtype=bool)).sensitivity
    assert np.isnan(found.value)
    assert (found.low, found.high, found.of) == (0.0, 1.0, 0)


def slides_of(rng: np.random.Generator, each: int) -> tuple[np.ndarray, np.ndarray]:
    infected = np.arange(2 * each) < each
    return infected, rng.normal(2.0 * infected, 1.0)


def test_operating_point_has_the_specificity_that_was_asked_for():
    infected, scores = slides_of(np.random.default_rng(0), 60)
    found = operating_point(infected, scores, specificity=0.9, rng=np.random.default_rng(1))
    assert found.specificity.value >= 0.9
    assert (scores[~infected] < found.threshold).sum() == 54
    assert found.sensitivity.value == (scores[infected] >= found.threshold).mean()


def test_operating_point_covers_the_sensitivity_at_the_true_threshold():
    """Normal scores two standard deviations apart: 76.4 % at a specificity of 90 %."""
    rng, hits = np.random.default_rng(2), 0
    truth = 0.7637  # 1 - Phi(1.2816 - 2)
    for _ in range(100):
        found = operating_point(*slides_of(rng, 60), specificity=0.9, rng=rng, draws=400)
        hits += found.sensitivity.low <= truth <= found.sensitivity.high
    # a percentile interval of 60 slides covers a little less than it says: not less than 90 %
    assert binomtest(hits, 100, 0.90, alternative="less").pvalue > 1e-3


def test_bins_hold_their_slides():
    per_ul = np.array([10.0, 50.0, 100.0, 150.0, 3000.0])
    called = np.array([False, True, True, True, True])
    low, middle, high = sensitivity_by_density(per_ul, called, [0, 100, 1000, 10_000])
    assert [(each.right, each.of) for each in (low, middle, high)] == [(1, 2), (2, 2), (1, 1)]


def curve_slides(rng: np.random.Generator, slides: int) -> tuple[np.ndarray, np.ndarray]:
    """Half are found at 100/uL, log odds rise by 5 per decade."""
    per_ul = 10 ** rng.uniform(1, 4, slides)
    return per_ul, rng.random(slides) < expit(5 * (np.log10(per_ul) - 2))


def test_detection_curve_covers():
    rng = np.random.default_rng(3)
    hits = np.zeros(3, dtype=int)
    limit = 10 ** (2 + np.log(19) / 5)
    for _ in range(100):
        curve = fit_detection_curve(*curve_slides(rng, 60))
        for place, (found, truth) in enumerate(
            ((curve.at(100.0), 0.5), (curve.at(300.0), expit(5 * np.log10(3))), (curve.density(0.95), limit))
        ):
            hits[place] += found.low <= truth <= found.high
    assert all(binomtest(int(each), 100, 0.95, alternative="less").pvalue > 1e-3 for each in hits)


def test_detection_curve_stays_finite_where_all_slides_above_a_density_are_found():
    per_ul = np.array([20.0, 40.0, 60.0, 200.0, 400.0, 900.0, 5000.0])
    curve = fit_detection_curve(per_ul, per_ul > 100)
    assert curve.at(110.0).low < 0.5 < curve.at(110.0).high
    assert curve.at(5000.0).low > 0.8
    limit = curve.density(0.95)
    assert 60 < limit.low < limit.value < limit.high < 1e5


def test_sensitivity_rises_with_density():
    curve = fit_detection_curve(*curve_slides(np.random.default_rng(4), 40))
    values = [curve.at(per_ul).value for per_ul in (10.0, 50.0, 100.0, 500.0, 5000.0)]
    assert np.diff(values).min() > 0
    assert curve.density(0.5).value == pytest.approx(100, rel=0.6)  # 40 slides over three decades


def test_slides_that_do_not_fit_are_refused():
    some, other = np.ones(4, dtype=bool), np.ones(3, dtype=bool)
    with pytest.raises(WrongFormat):
        patient_accuracy(some, other)
    with pytest.raises(WrongFormat):
        operating_point(some, np.ones(4), specificity=0.9, rng=np.random.default_rng(0))
    with pytest.raises(WrongFormat):
        fit_detection_curve(np.array([0.0, 10.0]), np.array([False, True]))
