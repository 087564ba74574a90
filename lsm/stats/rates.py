"""How often a cell is called wrongly on a slide to come: a sensitivity and a false-positive rate, neither known."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Real
from scipy.special import betaincinv, gammaincinv, gammaln, logsumexp, xlog1py, xlogy
from scipy.stats import beta

from lsm.errors import InputError
from lsm.stats._tails import check_confidence

Nodes = Float[np.ndarray, " node"]
LogProbabilities = Float[np.ndarray, " case"]

TERMS = 1_000_000
"""Of sums that are held in memory at once."""
NO_VARIATION = 1e-4
"""A smaller coefficient of variation shows only in counts of a hundred million, and costs digits."""
LATTICE, GENERATOR = 377, 233
"""Consecutive Fibonacci numbers: the points (i / 377, 233 i / 377 mod 1) fill the square as evenly as any."""


@dataclass(frozen=True)
class GammaRate:
    """Events per cell that differ from slide to slide, gamma-distributed.

    mean: per cell. cv: standard deviation between slides over the mean; 0 for a rate that is known.
    A count on a new slide is then gamma-Poisson (negative binomial): Greenwood and Yule, J. R. Stat. Soc. 83, 255
    (1920). Raises InputError for negative numbers.
    """

    mean: float
    cv: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.mean < 1 and 0 <= self.cv < math.inf):
            raise InputError(
                f"A rate of {self.mean} per cell that varies by {self.cv} is impossible.",
                hint="give a mean of 0 to 1 per cell and a coefficient of variation from 0 on",
            )

    @property
    def known(self) -> bool:
        """Whether it is the same on every slide."""
        return self.cv < NO_VARIATION or self.mean == 0

    @property
    def shape(self) -> float:
        """Of the gamma distribution: 1 / cv^2."""
        return math.inf if self.known else self.cv**-2

    def at(self, share: Nodes) -> Nodes:
        """The rates below which these shares of slides lie."""
        if self.known:
            return np.full(share.shape, self.mean)
        return np.asarray(gammaincinv(self.shape, share) * (self.mean / self.shape))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The middle `confidence` of slides."""
        check_confidence(confidence)
        low, high = self.at(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
        return float(low), float(high)

    def given(self, events: int, cells: float, *, per_event: float = 1.0, per_event_cv: float = 0.0) -> "GammaRate":
        """The rate of one slide on which so many events were seen that no parasite can have caused.

        events: on `cells` cells. For control cells that are known to be uninfected they are the false positives
        themselves, and per_event is 1. Look-alikes of another kind, or cells in a band of scores where infected ones
        hardly fall, stand for `per_event` false positives each; what is assumed is that the ratio is that of all slides
        but for a coefficient of variation of per_event_cv, and that no infected cell is among them: each one that is
        makes the density too low. The gamma distribution is conjugate to the count (Gelman et al., Bayesian Data
        Analysis, 3rd ed., sect. 2.6); a ratio that varies counts as fewer events, 1 / (1 / events + per_event_cv^2).
        Raises InputError for impossible numbers.
        """
        if events < 0 or cells < 0 or per_event <= 0 or per_event_cv < 0:
            raise InputError(
                f"{events} events of {per_event} false positives each on {cells} cells are impossible.",
                hint="give counts from 0 on and a positive ratio",
            )
        if self.known or cells == 0:
            return self
        worth = 1 / (1 + max(events, 1) * per_event_cv**2)
        shape = self.shape + events * worth
        exposure = self.shape / self.mean + cells / per_event * worth
        return GammaRate(shape / exposure, shape**-0.5)

    def log_probability(
        self, count: Real[np.ndarray, " case"], cells: Float[np.ndarray, " case"], *, extra: float = 0.0
    ) -> LogProbabilities:
        """Logarithm of the probability of `count` events on `cells` cells of a slide to come.

        extra: further events per cell that are the same on every slide; the sum has Delaporte's distribution
        (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 3rd ed., p. 241).
        """
        if self.known:
            mean = cells * (self.mean + extra)
            return np.asarray(xlogy(count, mean) - mean - gammaln(count + 1.0))
        if extra == 0:
            return self._gamma_poisson(count, cells)
        rows = max(1, TERMS // (int(count.max(initial=0)) + 1))
        starts = range(0, len(count), rows)
        parts = [self._delaporte(count[at : at + rows], cells[at : at + rows], extra) for at in starts]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _delaporte(
        self, count: Real[np.ndarray, " case"], cells: Float[np.ndarray, " case"], extra: float
    ) -> LogProbabilities:
        varying = np.arange(count.max() + 1.0)
        steady = count[:, None] - varying
        mean = extra * cells[:, None]
        by_chance = xlogy(steady, mean) - mean - gammaln(np.maximum(steady, 0) + 1)
        terms = by_chance + self._gamma_poisson(varying[None, :], cells[:, None])
        return np.asarray(logsumexp(np.where(steady >= 0, terms, -np.inf), axis=1))

    def _gamma_poisson(self, count: Real[np.ndarray, "..."], cells: Float[np.ndarray, "..."]) -> np.ndarray:
        share = cells * self.mean / (cells * self.mean + self.shape)
        ways = gammaln(count + self.shape) - gammaln(count + 1.0) - gammaln(self.shape)
        return np.asarray(ways + xlogy(count, share) + xlog1py(self.shape, -share))


@dataclass(frozen=True)
class BetaShare:
    """A share of cells, beta-distributed: mean 0..1 and standard deviation; 0 where it is known.

    Raises InputError for a spread that no share can have.
    """

    mean: float
    sd: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.mean <= 1 and self.sd >= 0 and (self.sd == 0 or self.sd**2 < self.mean * (1 - self.mean))):
            raise InputError(
                f"A share of {self.mean} +- {self.sd} is impossible.",
                hint="give a mean above 0, at most 1, and a standard deviation below sqrt(mean * (1 - mean))",
            )

    @classmethod
    def counted(cls, found: int, of: int) -> "BetaShare":
        """What is known of a share after `found` of `of` independent cells, with Jeffreys' prior.

        Cells of one slide are not independent: where sensitivity differs between slides give mean and spread instead.
        """
        if not 0 <= found <= of:
            raise InputError(f"{found} of {of} is not a count.", hint="give 0 <= found <= of")
        mean, sd = (float(value) for value in beta(found + 0.5, of - found + 0.5).stats("mv"))
        return cls(mean, math.sqrt(sd))

    def at(self, share: Nodes) -> Nodes:
        """Quantiles."""
        if self.sd == 0:
            return np.full(share.shape, self.mean)
        size = self.mean * (1 - self.mean) / self.sd**2 - 1
        return np.asarray(betaincinv(self.mean * size, (1 - self.mean) * size, share))


@dataclass(frozen=True)
class ReaderErrors:
    """What a reader of cells gets wrong on a slide to come.

    sensitivity: share of infected cells that it calls suspicious. false_positives: suspicious ones per uninfected cell
    (for a thick film, per white cell). Both are fixed on one slide and differ between slides, independently.
    Raises InputError where infected cells are not called more often than others.
    """

    sensitivity: BetaShare
    false_positives: GammaRate

    def __post_init__(self) -> None:
        if self.sensitivity.mean <= self.false_positives.mean:
            raise InputError(
                f"A sensitivity of {self.sensitivity.mean} with {self.false_positives.mean} false positives per cell "
                "finds nothing.",
                hint="give a reader that calls infected cells more often than others",
            )

    @cached_property
    def nodes(self) -> tuple[Nodes, Nodes]:
        """(sensitivity, false positives per cell) of 377 equally likely slides, one where both are known.

        A Fibonacci lattice of quantiles: Niederreiter and Sloan, J. Comput. Appl. Math. 51, 57 (1994).
        """
        if self.sensitivity.sd == 0 and self.false_positives.known:
            return np.array([self.sensitivity.mean]), np.array([self.false_positives.mean])
        place = np.arange(LATTICE)
        first, second = (place + 0.5) / LATTICE, ((place * GENERATOR + 0.5) / LATTICE) % 1
        return self.sensitivity.at(second), np.minimum(self.false_positives.at(first), 1.0)

    def called(self, fraction: Float[np.ndarray, " case"]) -> Float[np.ndarray, "case node"]:
        """Share of all cells that is called suspicious where so many are infected, on each of those slides."""
        sensitivity, false = self.nodes
        return np.asarray(fraction[:, None] * sensitivity + (1 - fraction[:, None]) * false)
