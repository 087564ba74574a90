"""Means over a panel whose composition is fixed: slides are drawn anew within their groups."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from lsm.stats import Estimate

Drawn = Float[np.ndarray, "draw reader"]


def drawn_means(
    values: Float[np.ndarray, "reader slide"], strata: Sequence[str] | None, draws: int, rng: np.random.Generator
) -> Drawn:
    """Means of each reader over slides drawn with replacement, the same for all readers.

    Of n slides of a group n - 1 are drawn, which makes the variance of their mean unbiased (Rao and Wu, JASA 83, 231
    (1988)).
    """
    kinds = np.array(["all"] * values.shape[1] if strata is None else list(strata))
    total = np.zeros((draws, len(values)))
    for kind in np.unique(kinds):
        held = values[:, kinds == kind]
        size = held.shape[1]
        times = rng.multinomial(max(size - 1, 1), np.full(size, 1 / size), size=draws)
        total += (times @ held.T) * size / max(size - 1, 1)
    return np.asarray(total / values.shape[1])


def mean_of(values: Float[np.ndarray, " slide"], drawn: Float[np.ndarray, " draw"], confidence: float) -> Estimate:
    """The mean with its percentile interval."""
    return Estimate(float(values.mean()), *_ends(drawn, confidence))


def ratio_of(
    above: Float[np.ndarray, " slide"],
    below: Float[np.ndarray, " slide"],
    drawn: Float[np.ndarray, "draw 2"],
    confidence: float,
) -> Estimate | None:
    """The ratio of two readers' means with its percentile interval; None where the second has none."""
    if not below.any() or not drawn[:, 1].all():
        return None
    return Estimate(float(above.mean() / below.mean()), *_ends(drawn[:, 0] / drawn[:, 1], confidence))


def _ends(drawn: Float[np.ndarray, " draw"], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
