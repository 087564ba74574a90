"""Intervals for the expectation of a count: Poisson, and gamma-Poisson where what is counted differs between slides."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, gammaincinv

from lsm.errors import InputError
from lsm.stats._tails import beyond_gamma_poisson, beyond_poisson, check_confidence
from lsm.stats.rates import NO_VARIATION


def poisson_interval(count: int, *, exact: bool = False, confidence: float = 0.95) -> tuple[float, float]:
    """Low and high end of the expected count, by mid-P (nominal on average) or exact (never below its level).

    Garwood, Biometrika 28, 437 (1936); mid-P: Cohen and Yang, Stat. Med. 13, 2189 (1994). Divide by the cells for a
    rate. Raises InputError for a negative count.
    """
    return gamma_poisson_interval(count, 0.0, exact=exact, confidence=confidence)


def gamma_poisson_interval(
    count: int, cv: float, *, exact: bool = False, confidence: float = 0.95
) -> tuple[float, float]:
    """Low and high end of the count that slides have in the mean, from the count on one of them.

    cv: standard deviation between slides of what one slide makes expect, over its mean; 0 is Poisson. The count is then
    negative binomial with the variance m + (cv m)^2. With a cv that is large or a confidence near 1 the high end may be
    infinite: one slide then says nothing of others. Raises InputError for a negative count or cv.
    """
    check_confidence(confidence)
    if count < 0 or cv < 0:
        raise InputError(f"A count of {count} with a variation of {cv} is impossible.", hint="give numbers from 0 on")
    tail = (1 - confidence) / 2
    cv = 0.0 if cv < NO_VARIATION else cv
    if exact:
        low = 0.0 if count == 0 else _expected(count, cv, tail)
        return low, _expected(count + 1, cv, 1 - tail)
    # the ends lie between those of the exact intervals for this count and the next smaller one
    low = 0.0 if count == 0 else _mid_p(count, cv, tail)
    return low, _mid_p(count, cv, 1 - tail)


def _expected(events: int, cv: float, share: float) -> float:
    """The expectation at which at least so many events have this probability."""
    if cv == 0:
        return float(gammaincinv(events, share))
    share_met = float(betaincinv(events, cv**-2, share))
    # shares nearer to 1 have lost their digits
    return share_met / (1 - share_met) * cv**-2 if share_met < 1 - 1e-9 else np.inf


def _mid_p(count: int, cv: float, share: float) -> float:
    def beyond(mean: float) -> float:
        seen, expected = np.array(float(count)), np.array(mean)
        found = beyond_poisson(seen, expected) if cv == 0 else beyond_gamma_poisson(seen, expected, np.array(cv**-2))
        return float(found) - share

    top = _expected(count + 1, cv, share)
    bottom = _expected(count, cv, share) if count else 0.0
    return float(brentq(beyond, bottom, top, xtol=1e-12)) if np.isfinite(top) else top
