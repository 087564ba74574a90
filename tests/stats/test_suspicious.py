"""From histograms of scores to a count with its errors: what the calibration says, and nothing of the slide itself."""

import numpy as np
import pytest
from stained_slides import BINS, calibrate, slide_counts

from lsm.errors import WrongFormat
from lsm.stats import BetaShare, GammaRate, ReaderErrors, ScoreCalibration, thin_film_density
from lsm.stats.suspicious import best_first_bin, count_suspicious, errors_above

CALIBRATION = calibrate(np.random.default_rng(0))
EVEN = np.full(4, 0.25)


def test_cells_from_the_bin_upwards_are_counted_under_all_captures():
    counts = np.arange(4 * BINS).reshape(4, BINS)
    found = count_suspicious(counts, CALIBRATION, 7)
    assert (found.suspicious, found.cells) == (int(counts[:, 7:].sum()), int(counts.sum()))


def test_errors_are_the_calibrations_shares():
    errors = errors_above(CALIBRATION, np.array([0.0, 1.0, 0.0, 0.0]), 7)
    assert errors.sensitivity.mean == pytest.approx(CALIBRATION.p_infected[1, 7:].sum())
    assert errors.false_positives.mean == pytest.approx(CALIBRATION.p_uninfected[1, 7:].sum())


def test_one_bin_varies_as_its_concentration_says():
    trust = np.full((1, 2), 99.0)
    calibration = ScoreCalibration(np.array([[100, 900]]), np.array([[990, 10]]), trust, trust)
    errors = errors_above(calibration, np.ones(1), 1)
    share = errors.false_positives.mean
    assert errors.false_positives.cv == pytest.approx(np.sqrt((1 - share) / (share * 100)))


def test_more_captures_do_not_average_a_slide_away():
    one = errors_above(CALIBRATION, np.array([0.0, 1.0, 0.0, 0.0]), 8).false_positives
    spread = ScoreCalibration(*(np.tile(array[1], (4, 1)) for array in CALIBRATION.to_arrays().values()))
    assert errors_above(spread, EVEN, 8).false_positives.cv == pytest.approx(one.cv)


def test_the_best_threshold_is_high_where_cells_are_many_and_parasites_rare():
    few, many = (best_first_bin(CALIBRATION, EVEN, cells) for cells in (50, 1_000_000))
    assert few <= many
    assert many >= 7


def test_intervals_from_it_cover():
    """A threshold fixed by the calibration, 5 % infected, every slide with its own stain."""
    rng = np.random.default_rng(4)
    hits = 0
    for slide in range(60):
        calibration = calibrate(rng) if slide % 6 == 0 else calibration  # noqa: F821
        infected, uninfected = slide_counts(rng, cells=3000, prevalence=0.05)
        found = count_suspicious(infected + uninfected, calibration, 7)
        estimate = thin_film_density(found.suspicious, found.cells, found.errors)
        hits += estimate.low <= 0.05 * 5e6 <= estimate.high
    # at a true coverage of 95 % fewer than 50 of 60 hits have a chance of 1 in 1,000
    assert hits >= 50


def test_thresholds_that_do_not_exist_are_refused():
    counts = np.ones((4, BINS), dtype=np.int64)
    for first_bin in (0, BINS):
        with pytest.raises(WrongFormat):
            count_suspicious(counts, CALIBRATION, first_bin)
    with pytest.raises(WrongFormat):
        count_suspicious(counts[:2], CALIBRATION, 5)
    assert ReaderErrors(BetaShare(0.5), GammaRate(0.1)).sensitivity.mean == 0.5
