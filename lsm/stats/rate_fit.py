"""Mean and variation of a reader's false positives, from slides that are known to have no parasites."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln
from scipy.stats import chi2

from lsm.errors import WrongFormat
from lsm.stats._posterior import Grid, shortest_interval, window
from lsm.stats._tails import check_confidence
from lsm.stats.estimate import Estimate
from lsm.stats.rates import GammaRate

COARSE, FINE = 25, 41
SMALLEST_CV, LARGEST_CV = 1e-3, 3.0
Slides = Float[np.ndarray, " slide"]
Means = Float[np.ndarray, " mean"]
Variations = Float[np.ndarray, " cv"]
Density = Float[np.ndarray, "mean cv"]


@dataclass(frozen=True)
class GammaRateFit:
    """Rate per cell and its coefficient of variation between slides, with intervals at `confidence`.

    Values are medians of the posterior. The mean's interval is the posterior's shortest; that of the variation, which
    may be none, holds what the integrated likelihood does not exclude. new_slide: what to expect of a slide to come; it
    is wider than the fitted distribution by what so few control slides leave open.
    """

    mean: Estimate
    cv: Estimate
    slides: int
    confidence: float
    new_slide: GammaRate


def fit_gamma_rate(
    events: Int[np.ndarray, " slide"], cells: Int[np.ndarray, " other"], *, confidence: float = 0.95
) -> GammaRateFit:
    """The gamma distribution of rates per cell behind the counts of slides, which may have unequal numbers of cells.

    The likelihood is negative binomial (Lawless, Can. J. Stat. 15, 209 (1987)); the prior is Jeffreys' for a Poisson
    mean, and for the coefficient of variation the half-Cauchy of scale 1, up to 3 (Gelman, Bayesian Anal. 1, 515
    (2006)): it holds both within bounds where slides have few events, and says most of what is said where there are
    fewer than some ten slides. Raises WrongFormat for fewer than two slides with cells, or impossible counts.
    """
    check_confidence(confidence)
    if events.shape != cells.shape or (cells > 0).sum() < 2 or events.min() < 0 or (events > cells).any():
        raise WrongFormat(
            f"{len(events)} counts on {len(cells)} slides do not tell how slides differ.",
            hint="give one count and one number of cells for each of at least two slides",
        )
    used = cells > 0
    counts, among = events[used].astype(np.float64), cells[used].astype(np.float64)
    mean, cv = _around(counts, among)
    density = _posterior(counts, among, mean, cv)
    weight = density * np.gradient(mean)[:, None] * np.gradient(cv)
    weight /= weight.sum()
    middle = float((weight.sum(axis=1) * mean).sum())
    square = float((weight * mean[:, None] ** 2 * (1 + cv**2)).sum())
    mean_ends = shortest_interval(mean, np.trapezoid(density, cv, axis=1), confidence)
    cv_ends = _likely(cv, np.trapezoid(density, mean, axis=0) * (1 + cv**2), confidence)
    return GammaRateFit(
        Estimate(_median(mean, weight.sum(axis=1)), *mean_ends),
        Estimate(_median(cv, weight.sum(axis=0)), *cv_ends),
        int(used.sum()),
        confidence,
        GammaRate(middle, float(np.sqrt(max(square / middle**2 - 1, 0.0)))),
    )


def _median(grid: Grid, weight: Grid) -> float:
    return float(np.interp(0.5, np.cumsum(weight) - weight / 2, grid))


def _likely(cv: Grid, likelihood: Grid, confidence: float) -> tuple[float, float]:
    """Where the likelihood, the mean integrated out, is not too far below its highest; the first point holds zero."""
    fine = np.linspace(cv[0], cv[-1], 50 * len(cv))
    level = np.interp(fine, cv, likelihood)
    held = fine[level >= level.max() * np.exp(-chi2.ppf(confidence, 1) / 2)]
    return (0.0 if held[0] <= SMALLEST_CV else float(held[0])), float(held[-1])


def _around(counts: Slides, cells: Slides) -> tuple[Means, Variations]:
    """Grids over all that the counts leave possible."""
    start = (counts.sum() + 0.5) / cells.sum()
    reach = 6 * np.sqrt(1 / (counts.sum() + 0.5) + 1 / len(counts))
    mean = np.minimum(start * np.exp(np.linspace(-reach, reach, 2 * COARSE)), 1.0)
    mean = np.unique(mean)
    cv = np.linspace(SMALLEST_CV, LARGEST_CV, 2 * COARSE)
    for size in (COARSE, FINE):
        density = _posterior(counts, cells, mean, cv)
        first, last = window(density.max(axis=1))
        low, high = window(density.max(axis=0))
        mean = np.geomspace(mean[first], mean[last], size)
        cv = np.linspace(cv[low], cv[high], size)
    return mean, cv


def _posterior(counts: Slides, cells: Slides, mean: Means, cv: Variations) -> Density:
    """Density per mean and cv, the largest 1."""
    shape = cv**-2
    varied = (gammaln(counts[:, None] + shape) - gammaln(shape)).sum(axis=0)
    expected = mean[:, None] * cells
    odds = expected[:, None, :] / shape[:, None]
    found = varied - ((shape[:, None] + counts) * np.log1p(odds)).sum(axis=2)
    found += counts.sum() * (np.log(mean)[:, None] - np.log(shape))
    found -= np.log(mean)[:, None] / 2 + np.log1p(cv**2)
    return np.asarray(np.exp(found - found.max()))
