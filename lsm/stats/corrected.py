"""Counts of suspicious cells turned into the fraction that is infected, whatever the reader's errors on this slide."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy.optimize import elementwise

from lsm.stats._tails import beyond_binomial, beyond_gamma_poisson, check_confidence, upper_tail
from lsm.stats.rates import ReaderErrors

Counts = Real[np.ndarray, " case"]
Fractions = Float[np.ndarray, " case"]

CHUNK = 1000
ENDS = {"xatol": 1e-12, "xrtol": 1e-6}


@runtime_checkable
class Law(Protocol):
    """How a count of suspicious cells comes about at a parasite fraction: what is counted, among what."""

    def beyond(self, count: Counts, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """Probability of more than this count, half of a tie, on a slide to come."""
        ...

    def distance(self, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """The fraction in standard deviations of its own estimate."""
        ...

    def moment(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """The fraction whose expected count this is, 0 where it is below."""
        ...

    def reach(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """A fraction that is too high for this count, or the highest there is."""
        ...


@dataclass(frozen=True)
class AmongRedCells:
    """Suspicious ones among a fixed number of red cells, each infected or not: a binomial count."""

    cells: int

    def beyond(self, count: Counts, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """See Law."""
        called = errors.called(fraction)
        return np.asarray(beyond_binomial(count[:, None], np.array(self.cells), called).mean(axis=1))

    def distance(self, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """See Law."""
        mean, sensitivity, false = self._means(fraction, errors)
        spread = ((1 - fraction) * false * errors.false_positives.cv) ** 2 + (fraction * errors.sensitivity.sd) ** 2
        deviation = np.sqrt(mean * (1 - mean) / self.cells + spread)
        return _over(fraction * (sensitivity - false), deviation)

    def moment(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """The estimate of Rogan and Gladen, Am. J. Epidemiol. 107, 71 (1978)."""
        _, sensitivity, false = self._means(np.zeros(1), errors)
        return np.asarray(np.clip((count / self.cells - false) / (sensitivity - false), 0.0, 1.0))

    def reach(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """See Law."""
        return np.ones(count.shape)

    def _means(self, fraction: Fractions, errors: ReaderErrors) -> tuple[Fractions, float, float]:
        sensitivity, false = errors.sensitivity.mean, errors.false_positives.mean
        return fraction * sensitivity + (1 - fraction) * false, sensitivity, false


@dataclass(frozen=True)
class AmongWhiteCells:
    """Suspicious ones met until so many white cells have been counted: both numbers are random, so is their ratio.

    Where an area is fixed instead the count given the sum is binomial, which differs in the tie alone.
    """

    white_cells: int

    def beyond(self, count: Counts, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """See Law."""
        sensitivity, false = errors.nodes
        called = fraction[:, None] * sensitivity + false
        met = np.array(float(self.white_cells))
        return np.asarray(beyond_gamma_poisson(count[:, None], met * called, met).mean(axis=1))

    def distance(self, fraction: Fractions, errors: ReaderErrors) -> Fractions:
        """See Law."""
        sensitivity, false = errors.sensitivity.mean, errors.false_positives.mean
        called = fraction * sensitivity + false
        spread = (false * errors.false_positives.cv) ** 2 + (fraction * errors.sensitivity.sd) ** 2
        deviation = np.sqrt(called * (1 + called) / self.white_cells + spread)
        return _over(fraction * sensitivity, deviation)

    def moment(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """Parasites per white cell, without the expected false ones."""
        rate = count / self.white_cells - errors.false_positives.mean
        return np.asarray(np.maximum(rate / errors.sensitivity.mean, 0.0))

    def reach(self, count: Counts, errors: ReaderErrors) -> Fractions:
        """Ten times what the count and its deviation allow for the least sensitive slide that is thought of."""
        least = max(float(errors.nodes[0].min()), 1e-3 * errors.sensitivity.mean)
        return np.asarray(10 * (count + 10 * np.sqrt(count + 1) + 10) / self.white_cells / least)


def corrected_interval(
    count: Counts, law: Law, errors: ReaderErrors, *, confidence: float = 0.95
) -> tuple[Fractions, Fractions]:
    """Low and high end of the infected fraction for each count, over slides that differ as `errors` says.

    The test of every fraction is inverted with the tail split of `upper_tail`. A slide's own rates are integrated over
    (Cousins and Highland, Nucl. Instrum. Methods A 320, 331 (1992)), so the interval covers at its level over slides;
    a slide with many times the usual false positives is among those that it misses. Ties count half: at one fraction
    the coverage swings around the level where few cells are expected.
    """
    check_confidence(confidence)
    parts = [
        _ends(count[start : start + CHUNK], law, errors, confidence) for start in range(0, max(len(count), 1), CHUNK)
    ]
    lows, highs = zip(*parts, strict=True)
    return np.concatenate(lows), np.concatenate(highs)


def inside(
    count: Counts, fraction: Fractions, law: Law, errors: ReaderErrors, *, confidence: float = 0.95
) -> Bool[np.ndarray, " case"]:
    """Whether the interval of each count holds the fraction beside it, without looking for the ends."""
    check_confidence(confidence)
    parts = []
    for start in range(0, len(count), CHUNK):
        each = slice(start, start + CHUNK)
        above, below = _margins(count[each], fraction[each], law, errors, confidence)
        parts.append((above >= 0) & (below <= 0))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _over(value: Fractions, deviation: Fractions) -> Fractions:
    """Infinite where nothing deviates, but for a value of zero."""
    found = np.where(value > 0, np.inf, 0.0)
    return np.asarray(np.divide(value, deviation, out=found, where=deviation > 0))


def _margins(
    count: Counts, fraction: Fractions, law: Law, errors: ReaderErrors, confidence: float
) -> tuple[Fractions, Fractions]:
    """(below 0 where the count is too high for the fraction, above 0 where it is too low)."""
    beyond, tail = law.beyond(count, fraction, errors), upper_tail(law.distance(fraction, errors), confidence)
    return np.asarray(beyond - tail), np.asarray(beyond - confidence - tail)


def _ends(count: Counts, law: Law, errors: ReaderErrors, confidence: float) -> tuple[Fractions, Fractions]:
    def above(fraction: Fractions, count: Counts) -> Fractions:
        return _margins(count, fraction, law, errors, confidence)[0]

    def below(fraction: Fractions, count: Counts) -> Fractions:
        return _margins(count, fraction, law, errors, confidence)[1]

    middle, top = law.moment(count, errors), law.reach(count, errors)
    low, high = np.zeros(len(count)), top.copy()
    raised = above(low, count) < 0
    if raised.any():
        low[raised] = _root(above, top[raised], count[raised])
    capped = below(top, count) > 0
    if capped.any():
        high[capped] = _root(below, top[capped], count[capped])
    return np.minimum(low, middle), np.maximum(high, middle)


def _root(test: Callable[[Fractions, Fractions], Fractions], top: Fractions, count: Counts) -> Fractions:
    def stretched(root: Fractions, top: Fractions, count: Fractions) -> Fractions:
        return test(top * root**4, count)

    # the fourth root brings fractions of seven decades close enough together for a quick search
    ends = (np.zeros(len(count)), np.ones(len(count)))
    found = elementwise.find_root(stretched, ends, args=(top, count.astype(np.float64)), tolerances=ENDS)
    return np.asarray(top * found.x**4)
