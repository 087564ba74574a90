"""How many more cells a sequential test is likely to need: the scan is followed on slides that fit what was counted."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax, xlogy

from lsm.stats.sequential import Decision, SequentialRule

PATHS = 400
LOOKS = 40
PATH_SEED = 20241
DENSITIES = (0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 5.0, 20.0, 100.0)
"""Thought of before counting, in targets, none of them likelier than another but for the first."""
NO_PARASITES = 0.5
"""Weight of the first."""


@dataclass(frozen=True)
class Forecast:
    """What further cells are likely to bring.

    more_cells: the median number until the decision; None where half of the slides that fit the counts would be
    undecided at the end. decided: share of them that is decided within `cells_max`.
    """

    more_cells: int | None
    decided: float
    cells_max: int


def forecast_cells(rule: SequentialRule, suspicious: int, cells: int, *, cells_max: int) -> Forecast:
    """How long the test goes on from these totals, if at most cells_max are counted in all.

    Slides are drawn with a fixed seed, as likely as the counts make them, half of them without parasites before
    anything is counted. With 400 slides the share is known to 2.5 %. Raises InputError for impossible counts.
    """
    if rule.decide(suspicious, cells) is not Decision.UNDECIDED:
        return Forecast(0, 1.0, cells_max)
    looks = np.unique(np.geomspace(max(cells, 1) + 100, max(cells_max, cells + 101), LOOKS).astype(np.int64))
    looks = looks[looks <= cells_max]
    if not looks.size:
        return Forecast(None, 0.0, cells_max)
    negative, positive = rule.boundaries(looks.astype(np.float64))
    rng = np.random.default_rng(PATH_SEED)
    rates = _likely_rates(rule, suspicious, cells, rng)
    counts = suspicious + np.cumsum(rng.poisson(rates[:, None] * np.diff(looks, prepend=cells)), axis=1)
    decided = (counts <= negative) | (counts >= positive)
    ever = decided.any(axis=1)
    middle = float(np.median(np.where(ever, looks[decided.argmax(axis=1)] - cells, math.inf)))
    return Forecast(int(middle) if math.isfinite(middle) else None, float(ever.mean()), cells_max)


def _likely_rates(
    rule: SequentialRule, suspicious: int, cells: int, rng: np.random.Generator
) -> Float[np.ndarray, " path"]:
    false = rule.errors.false_positives.at((np.arange(PATHS) + 0.5) / PATHS)
    extra = np.array([rule.extra_rate(times * rule.target_per_ul) for times in DENSITIES])
    called = false[:, None] + extra
    prior = np.full(len(DENSITIES), (1 - NO_PARASITES) / (len(DENSITIES) - 1))
    prior[0] = NO_PARASITES
    fit = xlogy(suspicious, called) - cells * called + np.log(prior)
    chosen: Int[np.ndarray, " path"] = rng.choice(called.size, PATHS, p=softmax(fit).ravel())
    return np.asarray(called.ravel()[chosen])
