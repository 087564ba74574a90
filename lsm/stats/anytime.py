"""Densities with an interval that holds whenever and for whatever reason the scan ends: a confidence sequence.

For every infected fraction a martingale is watched: the likelihood of the counts where the slide's rate of suspicious
cells is r times what that fraction makes expect, averaged over r, against their likelihood at r = 1. It exceeds
1 / (1 - confidence) with at most the probability 1 - confidence, ever (Ville, 1939), and the fractions at which it has
not are the interval: Robbins, Ann. Math. Stat. 41, 1397 (1970); with a gamma distribution for r it is the gamma-Poisson
mixture of Howard, Ramdas, McAuliffe and Sekhon, Ann. Stat. 49, 1055 (2021), sect. 3.2. Rates of the slide that are not
known are integrated over on both sides, so that coverage is that over slides.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln, logsumexp, xlogy

from lsm.errors import InputError
from lsm.stats._tails import check_confidence
from lsm.stats.density import (
    DensityEstimate,
    check_counts,
    false_positive_estimate,
    thin_film_convention,
)
from lsm.stats.estimate import RED_CELLS_PER_UL
from lsm.stats.rates import GammaRate, ReaderErrors

Counts = Int[np.ndarray, " case"]
Numbers = Float[np.ndarray, " case"]

SHAPES = (2.0, 40.0)
"""Of the gamma distributions of r around 1, each with half of the weight: tightest at some ten and some two hundred
suspicious cells, and hardly wider between and beyond."""


def log_evidence(suspicious: Counts, cells: Numbers, fraction: Numbers, errors: ReaderErrors) -> Numbers:
    """Logarithm of the martingale against each infected fraction, for each pair of counts.

    Over a scan of a slide of that fraction it is ever above log(1 / error) with a probability of at most `error`.
    """
    sensitivity, false = errors.nodes
    called = fraction[:, None] * sensitivity + (1 - fraction[:, None]) * false
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
    some 1.5 times that of the interval for a fixed number of cells. Cells and red_cells_per_ul are as there; parasites
    must be rare enough for a Poisson count, which makes the interval too wide where they are not.
    Raises InputError for impossible counts.
    """
    check_confidence(confidence)
    check_counts(suspicious, cells, red_cells_per_ul)
    if suspicious > cells:
        raise InputError(f"{suspicious} of {cells} cells are suspicious.", hint="count every cell once")
    low, middle, high = 0.0, 0.0, 1.0
    if cells:
        rates = errors.false_positives.mean, errors.sensitivity.mean
        middle = min(max((suspicious / cells - rates[0]) / (rates[1] - rates[0]), 0.0), 1.0)
        low, high = _ends(suspicious, cells, middle, errors, -np.log(1 - confidence))
    return DensityEstimate(
        middle * red_cells_per_ul,
        low * red_cells_per_ul,
        high * red_cells_per_ul,
        confidence,
        suspicious,
        cells,
        thin_film_convention(red_cells_per_ul),
        false_positive_estimate(suspicious, cells, errors, confidence=confidence),
        at_any_time=True,
    )


def _ends(suspicious: int, cells: int, middle: float, errors: ReaderErrors, edge: float) -> tuple[float, float]:
    count, among = np.array([suspicious]), np.array([float(cells)])

    def excess(root: float) -> float:
        """Above 0 where a fraction, the fourth power, is excluded."""
        found = float(log_evidence(count, among, np.array([root**4]), errors)[0])
        return min(found - edge, 1e300)

    best = middle**0.25
    if excess(best) >= 0:
        # counts below what is expected without parasites fit no fraction well
        best = float(minimize_scalar(excess, bounds=(0.0, max(best, 1e-3)), method="bounded").x)
    if excess(best) >= 0:
        # too few suspicious cells even for no parasites: what they allow if none of them is a false positive
        unspoilt = ReaderErrors(errors.sensitivity, GammaRate(0.0))
        return 0.0, _ends(suspicious, cells, min(suspicious / cells / errors.sensitivity.mean, 1.0), unspoilt, edge)[1]
    low = float(brentq(excess, 0.0, best, xtol=1e-7)) ** 4 if excess(0.0) > 0 else 0.0
    high = float(brentq(excess, best, 1.0, xtol=1e-7)) ** 4 if excess(1.0) > 0 else 1.0
    return low, high
