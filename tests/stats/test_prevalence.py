"""Prevalence from imperfect scores: honest intervals, sensible ends, and the cheap forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stained_slides import calibrate, slide_counts

from lsm.errors import WrongFormat
from lsm.stats import (
    ScoreCalibration,
    cell_posterior,
    clopper_pearson,
    density_per_ul,
    estimate_prevalence,
    half_width,
    prevalence_em,
    wilson,
)

CALIBRATION = calibrate(np.random.default_rng(0))
PERFECT = ScoreCalibration(
    np.array([[0, 10_000_000]]), np.array([[10_000_000, 0]]), np.full((1, 2), 1e7), np.full((1, 2), 1e7)
)


def covered(prevalence: float, *, slides: int, cells: int, seed: int) -> tuple[int, int]:
    """How many of `slides` intervals hold the truth: ours, and a plain count above 0.5 with Wilson's interval."""
    rng = np.random.default_rng(seed)
    ours = naive = 0
    for slide in range(slides):
        calibration = calibrate(rng) if slide % 8 == 0 else calibration  # noqa: F821
        infected, uninfected = slide_counts(rng, cells=cells, prevalence=prevalence)
        counts = infected + uninfected
        estimate = estimate_prevalence(counts, calibration)
        ours += estimate.low <= prevalence <= estimate.high
        low, high = wilson(int(counts[:, 5:].sum()), cells)
        naive += low <= prevalence <= high
    return ours, naive


@pytest.mark.parametrize(("prevalence", "cells"), [(0.0, 2000), (0.01, 400), (0.05, 4000), (0.3, 4000)])
def test_95_percent_interval_covers_at_least_90_percent_where_a_plain_count_does_not(prevalence: float, cells: int):
    """80 slides, each with its own stain, a fresh calibration for every 8."""
    slides = 80
    ours, naive = covered(prevalence, slides=slides, cells=cells, seed=11)
    # At a true coverage of 95 % fewer than 69 of 80 hits have a chance below 0.2 %; 90 % of 80 is 72.
    assert ours >= 72
    assert clopper_pearson(naive, slides)[1] < 0.90


def test_fixed_false_positive_rate_would_be_too_sure():
    """The same calibration without its slide-to-slide variation fails the coverage that it has with it."""
    rng = np.random.default_rng(5)
    sure = ScoreCalibration(CALIBRATION.infected, CALIBRATION.uninfected, np.full((4, 10), 1e7), np.full((4, 10), 1e7))
    hits = 0
    for _ in range(80):
        infected, uninfected = slide_counts(rng, cells=4000, prevalence=0.05)
        estimate = estimate_prevalence(infected + uninfected, sure)
        hits += estimate.low <= 0.05 <= estimate.high
    assert clopper_pearson(hits, 80)[1] < 0.90


def test_perfect_scores_give_the_binomial_answer():
    counts = np.array([[950, 50]])
    estimate = estimate_prevalence(counts, PERFECT)
    low, high = wilson(50, 1000)
    assert estimate.prevalence == pytest.approx(0.05, abs=1e-5)  # 1e-7 of either class is smoothed into the wrong bin
    # A flat prior's shortest interval is shifted from Wilson's by about 1/n.
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=2e-3)


@given(st.integers(1, 20_000))
@settings(max_examples=25, deadline=None)
def test_no_infected_cell_bounds_the_prevalence_by_three_over_n(cells: int):
    """The rule of three: exactly 1 - 0.05^(1 / (n + 1)) for a flat prior."""
    estimate = estimate_prevalence(np.array([[cells, 0]]), PERFECT)
    assert estimate.low == 0.0
    assert estimate.prevalence < 1e-3 / cells
    assert estimate.high == pytest.approx(1 - 0.05 ** (1 / (cells + 1)), rel=0.02)  # 160 grid points


def test_no_cells_know_nothing_and_few_cells_little():
    none = estimate_prevalence(np.zeros((4, 10), dtype=np.int64), CALIBRATION)
    assert (none.low, none.high, none.cells) == (0.0, 1.0, 0)
    few = np.zeros((4, 10), dtype=np.int64)
    few[2, 0], few[2, 9] = 3, 1
    estimate = estimate_prevalence(few, CALIBRATION)
    assert estimate.high - estimate.low > 0.5
    assert estimate.cells == 4


def test_all_infected_reaches_one():
    estimate = estimate_prevalence(np.array([[0, 500]]), PERFECT)
    assert estimate.high == 1.0
    assert estimate.low > 0.99


def test_interval_narrows_with_cells_but_not_below_the_slides_own_variation():
    rng = np.random.default_rng(3)
    widths = []
    for cells in (300, 3000, 300_000):
        infected, uninfected = slide_counts(rng, cells=cells, prevalence=0.05, stain=0.0)
        widths.append(estimate_prevalence(infected + uninfected, CALIBRATION).half_width)
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] > widths[1] / 3  # a count alone would narrow tenfold


def test_more_captures_of_one_slide_do_not_average_its_stain_away():
    """Half-width from one mask only, and from the same cells spread over three masks alike."""
    one = calibrate(np.random.default_rng(8), masks=2)
    slides = [one.to_arrays()[name][:, [1, 1, 1]] for name in ("infected_slides", "uninfected_slides")]
    spread = ScoreCalibration.from_slides(*slides)
    infected, uninfected = slide_counts(np.random.default_rng(9), cells=30_000, prevalence=0.05, masks=2)
    counts = infected + uninfected
    alone = estimate_prevalence(counts, one).half_width
    split = estimate_prevalence(np.tile(counts[1] // 3, (3, 1)), spread).half_width
    assert split == pytest.approx(alone, rel=0.1)  # same cells but for the rounding, other random draws


def test_same_counts_give_the_same_estimate():
    counts = np.arange(40).reshape(4, 10)
    assert estimate_prevalence(counts, CALIBRATION) == estimate_prevalence(counts, CALIBRATION)


def test_wrong_shape_is_refused():
    with pytest.raises(WrongFormat, match="calibration"):
        estimate_prevalence(np.zeros((3, 10), dtype=np.int64), CALIBRATION)


def test_em_of_a_batch_equals_em_one_by_one_and_climbs_the_likelihood():
    rng = np.random.default_rng(4)
    batch = rng.integers(0, 30, (5, 4, 10))
    batch[0] = 0
    p_infected, p_uninfected = CALIBRATION.p_infected, CALIBRATION.p_uninfected
    found = prevalence_em(batch, p_infected, p_uninfected, 500)
    assert found[0] == 0.5
    for counts, value in zip(batch[1:], found[1:], strict=True):
        assert float(prevalence_em(counts, p_infected, p_uninfected, 500)) == pytest.approx(value, rel=1e-12)

        def log_likelihood(prevalence: float, counts: np.ndarray = counts) -> float:
            return float((counts * np.log(prevalence * p_infected + (1 - prevalence) * p_uninfected)).sum())

        # The likelihood falls off by about (0.01 / 0.04)^2 / 2 at a distance of 0.01.
        assert log_likelihood(value) > max(log_likelihood(value - 0.01), log_likelihood(value + 0.01))


def test_cheap_half_width_is_that_of_the_interval():
    rng = np.random.default_rng(6)
    for prevalence, cells in ((0.05, 500), (0.05, 5000), (0.2, 5000)):
        infected, uninfected = slide_counts(rng, cells=cells, prevalence=prevalence)
        estimate = estimate_prevalence(infected + uninfected, CALIBRATION)
        cheap = float(half_width(infected + uninfected, np.array(estimate.prevalence), CALIBRATION))
        assert cheap == pytest.approx(estimate.half_width, rel=0.35)  # normal approximation of a skewed posterior
    assert float(half_width(np.zeros((4, 10)), np.array(0.5), CALIBRATION)) == 0.5


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_cell_posterior_multiplies_the_odds(score: float, prevalence: float):
    posterior = float(cell_posterior(np.array([score]), prevalence)[0])
    odds = score / (1 - score) * prevalence / (1 - prevalence)
    assert posterior / (1 - posterior) == pytest.approx(odds, rel=1e-6)  # 1 - p loses digits near 1


def test_cell_posterior_keeps_the_score_at_balance_and_follows_a_certain_prevalence():
    scores = np.array([0.0, 0.3, 1.0])
    assert cell_posterior(scores, 0.5) == pytest.approx(scores)
    assert cell_posterior(scores, 0.0) == pytest.approx(np.zeros(3))


def test_one_percent_is_fifty_thousand_per_microlitre():
    assert density_per_ul(0.01) == pytest.approx(50_000)
    assert density_per_ul(0.01, red_cells_per_ul=4e6) == pytest.approx(40_000)
