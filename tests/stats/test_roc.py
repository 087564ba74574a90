"""The ROC curve and its area against the definition, and intervals that respect slides."""

import numpy as np
import pytest

from lsm.errors import WrongFormat
from lsm.stats import auc, auc_interval, roc_curve


def by_definition(scores: np.ndarray, positive: np.ndarray) -> float:
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@pytest.mark.parametrize("decimals", [1, 6])
def test_area_is_the_chance_of_a_pair_in_order(decimals: int):
    """Holds with many ties (one decimal) and without."""
    rng = np.random.default_rng(1)
    positive = rng.random(300) < 0.3
    scores = np.round(rng.normal(positive * 1.0, 1.0), decimals)
    assert auc(scores, positive) == pytest.approx(by_definition(scores, positive), rel=1e-12)  # sums of 1e4 terms
    curve = roc_curve(scores, positive)
    under = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert under == pytest.approx(auc(scores, positive), rel=1e-12)


def test_curve_runs_from_corner_to_corner_and_never_falls():
    curve = roc_curve(np.array([0.9, 0.9, 0.4, 0.1]), np.array([True, False, True, False]))
    assert curve.true_positive_rate.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.false_positive_rate.tolist() == [0.0, 0.5, 0.5, 1.0]
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.4, 0.1]


def test_interval_widens_when_cells_of_a_slide_go_together():
    """Thirty slides that shift all their scores say less than thousands of cells that do not."""
    rng = np.random.default_rng(2)
    slide = np.repeat(np.arange(30), 100)
    positive = rng.random(3000) < 0.2
    own = rng.normal(positive * 1.5, 1.0)
    shifted = own + rng.normal(0, 1.0, 30)[slide]
    alone = auc_interval(own, positive, slide, rng=rng, draws=200)
    together = auc_interval(shifted, positive, slide, rng=rng, draws=200)
    assert together.low < together.auc < together.high
    # The variance grows by about 1 + (100 - 1) * 0.5 on the part that slides share; twice is far below that.
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_same_generator_gives_the_same_interval_and_one_slide_none():
    rng = np.random.default_rng(3)
    positive = rng.random(200) < 0.5
    scores = rng.normal(positive * 1.0, 1.0)
    slide = np.repeat(np.arange(10), 20)
    first = auc_interval(scores, positive, slide, rng=np.random.default_rng(7), draws=50)
    assert first == auc_interval(scores, positive, slide, rng=np.random.default_rng(7), draws=50)
    lone = auc_interval(scores, positive, np.zeros(200, dtype=np.int64), rng=rng, draws=50)
    assert (lone.low, lone.high) == (0.0, 1.0)


def test_a_missing_class_is_refused():
    with pytest.raises(WrongFormat):
        auc(np.array([0.1, 0.2]), np.array([True, True]))
