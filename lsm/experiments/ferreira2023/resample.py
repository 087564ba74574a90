"""Means over seeds and groups with their intervals, for numbers that are not right or wrong."""

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, "seed crop"]


def mean_interval(values: Values, group: np.ndarray, *, draws: int = 2000) -> tuple[float, float, float]:
    """Mean, and its 95 % percentile interval from resampling whole groups and seeds.

    As `lsm.stats.paired.paired_difference`: of n seeds n - 1 are drawn, which makes the variance of their mean
    unbiased (Rao and Wu, JASA 83, 231 (1988)).
    """
    rng = np.random.default_rng(0)
    names, member = np.unique(group, return_inverse=True)
    crops = np.bincount(member)
    sums = np.stack([np.bincount(member, weights=row) for row in values])
    n = len(values)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    seeds = rng.multinomial(n - 1, np.full(n, 1 / n), size=draws) / (n - 1)
    means = np.einsum("ds,sp,dp->d", seeds, sums, times, optimize=True) / (times @ crops)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)
