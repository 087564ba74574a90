"""Limit of blank and limit of detection of a count, and what more cells cannot mend.

CLSI EP17-A2 (2012), for counts: the limit of blank is the quantile of the counts of slides without parasites, the limit
of detection the density of which all but a share of slides are counted above it.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc

from lsm.errors import InputError
from lsm.stats._tails import Numbers, Probabilities
from lsm.stats.estimate import RED_CELLS_PER_UL
from lsm.stats.rates import ReaderErrors


@dataclass(frozen=True)
class DetectionLimit:
    """Limits at a number of cells.

    cells: scanned; infinite for the limits that no scan goes below. blank_count: a slide without parasites has more
    suspicious cells with a probability of at most alpha; a share of the cells where they are infinite. blank_per_ul:
    the density that this count is taken for. per_ul: a slide of this density has more with 1 - beta; infinite where
    none has.
    """

    cells: float
    alpha: float
    beta: float
    blank_count: float
    blank_per_ul: float
    per_ul: float


def limit_of_detection(
    cells: float,
    errors: ReaderErrors,
    *,
    alpha: float = 0.05,
    beta: float = 0.05,
    red_cells_per_ul: float = RED_CELLS_PER_UL,
) -> DetectionLimit:
    """Limit of blank and of detection when so many red cells are scanned, over slides that differ as `errors` says.

    Where false positives differ between slides the limits level off at those for `cells` = math.inf.
    Raises InputError for impossible cells or shares.
    """
    if not (cells >= 1 and 0 < alpha < 1 and 0 < beta < 1):
        raise InputError(
            f"{cells} cells with errors of {alpha} and {beta} have no limits.",
            hint="give at least one cell and shares between 0 and 1",
        )
    blank = blank_count(cells, errors, alpha=alpha)
    share = blank if math.isinf(cells) else blank / cells
    rates = errors.false_positives.mean, errors.sensitivity.mean
    blank_per_ul = max(0.0, (share - rates[0]) / (rates[1] - rates[0])) * red_cells_per_ul
    fraction = _detected(cells, errors, blank, 1 - beta)
    return DetectionLimit(cells, alpha, beta, blank, blank_per_ul, fraction * red_cells_per_ul)


def blank_count(cells: float, errors: ReaderErrors, *, alpha: float = 0.05) -> float:
    """The smallest count that slides without parasites exceed with a probability of at most alpha."""
    if math.isinf(cells):
        return float(errors.false_positives.at(np.array([1 - alpha]))[0])
    low, high = -1, 1
    while chance_above(high, cells, 0.0, errors) > alpha:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance_above(middle, cells, 0.0, errors) > alpha else (low, middle)
    return float(high)


def chance_above(count: float, cells: float, fraction: float, errors: ReaderErrors) -> float:
    """Probability that a slide with this infected fraction has more than `count` suspicious cells.

    cells: infinite for the share of slides whose rate lies above `count`, then itself a rate.
    """
    sensitivity, false = errors.nodes
    called = fraction * sensitivity + (1 - fraction) * false
    if math.isinf(cells):
        return float((called > count).mean())
    return float(_more(np.array(count), np.array(cells), called).mean())


def _more(count: Numbers, cells: Numbers, called: Numbers) -> Probabilities:
    if count >= cells:
        return np.zeros(called.shape)
    return np.asarray(betainc(count + 1, cells - count, called))


def _detected(cells: float, errors: ReaderErrors, blank: float, power: float) -> float:
    """The infected fraction that is counted above the blank with this probability; infinite where none is."""

    def lacking(root: float) -> float:
        return chance_above(blank, cells, root**4, errors) - power

    return float(brentq(lacking, 0.0, 1.0, xtol=1e-9)) ** 4 if lacking(1.0) > 0 else math.inf
