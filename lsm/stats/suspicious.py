"""From score histograms to suspicious cells: how many lie above a threshold, and how often such a call is wrong."""

from dataclasses import dataclass

import numpy as np

from lsm.errors import WrongFormat
from lsm.stats.calibration import MaskBins, ScoreCalibration
from lsm.stats.limits import limit_of_detection
from lsm.stats.rates import BetaShare, GammaRate, ReaderErrors
from lsm.stats.thresholds import MaskWeights


@dataclass(frozen=True)
class SuspiciousCount:
    """Cells from a score bin upwards among all, and the errors of calling them infected."""

    suspicious: int
    cells: int
    errors: ReaderErrors


def count_suspicious(counts: MaskBins, calibration: ScoreCalibration, first_bin: int) -> SuspiciousCount:
    """The slide's cells in `first_bin` and above, whatever captures they were seen under.

    counts: the slide's cells [mask, bin]. Which bin is the first is to be fixed beforehand (`best_first_bin`), not by
    this slide. Raises WrongFormat where counts and calibration do not fit or there is no such bin.
    """
    if counts.shape != calibration.infected.shape:
        raise WrongFormat(
            f"Counts are {counts.shape}, the calibration {calibration.infected.shape}.",
            hint="bin with the model's own bins and masks",
        )
    # of a slide without cells: as on the calibration slides
    per_mask = (counts if counts.any() else calibration.uninfected).sum(axis=1).astype(np.float64)
    errors = errors_above(calibration, per_mask / per_mask.sum(), first_bin)
    return SuspiciousCount(int(counts[:, first_bin:].sum()), int(counts.sum()), errors)


def errors_above(calibration: ScoreCalibration, weight: MaskWeights, first_bin: int) -> ReaderErrors:
    """The errors of calling cells in `first_bin` and above, on a slide to come; see `shares_above`.

    Raises InputError where infected cells are not called more often than others.
    """
    return ReaderErrors(*shares_above(calibration, weight, first_bin))


def shares_above(calibration: ScoreCalibration, weight: MaskWeights, first_bin: int) -> tuple[BetaShare, GammaRate]:
    """Shares of infected and of uninfected cells in `first_bin` and above, on a slide to come.

    weight: share of the cells per mask. See CalibrationSlides.shares_above, which raises; WrongFormat also where the
    calibration has only the sums of its slides.
    """
    if calibration.slides is None:
        raise WrongFormat(
            "This calibration has only the sums of its slides, which do not tell how a threshold errs.",
            hint="calibrate the model again: lsm design CONFIG --calibrate MODEL",
        )
    return calibration.slides.shares_above(weight, first_bin)


def best_first_bin(calibration: ScoreCalibration, weight: MaskWeights, cells: int) -> int:
    """The threshold with the lowest limit of detection in so many cells, by the calibration alone.

    Raises WrongFormat where no threshold calls infected cells more often than others.
    """
    limits: dict[int, float] = {}
    for first_bin in range(1, calibration.infected.shape[1]):
        found, false = shares_above(calibration, weight, first_bin)
        if found.mean <= false.mean:
            continue
        errors = ReaderErrors(found, false)
        limits[first_bin] = limit_of_detection(cells, errors).per_ul
    if not limits:
        raise WrongFormat("No threshold tells infected cells from others.", hint="calibrate a reader that does")
    return min(limits, key=lambda first_bin: limits[first_bin])
