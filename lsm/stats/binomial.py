"""Intervals for a fraction counted as k of n."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta, norm

from lsm.errors import InputError
from lsm.stats._tails import beyond_binomial, check_confidence
from lsm.stats.estimate import Share


def wilson(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Low and high end of the score interval for k of n; 0..1 where n is 0. Close to nominal on average.

    Wilson, J. Am. Stat. Assoc. 22, 209 (1927). Raises InputError unless 0 <= k <= n.
    """
    _check(k, n, confidence)
    if n == 0:
        return 0.0, 1.0
    z = float(norm.ppf((1 + confidence) / 2))
    centre = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * float(np.sqrt(k * (n - k) / n + z**2 / 4))
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def clopper_pearson(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Low and high end of the exact interval for k of n; covers at least at its level for every fraction.

    Clopper and Pearson, Biometrika 26, 404 (1934). Raises InputError unless 0 <= k <= n.
    """
    _check(k, n, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
    return low, high


def mid_p(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Low and high end of the mid-P interval for k of n: the exact one with half of the tie; nominal on average.

    Berry and Armitage, The Statistician 44, 417 (1995). Raises InputError unless 0 <= k <= n.
    """
    _check(k, n, confidence)
    tail = (1 - confidence) / 2
    count, cells = np.array(float(k)), np.array(float(n))

    def beyond(fraction: float, share: float) -> float:
        return float(beyond_binomial(count, cells, np.array(fraction))) - share

    low = 0.0 if k == 0 else float(brentq(beyond, 0.0, 1.0, args=(tail,)))
    high = 1.0 if k == n else float(brentq(beyond, 0.0, 1.0, args=(1 - tail,)))
    return low, high


def share(right: int, of: int, *, confidence: float = 0.95) -> Share:
    """The share with Wilson's interval; see `wilson`."""
    return Share(right / of if of else math.nan, *wilson(right, of, confidence=confidence), right, of)


def _check(k: int, n: int, confidence: float) -> None:
    if not 0 <= k <= n:
        raise InputError(f"{k} of {n} is not a count.", hint="give 0 <= k <= n")
    check_confidence(confidence)
