"""Probabilities of counting more than was counted, half of an equal count taken as more (mid-P), and tail splits.

Lancaster, J. Am. Stat. Assoc. 56, 223 (1961): with half of the tie the probability is uniform on average, where the
whole tie (exact intervals) makes it too large.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Real
from scipy.optimize import elementwise
from scipy.special import betainc, gammainc, gammaln, ndtr, xlog1py, xlogy
from scipy.stats import norm

from lsm.errors import InputError

Numbers = Real[np.ndarray, "..."]
Probabilities = Float[np.ndarray, "..."]

SPLIT_POINTS = 400


def beyond_binomial(count: Numbers, cells: Numbers, fraction: Numbers) -> Probabilities:
    """Probability of more than `count` of `cells`, plus half that of just as many; broadcast."""
    ways = gammaln(cells + 1) - gammaln(count + 1) - gammaln(cells - count + 1)
    tie = np.exp(ways + xlogy(count, fraction) + xlog1py(cells - count, -fraction))
    more = betainc(count + 1, np.maximum(cells - count, 1), fraction) * (count < cells)
    return np.asarray(more + tie / 2)


def beyond_poisson(count: Numbers, mean: Numbers) -> Probabilities:
    """The same for a Poisson count."""
    tie = np.exp(xlogy(count, mean) - mean - gammaln(count + 1))
    return np.asarray(gammainc(count + 1, mean) + tie / 2)


def beyond_gamma_poisson(count: Numbers, mean: Numbers, shape: Numbers) -> Probabilities:
    """The same for a Poisson count whose mean is gamma-distributed around `mean` with this shape (1 / cv^2).

    It is also the count of one kind of cell until `shape` cells of another kind have been met.
    """
    share = mean / (mean + shape)
    ways = gammaln(count + shape) - gammaln(count + 1) - gammaln(shape)
    tie = np.exp(ways + xlogy(count, share) + xlog1py(shape, -share))
    return np.asarray(betainc(count + 1, shape, share) + tie / 2)


def upper_tail(distance: Numbers, confidence: float) -> Probabilities:
    """Share of the error 1 - confidence that lies above, at a truth that many standard deviations above zero.

    All of it at zero, where no estimate can be too low to be true; half of it from the normal quantile on. It is the
    split of the likelihood-ratio ordering for a normal estimate of what cannot be negative: Feldman and Cousins, Phys.
    Rev. D 57, 3873 (1998), table X. Any fixed split keeps the coverage; this one leaves no interval empty and gives one
    bound or two without a choice by the data.
    """
    distances, tails = _split(confidence)
    return np.asarray(np.interp(distance, distances, tails))


@cache
def _split(confidence: float) -> tuple[Probabilities, Probabilities]:
    error = 1 - confidence
    quantile = float(norm.ppf(1 - error / 2))
    truth = np.linspace(0.0, quantile, SPLIT_POINTS)[1:-1]

    def missed(above: Probabilities, truth: Probabilities) -> Probabilities:
        # the estimate below zero that is as likely, relative to its best truth zero, as this one above the truth
        below = (truth**2 - above**2) / (2 * truth) - truth
        return np.asarray(ndtr(-above) + ndtr(np.where(above > truth, below, -above)) - error)

    found = elementwise.find_root(missed, (np.zeros_like(truth), np.full_like(truth, quantile + 1)), args=(truth,))
    return np.array([0.0, *truth, quantile]), np.array([error, *ndtr(-found.x), error / 2])


def check_confidence(confidence: float) -> None:
    """Raises InputError unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"A confidence of {confidence} is impossible.", hint="give a fraction between 0 and 1")
