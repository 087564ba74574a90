"""Slides as they come: their own sensitivity and false positives, and what is counted on them."""

import numpy as np
from jaxtyping import Float, Int

from lsm.stats import BetaShare, GammaRate, ReaderErrors

PerRun = Float[np.ndarray, " run"]
Counted = Int[np.ndarray, " run"]


def sensitivities(share: BetaShare, runs: int, rng: np.random.Generator) -> PerRun:
    """One of each slide."""
    if share.sd == 0:
        return np.full(runs, share.mean)
    size = share.mean * (1 - share.mean) / share.sd**2 - 1
    return rng.beta(share.mean * size, (1 - share.mean) * size, runs)


def false_rates(rate: GammaRate, runs: int, rng: np.random.Generator) -> PerRun:
    """False positives per cell of each slide."""
    return np.full(runs, rate.mean) if rate.known else rng.gamma(rate.shape, rate.mean / rate.shape, runs)


def called_share(errors: ReaderErrors, fraction: PerRun, rng: np.random.Generator) -> PerRun:
    """Share of each slide's cells that is called infected, with its own errors."""
    found = sensitivities(errors.sensitivity, len(fraction), rng)
    false = false_rates(errors.false_positives, len(fraction), rng)
    return np.asarray(fraction * found + (1 - fraction) * np.minimum(false, 1.0))


def suspicious(errors: ReaderErrors, fraction: PerRun, cells: int, rng: np.random.Generator) -> Counted:
    """Suspicious ones among the cells of each slide."""
    return rng.binomial(cells, called_share(errors, fraction, rng))
