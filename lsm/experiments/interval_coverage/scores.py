"""The posterior over score histograms beside a count above a threshold, at prevalences down to 1e-5."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int
from scipy.stats import norm

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.tally import Tally
from lsm.stats import RED_CELLS_PER_UL, ScoreCalibration, estimate_prevalence, thin_film_density
from lsm.stats.suspicious import best_first_bin, count_suspicious

EDGES = np.concatenate([[-np.inf], np.linspace(-3.0, 2.0, 11), [np.inf]])
INFECTED, UNINFECTED = 1.1, -4.0
"""Means of log scores with a spread of 1: at 0.27 they leave 80 % of infected cells and 1e-5 of others."""
STAIN = 0.12
"""Spread of a slide's shift: 1e-5 then differs by half between slides."""
CELLS = 2_000_000
CALIBRATION_SLIDES, CALIBRATION_CELLS, CALIBRATION_INFECTED = 20, 500_000, 400
PREVALENCES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
PER_CALIBRATION = 10

Histogram = Int[np.ndarray, " bin"]


def posteriors(config: CoverageConfig, rng: np.random.Generator) -> Iterator[tuple[Tally, float]]:
    """(coverage, median half-width per microlitre) of both ways on the same slides, a new calibration for every ten."""
    runs = max(config.slow_runs // 5, 20)
    for prevalence in PREVALENCES:
        held, widths = [], []
        for run in range(runs):
            if run % PER_CALIBRATION == 0:
                calibration = _calibrate(rng)
                first_bin = best_first_bin(calibration, np.ones(1), CELLS)
            infected = rng.binomial(CELLS, prevalence)
            counts = _slide(INFECTED, infected, rng) + _slide(UNINFECTED, CELLS - infected, rng)
            found = estimate_prevalence(counts[None], calibration)
            above = count_suspicious(counts[None], calibration, first_bin)
            density = thin_film_density(above.suspicious, above.cells, above.errors)
            truth = prevalence * RED_CELLS_PER_UL
            held.append([found.low <= prevalence <= found.high, density.low <= truth <= density.high])
            widths.append([found.half_width * RED_CELLS_PER_UL, (density.high - density.low) / 2])
        for name, column, width in zip(
            ("score histogram, posterior", "cells above a threshold"),
            np.array(held).T,
            np.median(widths, axis=0),
            strict=True,
        ):
            yield Tally.of(name, f"prevalence {prevalence:g}", column), float(width)


def _calibrate(rng: np.random.Generator) -> ScoreCalibration:
    slides = [
        (_slide(INFECTED, CALIBRATION_INFECTED, rng), _slide(UNINFECTED, CALIBRATION_CELLS, rng))
        for _ in range(CALIBRATION_SLIDES)
    ]
    infected, uninfected = (np.array(each)[:, None, :] for each in zip(*slides, strict=True))
    return ScoreCalibration.from_slides(infected, uninfected)


def _slide(mean: float, cells: int, rng: np.random.Generator) -> Histogram:
    """Cells per bin of a slide whose stain shifts all scores of a class."""
    shares = np.diff(norm.cdf(EDGES - mean - rng.normal(0, STAIN)))
    return rng.multinomial(cells, shares / shares.sum()).astype(np.int64)
