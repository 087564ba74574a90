"""Density on a slide of which an operator has looked at some cells, chosen by their scores.

The count of suspicious cells stays what it was; an answer adds its probability given the cell's score and what is
thought of the slide. Which cells were answered may therefore depend on their scores in any way, such as the most
suspicious first (missing at random: Rubin, Biometrika 63, 581 (1976)), but not on what cells of one score looked like.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.optimize import minimize_scalar
from scipy.special import betaln, logsumexp, xlog1py, xlogy

from lsm.errors import InputError
from lsm.stats._tails import check_confidence
from lsm.stats.anytime import anytime_interval, log_evidence
from lsm.stats.density import DensityEstimate, check_red_counts, thin_film_estimate
from lsm.stats.estimate import RED_CELLS_PER_UL
from lsm.stats.rates import BetaShare, GammaRate, ReaderErrors

Fractions = Float[np.ndarray, " case"]
Counts = Real[np.ndarray, " case"]

NEVER = 1e-9
"""Error rate that stands for none: no number of cells on a slide tells them apart."""
GRID = np.concatenate([[0.0], np.geomspace(1e-8, 0.999, 250)])
"""Fractions between which estimate and ends are looked for."""
HALVINGS = 12
"""Of a step of the grid: 8 % to 2 in 100,000."""


@dataclass(frozen=True)
class OperatorAccuracy:
    """How often an operator who answers is right: on infected cells, and on others. Raises InputError."""

    sensitivity: float = 1.0
    specificity: float = 1.0

    def __post_init__(self) -> None:
        if not (0.5 < self.sensitivity <= 1 and 0.5 < self.specificity <= 1):
            raise InputError(
                f"An operator with the sensitivity {self.sensitivity} and the specificity {self.specificity} "
                "tells nothing.",
                hint="give shares above 0.5, at most 1",
            )


@dataclass(frozen=True, eq=False)
class Answered:
    """Cells that were looked at, by kind: those of one kind have scores that say the same.

    ratio: how much likelier the score is on an infected cell than on another, on the mean slide. infected,
    not_infected: numbers of cells of each kind that were called so. Raises InputError for impossible ones.
    """

    ratio: Float[np.ndarray, " kind"]
    infected: Int[np.ndarray, " kind"]
    not_infected: Int[np.ndarray, " kind"]
    operator: OperatorAccuracy = OperatorAccuracy()

    def __post_init__(self) -> None:
        if (self.ratio <= 0).any() or (self.infected < 0).any() or (self.not_infected < 0).any():
            raise InputError("The answers are impossible.", hint="give counts from 0 on and positive ratios")

    def log_probability(
        self, suspicious: Counts, cells: Fractions, fraction: Fractions, errors: ReaderErrors
    ) -> Fractions:
        """Logarithm of the probability of the answers, given the counts, at each infected fraction.

        The slides that `errors` speaks of count as the counts make them likely.
        """
        called = errors.called(fraction)
        count = xlogy(suspicious[:, None], called) - cells[:, None] * called
        joint = logsumexp(count + self._on_slides(fraction, errors), axis=1)
        return np.asarray(joint - logsumexp(count, axis=1))

    def log_mixture(self) -> float:
        """Logarithm of their probability where any share of each kind may be called infected, Jeffreys' prior."""
        kinds = betaln(self.infected + 0.5, self.not_infected + 0.5) - betaln(0.5, 0.5)
        return float(kinds.sum())

    def _on_slides(self, fraction: Fractions, errors: ReaderErrors) -> Float[np.ndarray, "case node"]:
        sensitivity, false = errors.nodes
        # a slide with twice the usual false positives has twice as many of each kind
        noise = false / errors.false_positives.mean if errors.false_positives.mean > 0 else np.ones(len(false))
        slide = sensitivity / errors.sensitivity.mean / noise
        odds = fraction[:, None] / np.maximum(1 - fraction[:, None], NEVER) * slide
        right = (min(share, 1 - NEVER) for share in (self.operator.sensitivity, self.operator.specificity))
        yes, no = next(right), 1 - next(right)
        found = np.zeros(odds.shape)
        for ratio, infected, not_infected in zip(self.ratio, self.infected, self.not_infected, strict=True):
            share = odds * ratio / (1 + odds * ratio)
            called = share * yes + (1 - share) * no
            found += xlogy(infected, called) + xlog1py(not_infected, -called)
        return found


def reviewed_density(
    suspicious: int,
    cells: int,
    errors: ReaderErrors,
    answered: Answered,
    *,
    red_cells_per_ul: float = RED_CELLS_PER_UL,
    confidence: float = 0.95,
) -> DensityEstimate:
    """Parasites per microlitre as `anytime_density`, where some cells were looked at.

    The estimate is the likeliest fraction for a reader of mean errors, which without answers is that of Rogan and
    Gladen. Counts and answers that fit no slide that is thought of have the interval of a reader without false
    positives. Raises InputError for impossible counts.
    """
    check_red_counts(suspicious, cells, red_cells_per_ul)
    check_confidence(confidence)
    middle, ends = 0.0, (0.0, 1.0)
    if cells:
        middle = _likeliest(suspicious, cells, errors, answered)
        ends = _ends(suspicious, cells, errors, answered, confidence)
    found = thin_film_estimate(suspicious, cells, errors, (0.0, 1.0), red_cells_per_ul, confidence, at_any_time=True)
    low, high = min(ends[0], middle), max(ends[1], middle)
    scale = red_cells_per_ul
    return replace(found, per_ul=middle * scale, low=low * scale, high=high * scale)


def _likeliest(suspicious: int, cells: int, errors: ReaderErrors, answered: Answered) -> float:
    mean = ReaderErrors(BetaShare(errors.sensitivity.mean), GammaRate(errors.false_positives.mean))

    def against(fractions: Fractions) -> Fractions:
        called = mean.called(fractions)[:, 0]
        pairs = np.full(len(fractions), suspicious), np.full(len(fractions), float(cells))
        count = xlogy(suspicious, called) + xlog1py(cells - suspicious, -called)
        return np.asarray(-count - answered.log_probability(*pairs, fractions, mean))

    best = int(np.argmin(against(GRID)))
    ends = GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)]
    found = minimize_scalar(
        lambda fraction: float(against(np.array([fraction]))[0]), bounds=ends, method="bounded", options={"xatol": 1e-9}
    )
    # the search keeps off its ends, and no parasites at all is one
    return float(found.x) if best else min((0.0, float(found.x)), key=lambda one: float(against(np.array([one]))[0]))


def _ends(
    suspicious: int, cells: int, errors: ReaderErrors, answered: Answered, confidence: float
) -> tuple[float, float]:
    def held(fractions: Fractions) -> Bool[np.ndarray, " case"]:
        pairs = np.full(len(fractions), suspicious), np.full(len(fractions), float(cells))
        given = answered.log_mixture() - answered.log_probability(*pairs, fractions, errors)
        return np.asarray(log_evidence(*pairs, fractions, errors) + given < -np.log(1 - confidence))

    inside = np.flatnonzero(held(GRID))
    if not inside.size:
        without = ReaderErrors(errors.sensitivity, GammaRate(0.0))
        pair = np.array([suspicious]), np.array([float(cells)])
        (low,), (high,) = anytime_interval(*pair, without, confidence=confidence)
        return float(low), float(high)
    first, last = int(inside[0]), int(inside[-1])
    out = GRID[[max(first - 1, 0), min(last + 1, len(GRID) - 1)]]
    within = GRID[[first, last]]
    for _ in range(HALVINGS):
        middle = (out + within) / 2
        kept = held(middle)
        out, within = np.where(kept, out, middle), np.where(kept, middle, within)
    return float(within[0]), float(within[1])
