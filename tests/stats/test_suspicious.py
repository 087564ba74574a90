"""From histograms of scores to a count with its errors: what the calibration says, and nothing of the slide itself."""

import numpy as np
import pytest
from stained_slides import BINS, calibrate, slide_counts

from lsm.errors import WrongFormat
from lsm.stats import BetaShare, GammaRate, ReaderErrors, ScoreCalibration, thin_film_density
from lsm.stats.suspicious import best_first_bin, count_suspicious, errors_above

CALIBRATION = calibrate(np.random.default_rng(0))
SEEN = np.array([0.0, 1.0, 1.0, 1.0]) / 3
ONE_MASK = np.array([0.0, 1.0, 0.0, 0.0])


def alike(false: np.ndarray, cells: int, *, found: int = 8) -> ScoreCalibration:
    """One set of captures, two bins; `found` of 10 infected cells, and so many false positives, on each slide."""
    infected = np.tile([[[10 - found, found]]], (len(false), 1, 1))
    return ScoreCalibration.from_slides(infected, np.stack([cells - false, false], axis=1)[:, None, :])


def test_cells_from_the_bin_upwards_are_counted_under_all_captures():
    counts = np.arange(4 * BINS).reshape(4, BINS)
    counts[0] = 0
    found = count_suspicious(counts, CALIBRATION, 7)
    assert (found.suspicious, found.cells) == (int(counts[:, 7:].sum()), int(counts.sum()))


def test_many_cells_alike_leave_the_calibrations_shares():
    """Two hundred slides whose counts are Poisson's: the mean is known to 1 %, and hardly any variation is left."""
    false = np.random.default_rng(0).poisson(50, 200)
    errors = errors_above(alike(false, 1000), np.ones(1), 1)
    assert errors.false_positives.mean == pytest.approx(false.sum() / 200_000, rel=0.01)
    # of 200 slides with 50 each, the variation that Poisson's hides is at most some 4 %
    assert errors.false_positives.cv < 0.06
    assert errors.sensitivity.mean == pytest.approx(0.8, abs=0.001)


def test_a_threshold_that_no_false_positive_passed_is_not_taken_to_be_perfect():
    """On 20 slides of 500,000 none passed; Jeffreys expects half a cell, and up to 2.5 cannot be excluded."""
    rate = errors_above(alike(np.zeros(20, dtype=np.int64), 500_000), np.ones(1), 1).false_positives
    assert 0.4 / 1e7 < rate.mean < 1 / 1e7
    assert rate.interval()[1] > 2.5 / 1e7


def test_bins_of_which_calibration_slides_hold_nothing_do_not_widen_what_is_known_of_the_others():
    """Ten empty bins above the threshold say no more than one."""
    rng = np.random.default_rng(2)
    false = rng.poisson(30, 20)
    plain = alike(false, 10_000)
    infected, uninfected = plain.to_arrays()["infected_slides"], plain.to_arrays()["uninfected_slides"]
    finer = [np.pad(part, ((0, 0), (0, 0), (0, 10))) for part in (infected, uninfected)]
    wide = errors_above(ScoreCalibration.from_slides(*finer), np.ones(1), 1)
    assert wide == errors_above(plain, np.ones(1), 1)


def test_more_captures_do_not_average_a_slide_away():
    one = errors_above(CALIBRATION, ONE_MASK, 8).false_positives
    slides = [CALIBRATION.to_arrays()[name][:, [1, 1, 1, 1]] for name in ("infected_slides", "uninfected_slides")]
    assert errors_above(ScoreCalibration.from_slides(*slides), SEEN, 8).false_positives.cv == pytest.approx(one.cv)


def test_a_slide_without_cells_is_read_as_the_calibration_slides_are():
    found = count_suspicious(np.zeros((4, BINS), dtype=np.int64), CALIBRATION, 7)
    per_mask = CALIBRATION.uninfected.sum(axis=1)
    assert found.cells == 0
    assert found.errors == errors_above(CALIBRATION, per_mask / per_mask.sum(), 7)


def test_sums_of_slides_do_not_tell_how_a_threshold_errs():
    arrays = {name: each for name, each in CALIBRATION.to_arrays().items() if not name.endswith("_slides")}
    with pytest.raises(WrongFormat, match="only the sums"):
        errors_above(ScoreCalibration.from_arrays(arrays), ONE_MASK, 7)


def test_captures_that_no_calibration_slide_shows_are_refused():
    with pytest.raises(WrongFormat, match="captures 0"):
        errors_above(CALIBRATION, np.array([1.0, 0.0, 0.0, 0.0]), 7)


def test_the_best_threshold_is_high_where_cells_are_many_and_parasites_rare():
    few, many = (best_first_bin(CALIBRATION, SEEN, cells) for cells in (50, 1_000_000))
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
    counts[0] = 0
    for first_bin in (0, BINS):
        with pytest.raises(WrongFormat):
            count_suspicious(counts, CALIBRATION, first_bin)
    with pytest.raises(WrongFormat):
        count_suspicious(counts[:2], CALIBRATION, 5)
    assert ReaderErrors(BetaShare(0.5), GammaRate(0.1)).sensitivity.mean == 0.5
