"""How well scores separate two classes, with intervals that respect slides and patients."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.errors import WrongFormat

Scores = Float[np.ndarray, " cell"]
Labels = Bool[np.ndarray, " cell"]
Groups = Int[np.ndarray, " cell"]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """False and true positive rate at every distinct threshold, from (0, 0) to (1, 1)."""

    false_positive_rate: Float[np.ndarray, " point"]
    true_positive_rate: Float[np.ndarray, " point"]
    thresholds: Float[np.ndarray, " point"]


@dataclass(frozen=True)
class AucEstimate:
    """Area under the ROC curve with its interval; groups are the units that were resampled."""

    auc: float
    low: float
    high: float
    groups: int


def roc_curve(scores: Scores, positive: Labels) -> RocCurve:
    """The curve that calls a cell positive at `score >= threshold`; ties move both rates at once.

    Raises WrongFormat where a class is missing.
    """
    _check(scores, positive)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(positive[order])[last]
    false = last + 1 - true
    return RocCurve(
        np.concatenate([[0.0], false / false[-1]]),
        np.concatenate([[0.0], true / true[-1]]),
        np.concatenate([[np.inf], scores[order][last]]),
    )


def auc(scores: Scores, positive: Labels) -> float:
    """Probability that a positive scores above a negative, ties counting half.

    Hanley and McNeil, Radiology 143, 29 (1982). Raises WrongFormat where a class is missing.
    """
    _check(scores, positive)
    return _weighted_auc(*_by_value(scores, positive, np.ones(len(scores))))


def auc_interval(
    scores: Scores,
    positive: Labels,
    groups: Groups,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    draws: int = 1000,
) -> AucEstimate:
    """Area under the curve with a percentile interval from resampling whole groups.

    groups: slide or patient of each cell; cells of one slide are not independent, so the slide is the
    unit (Obuchowski, Biometrics 53, 567 (1997)). Draws that lose a class are left out; where none or
    only one group remains the interval is 0..1. Raises WrongFormat where a class is missing.
    """
    _check(scores, positive)
    names, member = np.unique(groups, return_inverse=True)
    values = []
    for _ in range(draws if len(names) > 1 else 0):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        up, down = _by_value(scores, positive, times[member].astype(np.float64))
        if up.sum() > 0 and down.sum() > 0:
            values.append(_weighted_auc(up, down))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail]) if values else (0.0, 1.0)
    return AucEstimate(auc(scores, positive), float(low), float(high), len(names))


def _by_value(
    scores: Scores, positive: Labels, weights: Float[np.ndarray, " cell"]
) -> tuple[Float[np.ndarray, " value"], Float[np.ndarray, " value"]]:
    _, place = np.unique(scores, return_inverse=True)
    return np.bincount(place, weights * positive), np.bincount(place, weights * ~positive)


def _weighted_auc(up: Float[np.ndarray, " value"], down: Float[np.ndarray, " value"]) -> float:
    below = np.cumsum(down) - down / 2
    return float((up * below).sum() / (up.sum() * down.sum()))


def _check(scores: Scores, positive: Labels) -> None:
    if len(scores) != len(positive) or positive.all() or not positive.any():
        raise WrongFormat(
            f"{len(scores)} scores with {int(positive.sum())} positives have no ROC curve.",
            hint="give as many labels as scores, with both classes among them",
        )
