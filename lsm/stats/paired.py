"""Whether one method is better than another on the same cells, over training seeds and patients."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from lsm.errors import WrongFormat
from lsm.stats.estimate import Estimate

Votes = Bool[np.ndarray, "seed cell"]


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of A minus that of B with its interval; seeds and patients are what was resampled."""

    difference: float
    low: float
    high: float
    seeds: int
    patients: int


@dataclass(frozen=True)
class AccuracyEstimate:
    """Mean accuracy over seeds with its interval, its standard deviation over seeds, and that of the majority."""

    accuracy: float
    low: float
    high: float
    seed_sd: float
    majority: float


def paired_difference(
    correct_a: Votes,
    correct_b: Bool[np.ndarray, "other_seed other_cell"],
    patient: np.ndarray,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 2000,
) -> PairedDifference:
    """Mean accuracy of A minus B, with a percentile interval from resampling patients and seeds.

    correct_a, correct_b: which cells each seed's network named rightly, when their patients were not trained on
    [seed, cell]; seed k of A is compared with seed k of B. patient: of each cell. Patients are drawn with
    replacement, because cells of one patient are not independent; of n seeds n - 1 are drawn, which makes the
    variance of their mean unbiased (Rao and Wu, JASA 83, 231 (1988)).
    Raises WrongFormat for shapes that do not fit or a single seed.
    """
    if correct_a.shape != correct_b.shape:
        raise WrongFormat(
            f"Methods with {correct_a.shape} and {correct_b.shape} seeds and cells cannot be paired.",
            hint="run both with the same seeds on the same cells",
        )
    deltas = correct_a.astype(np.float64) - correct_b.astype(np.float64)
    low, high = resampled_interval(deltas, patient, rng=rng, confidence=confidence, draws=draws)
    return PairedDifference(float(deltas.mean()), low, high, len(deltas), len(np.unique(patient)))


def accuracy(
    correct: Votes,
    patient: np.ndarray,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 2000,
) -> AccuracyEstimate:
    """Accuracy of one method; see `paired_difference` for interval and errors."""
    right = correct.astype(np.float64)
    low, high = resampled_interval(right, patient, rng=rng, confidence=confidence, draws=draws)
    per_seed = correct.mean(axis=1)
    return AccuracyEstimate(float(per_seed.mean()), low, high, float(per_seed.std(ddof=1)), majority_accuracy(correct))


def paired_shares(
    first: Bool[np.ndarray, " slide"],
    second: Bool[np.ndarray, " other"],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 4000,
) -> Estimate:
    """Share that the first reader has right less that of the second, who read the same slides.

    The interval is that of a Dirichlet posterior of the four ways in which two readers can be right or wrong, whose
    prior weighs as much as one slide (Perks, J. Inst. Actuar. 73, 285 (1947)): some 20 slides are too few for a normal
    approximation, and readers who never differ are not taken for equal. Raises WrongFormat for no slides or others.
    """
    if first.shape != second.shape or not len(first):
        raise WrongFormat(
            f"{len(first)} and {len(second)} answers are not two readings of the same slides.",
            hint="give one of each reader for every slide",
        )
    ways = np.array([[(first & ~second).sum(), (~first & second).sum()], [(first & second).sum(), 0]])
    ways[1, 1] = len(first) - ways.sum()
    drawn = rng.gamma(ways.ravel() + 0.25, size=(draws, 4))
    differences = (drawn[:, 0] - drawn[:, 1]) / drawn.sum(axis=1)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(ways[0, 0] - ways[0, 1]) / len(first), float(low), float(high))


def majority_accuracy(correct: Votes) -> float:
    """Accuracy when every cell is named by the vote of all seeds; a tie counts half."""
    share = correct.mean(axis=0)
    return float((share > 0.5).mean() + 0.5 * (share == 0.5).mean())


def resampled_interval(
    values: Float[np.ndarray, "seed cell"],
    patient: np.ndarray,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 2000,
    one_seed: bool = False,
) -> tuple[float, float]:
    """Ends of the interval of the mean of any numbers of each seed and cell; see `paired_difference`.

    one_seed: a single seed is taken as it is, and the interval is over patients alone; it tells nothing of other
    trainings.
    """
    n_seeds, n_cells = values.shape
    if n_seeds < (1 if one_seed else 2) or patient.shape != (n_cells,):
        raise WrongFormat(
            f"{n_seeds} seeds on {n_cells} cells with {len(patient)} patients give no interval.",
            hint="give at least two seeds, and one patient per cell",
        )
    names, member = np.unique(patient, return_inverse=True)
    cells = np.bincount(member, minlength=len(names)).astype(np.float64)
    sums = np.stack([np.bincount(member, weights=row, minlength=len(names)) for row in values])
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    seeds = drawn_seeds(n_seeds, draws, rng)
    means = np.einsum("ds,sp,dp->d", seeds, sums, times, optimize=True) / (times @ cells)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def drawn_seeds(n_seeds: int, draws: int, rng: np.random.Generator) -> Float[np.ndarray, "draw seed"]:
    """Weight of each seed in each draw: of n seeds n - 1 are drawn (Rao and Wu, 1988), a single one stays."""
    if n_seeds == 1:
        return np.ones((draws, 1))
    return rng.multinomial(n_seeds - 1, np.full(n_seeds, 1 / n_seeds), size=draws) / (n_seeds - 1)


def verdict(low: float, high: float) -> str:
    """What the interval of a difference, where more is better, shows of it."""
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"
