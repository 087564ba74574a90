"""Prevalence on a slide from binned scores that are wrong now and then.

The counts of a slide follow pi * p_infected + (1 - pi) * p_uninfected per set of captures; the Rogan-Gladen
correction, Am. J. Epidemiol. 107, 71 (1978), is its form for one mask and two bins.
"""

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import norm

from lsm.errors import WrongFormat
from lsm.stats._posterior import shortest_interval
from lsm.stats.calibration import DrawnFractions, Fractions, MaskBins, ScoreCalibration
from lsm.stats.estimate import PrevalenceEstimate

GRID_POINTS = 160
Grid = Float[np.ndarray, " grid"]


def estimate_prevalence(
    counts: MaskBins,
    calibration: ScoreCalibration,
    *,
    confidence: float = 0.95,
    draws: tuple[DrawnFractions, DrawnFractions] | None = None,
) -> PrevalenceEstimate:
    """Prevalence with the shortest interval that holds `confidence` of its posterior, flat prior on 0..1.

    counts: the slide's cells [mask, bin]. draws: fractions from `calibration.draw`; its fixed draws otherwise.
    The posterior is averaged over the draws, without letting the slide itself weigh them, so a false-positive
    rate that varies between slides keeps the interval open however many cells are counted.
    Raises WrongFormat where counts and calibration do not fit.
    """
    if counts.shape != calibration.infected.shape:
        raise WrongFormat(
            f"Counts are {counts.shape}, the calibration {calibration.infected.shape}.",
            hint="bin with the model's own bins and masks",
        )
    cells = round(float(counts.sum()))
    seen = counts > 0
    if not seen.any():
        return PrevalenceEstimate(0.5, 0.0, 1.0, 0, confidence)
    p_infected, p_uninfected = calibration.drawn if draws is None else draws
    ratio = p_infected[:, seen] / p_uninfected[:, seen] - 1
    weight = counts[seen].astype(np.float64)
    point = float(prevalence_em(counts, calibration.p_infected, calibration.p_uninfected, iterations=200))
    grid = _window(ratio, weight)
    low, high = shortest_interval(grid, _posterior(grid, ratio, weight), confidence)
    return PrevalenceEstimate(point, min(low, point), max(high, point), cells, confidence)


def prevalence_em(
    counts: Real[np.ndarray, "*slide mask bin"], p_infected: Fractions, p_uninfected: Fractions, iterations: int = 30
) -> Float[np.ndarray, "*slide"]:
    """Maximum-likelihood prevalence [...] by expectation maximisation from the moment estimate; 0.5 without cells.

    Saerens, Latinne and Decaestecker, Neural Computation 14, 21 (2002).
    """
    cells = counts.sum(axis=(-2, -1))
    score = (p_infected - p_uninfected) / (p_infected + p_uninfected)
    expected_infected = (counts.sum(axis=-1) * (p_infected * score).sum(axis=-1)).sum(axis=-1)
    expected_uninfected = (counts.sum(axis=-1) * (p_uninfected * score).sum(axis=-1)).sum(axis=-1)
    span = np.maximum(expected_infected - expected_uninfected, 1e-9)
    start = ((counts * score).sum(axis=(-2, -1)) - expected_uninfected) / span
    prevalence = np.where(cells > 0, np.clip(start, 1e-4, 1 - 1e-4), 0.5)
    for _ in range(iterations):
        infected = prevalence[..., None, None] * p_infected
        share = infected / (infected + (1 - prevalence[..., None, None]) * p_uninfected)
        prevalence = np.where(cells > 0, (counts * share).sum(axis=(-2, -1)) / np.maximum(cells, 1), 0.5)
    return prevalence


def half_width(
    counts: Real[np.ndarray, "*slide mask bin"],
    prevalence: Float[np.ndarray, "*slide"],
    calibration: ScoreCalibration,
    *,
    confidence: float = 0.95,
) -> Float[np.ndarray, "*slide"]:
    """Half-length [...] of the interval from the expected Fisher information and the slides' variation, at most 0.5.

    Cheap form of `estimate_prevalence` for planning: the prevalence is drawn in by one cell on either side,
    which keeps the width finite at 0 and at 1, and the deviations of all masks add up, as they are one slide's.
    """
    cells = counts.sum(axis=(-2, -1))
    inner = ((prevalence * cells + 1) / (cells + 2))[..., None, None]
    per_mask = counts.sum(axis=-1)
    mixed = inner * calibration.p_infected + (1 - inner) * calibration.p_uninfected
    score = (calibration.p_infected - calibration.p_uninfected) / mixed
    information = np.maximum((per_mask * (mixed * score**2).sum(axis=-1)).sum(axis=-1), 1e-12)
    infected = _deviation(score, calibration.p_infected, calibration.infected_concentration)
    uninfected = _deviation(score, calibration.p_uninfected, calibration.uninfected_concentration)
    share = inner[..., 0, 0]
    drift = np.hypot(share * (per_mask * infected).sum(axis=-1), (1 - share) * (per_mask * uninfected).sum(axis=-1))
    variance = 1 / information + (drift / information) ** 2
    return np.asarray(np.minimum(0.5, norm.ppf((1 + confidence) / 2) * np.sqrt(variance)))


def _deviation(
    score: Float[np.ndarray, "*slide mask bin"], mean: Fractions, concentration: Fractions
) -> Float[np.ndarray, "*slide mask"]:
    centred = score - (mean * score).sum(axis=-1, keepdims=True)
    per_bin = np.abs(centred) * np.sqrt(mean * (1 - mean) / (concentration + 1))
    deviation: Float[np.ndarray, "*slide mask"] = per_bin.sum(axis=-1)
    return deviation


def _window(ratio: Float[np.ndarray, "draw seen"], weight: Float[np.ndarray, " seen"]) -> Grid:
    """A grid over the part of 0..1 where any draw leaves posterior mass; found on a coarse grid."""
    coarse = np.concatenate([[0.0], np.geomspace(1e-6, 0.5, 60), 1 - np.geomspace(0.45, 1e-6, 30), [1.0]])
    density = _posterior(coarse, ratio[::4], weight)
    held = np.flatnonzero(density > density.max() * 1e-5)
    low, high = coarse[max(held[0] - 1, 0)], coarse[min(held[-1] + 1, len(coarse) - 1)]
    return np.linspace(low, high, GRID_POINTS)


def _posterior(grid: Grid, ratio: Float[np.ndarray, "draw seen"], weight: Float[np.ndarray, " seen"]) -> Grid:
    growth = ratio.astype(np.float32)[:, None, :] * grid.astype(np.float32)[:, None]
    log_likelihood = np.log1p(np.maximum(growth, -1 + 1e-7, out=growth), out=growth) @ weight.astype(np.float32)
    likelihood = np.exp((log_likelihood - log_likelihood.max(axis=1, keepdims=True)).astype(np.float64))
    likelihood /= np.trapezoid(likelihood, grid, axis=1)[:, None]
    density: Grid = likelihood.mean(axis=0)
    return density
