"""From score histograms to suspicious cells: how many lie above a threshold, and how often such a call is wrong."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lsm.errors import WrongFormat
from lsm.stats.calibration import Fractions, MaskBins, ScoreCalibration
from lsm.stats.limits import limit_of_detection
from lsm.stats.rates import BetaShare, GammaRate, ReaderErrors

MaskWeights = Float[np.ndarray, " mask"]


@dataclass(frozen=True)
class SuspiciousCount:
    """Cells from a score bin upwards among all, and the errors of calling them infected."""

    suspicious: int
    cells: int
    errors: ReaderErrors


def count_suspicious(counts: MaskBins, calibration: ScoreCalibration, first_bin: int) -> SuspiciousCount:
    """The slide's cells in `first_bin` and above, whatever captures they were seen under.

    counts: the slide's cells [mask, bin]. Which bin is the first is to be fixed beforehand (`best_first_bin`), not by
    this slide. Errors are the calibration's, without the uncertainty of their mean: too hopeful where it chose the bin
    by few false positives. Raises WrongFormat where counts and calibration do not fit or there is no such bin.
    """
    if counts.shape != calibration.infected.shape:
        raise WrongFormat(
            f"Counts are {counts.shape}, the calibration {calibration.infected.shape}.",
            hint="bin with the model's own bins and masks",
        )
    per_mask = counts.sum(axis=1).astype(np.float64)
    weight = per_mask / per_mask.sum() if per_mask.sum() else np.full(len(per_mask), 1 / len(per_mask))
    errors = errors_above(calibration, weight, first_bin)
    return SuspiciousCount(int(counts[:, first_bin:].sum()), int(counts.sum()), errors)


def errors_above(calibration: ScoreCalibration, weight: MaskWeights, first_bin: int) -> ReaderErrors:
    """Sensitivity and false positives of calling cells in `first_bin` and above, with their variation between slides.

    weight: share of the cells per mask. One slide deviates in the same direction in all of these bins and under every
    mask, as in `ScoreCalibration.draw`, so that deviations add up. Raises WrongFormat for a bin that does not exist.
    """
    bins = calibration.infected.shape[1]
    if not 0 < first_bin < bins:
        raise WrongFormat(f"Bin {first_bin} of {bins} is no threshold.", hint=f"give 1 to {bins - 1}")
    found, found_sd = _above(calibration.p_infected, calibration.infected_concentration, weight, first_bin)
    false, false_sd = _above(calibration.p_uninfected, calibration.uninfected_concentration, weight, first_bin)
    # a share cannot spread further than all or nothing
    sd = min(found_sd, 0.99 * float(np.sqrt(found * (1 - found))))
    return ReaderErrors(BetaShare(found, sd), GammaRate(false, false_sd / false))


def best_first_bin(calibration: ScoreCalibration, weight: MaskWeights, cells: int) -> int:
    """The threshold with the lowest limit of detection in so many cells, by the calibration alone.

    Raises WrongFormat where no threshold calls infected cells more often than others.
    """
    limits: dict[int, float] = {}
    for first_bin in range(1, calibration.infected.shape[1]):
        rates = [
            float(weight @ fractions[:, first_bin:].sum(axis=1))
            for fractions in (calibration.p_infected, calibration.p_uninfected)
        ]
        if rates[0] > rates[1]:
            limits[first_bin] = limit_of_detection(cells, errors_above(calibration, weight, first_bin)).per_ul
    if not limits:
        raise WrongFormat("No threshold tells infected cells from others.", hint="calibrate a reader that does")
    return min(limits, key=lambda first_bin: limits[first_bin])


def _above(mean: Fractions, concentration: Fractions, weight: MaskWeights, first_bin: int) -> tuple[float, float]:
    """Share of cells in the upper bins, and its standard deviation between slides."""
    deviation = np.sqrt(mean * (1 - mean) / (concentration + 1))
    share = weight @ mean[:, first_bin:].sum(axis=1)
    return float(share), float(weight @ deviation[:, first_bin:].sum(axis=1))
