"""Answers of an operator count as they should, also where only the most suspicious cells were looked at."""

import numpy as np
import pytest

from lsm.errors import InputError, WrongFormat
from lsm.stats import ScoreCalibration, estimate_prevalence
from lsm.stats.reviewed import OperatorAccuracy, estimate_reviewed

INFECTED, HEALTHY = np.array([0.05, 0.15, 0.8]), np.array([0.9, 0.08, 0.02])
NONE = np.zeros((1, 3), dtype=np.int64)


def known() -> ScoreCalibration:
    """A reader that is known and the same on every slide."""
    sure = np.full((1, 3), 1e9)
    return ScoreCalibration((INFECTED * 1e7)[None], (HEALTHY * 1e7)[None], sure, sure)


def slide(prevalence: float, cells: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Infected and healthy cells per bin."""
    infected = rng.binomial(cells, prevalence)
    return rng.multinomial(infected, INFECTED)[None], rng.multinomial(cells - infected, HEALTHY)[None]


def test_without_answers_nothing_changes():
    infected, healthy = slide(0.03, 5000, np.random.default_rng(1))
    counts = infected + healthy
    plain, same = estimate_prevalence(counts, known()), estimate_reviewed(counts, NONE, NONE, known())
    assert same.prevalence == pytest.approx(plain.prevalence, rel=1e-6)  # the same sums, with empty bins beside
    # the bins' order in float32 sums moves the ends by less than a grid step
    assert (same.low, same.high) == pytest.approx((plain.low, plain.high), rel=0.02)


def test_all_cells_answered_is_a_count():
    infected, healthy = slide(0.03, 2000, np.random.default_rng(2))
    found = estimate_reviewed(infected + healthy, infected, healthy, known())
    assert found.prevalence == pytest.approx(infected.sum() / 2000, rel=1e-3)  # EM ends there


def test_a_review_of_the_top_bin_alone_does_not_bias_the_estimate():
    rng, ends, held = np.random.default_rng(3), [], 0
    for _ in range(200):
        infected, healthy = slide(0.02, 3000, rng)
        top = np.array([[0, 0, 1]])
        found = estimate_reviewed(infected + healthy, infected * top, healthy * top, known())
        ends.append(found.prevalence)
        held += found.low <= 0.02 <= found.high
    # mean of 200 slides: 60 +- 8 infected each, so 1 % of the mean
    assert np.mean(ends) == pytest.approx(0.02, rel=0.04)
    assert held >= 180  # 95 % of 200, less three standard deviations


def test_rejections_lower_and_acceptances_raise_the_estimate():
    infected, healthy = slide(0.03, 3000, np.random.default_rng(4))
    counts, ten = infected + healthy, np.array([[0, 0, 10]])
    before = estimate_reviewed(counts, NONE, NONE, known()).prevalence
    assert estimate_reviewed(counts, NONE, ten, known()).prevalence < before
    assert estimate_reviewed(counts, ten, NONE, known()).prevalence > before


def test_an_operator_who_errs_says_less():
    infected, healthy = slide(0.03, 3000, np.random.default_rng(5))
    counts, ten = infected + healthy, np.array([[0, 0, 10]])
    before, sure = (estimate_reviewed(counts, NONE, said, known()).prevalence for said in (NONE, ten))
    unsure = estimate_reviewed(counts, NONE, ten, known(), operator=OperatorAccuracy(0.7, 0.7)).prevalence
    assert sure < unsure < before


def test_impossible_answers_are_refused():
    with pytest.raises(WrongFormat, match="do not fit"):
        estimate_reviewed(np.array([[5, 1, 1]]), np.array([[0, 0, 2]]), NONE, known())
    with pytest.raises(InputError, match="tells nothing"):
        OperatorAccuracy(0.5, 1.0)
