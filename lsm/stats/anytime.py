"""Densities with an interval that holds whenever and for whatever reason the scan ends: a confidence sequence.

For every infected fraction a martingale is watched: the likelihood of the counts where the slide's rate of suspicious
cells is r times what that fraction makes expect, averaged over r, against their likelihood at r = 1. It exceeds
1 / (1 - confidence) with at most the probability 1 - confidence, ever (Ville, 1939), and the fractions at which it has
not are the interval: Robbins, Ann. Math. Stat. 41, 1397 (1970); with a gamma distribution for r it is the gamma-Poisson
mixture of Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49, 1055 (2021), sect. 3.2. Rates of the slide that are not
known are integrated over on both sides, so that coverage is that over slides.
"""

import numpy as np
from jaxtyping import Float, Real
from scipy.optimize import elementwise
from scipy.special import gammaln, logsumexp, xlogy

from lsm.stats._tails import check_confidence
from lsm.stats.corrected import ENDS
from lsm.stats.density import DensityEstimate, check_red_counts, thin_film_estimate
from lsm.stats.estimate import RED_CELLS_PER_UL
from lsm.stats.rates import BetaShare, GammaRate, ReaderErrors

Counts = Real[np.ndarray, " case"]
Numbers = Float[np.ndarray, " case"]

FAR = 1e300

SHAPES = (2.0, 40.0)
"""Of the gamma distributions of r around 1, each with half of the weight: tightest at some ten and some two hundred
suspicious cells, and hardly wider between and beyond."""


def log_evidence(suspicious: Counts, cells: Numbers, fraction: Numbers, errors: ReaderErrors) -> Numbers:
    """Logarithm of the martingale against each infected fraction, for each pair of counts.

    Over a scan of a slide of that fraction it is ever above log(1 / error) with a probability of at most `error`.
    """
    called = errors.called(fraction)
    count, among = suspicious[:, None], cells[:, None]
    power = xlogy(count, called)
    expected = logsumexp(power - among * called, axis=1)
    others = [
        logsumexp(power - (shape + count) * np.log(shape + among * called), axis=1)
        + xlogy(shape, shape)
        + gammaln(shape + suspicious)
        - gammaln(shape)
        for shape in SHAPES
    ]
    against = logsumexp(others, axis=0) - np.log(len(SHAPES))
    impossible = np.isneginf(expected)
    return np.where(impossible, np.inf, against - np.where(impossible, 0.0, expected))


def anytime_interval(
    suspicious: Counts, cells: Numbers, errors: ReaderErrors, *, confidence: float = 0.95
) -> tuple[Numbers, Numbers]:
    """Low and high end of the infected fraction for each pair of counts; all pairs of one scan hold together."""
    check_confidence(confidence)
    false, sensitivity = errors.false_positives.mean, errors.sensitivity.mean
    middle = np.clip((suspicious / cells - false) / (sensitivity - false), 0.0, 1.0)
    edge = -np.log(1 - confidence)

    def excess(root: Numbers, suspicious: Counts, cells: Numbers) -> Numbers:
        """Above 0 where a fraction, the fourth power, is excluded."""
        return np.asarray(np.minimum(log_evidence(suspicious, cells, root**4, errors) - edge, FAR))

    low, high = np.zeros(len(cells)), np.ones(len(cells))
    odd = excess(middle**0.25, suspicious, cells) >= 0
    # too few suspicious cells even for no parasites: what they allow if none of them is a false positive
    few = odd & (middle < 0.5)
    if few.any():
        clean = ReaderErrors(errors.sensitivity, GammaRate(0.0))
        high[few] = anytime_interval(suspicious[few], cells[few], clean, confidence=confidence)[1]
    # too many even for all infected: what they allow if all of those are found
    many = odd & ~few
    if many.any():
        perfect = ReaderErrors(BetaShare(1.0), GammaRate(0.0))
        low[many] = anytime_interval(suspicious[many], cells[many], perfect, confidence=confidence)[0]
    for ends, start in ((low, low), (high, high)):
        sought = ~odd & (excess(start**0.25, suspicious, cells) > 0)
        if sought.any():
            bracket = start[sought] ** 0.25, middle[sought] ** 0.25
            pair = suspicious[sought].astype(np.float64), cells[sought]
            ends[sought] = elementwise.find_root(excess, bracket, args=pair, tolerances=ENDS).x ** 4
    return low, high


def anytime_density(
    suspicious: int,
    cells: int,
    errors: ReaderErrors,
    *,
    red_cells_per_ul: float = RED_CELLS_PER_UL,
    confidence: float = 0.95,
) -> DensityEstimate:
    """Parasites per microlitre as `thin_film_density`, with an interval that holds at every moment of the scan at once.

    "Scan until the interval is narrower than 25 %" is honest with this one and not with the other. Its price is width:
    some 1.6 times that of the interval for a fixed number of cells. Cells and red_cells_per_ul are as there; parasites
    must be rare enough for a Poisson count, which makes the interval too wide where they are not.
    Raises InputError for impossible counts.
    """
    check_red_counts(suspicious, cells, red_cells_per_ul)
    check_confidence(confidence)
    ends = 0.0, 1.0
    if cells:
        pair = np.array([suspicious]), np.array([float(cells)])
        (low,), (high,) = anytime_interval(*pair, errors, confidence=confidence)
        ends = float(low), float(high)
    return thin_film_estimate(suspicious, cells, errors, ends, red_cells_per_ul, confidence, at_any_time=True)
