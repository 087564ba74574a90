"""Coverage of the thin film's density: fixed densities, slides of all densities, errors that had to be estimated."""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.slides import Counted, PerRun, false_rates, sensitivities, suspicious
from lsm.experiments.interval_coverage.tally import Tally
from lsm.stats import RED_CELLS_PER_UL, BetaShare, GammaRate, ReaderErrors, fit_gamma_rate
from lsm.stats.corrected import AmongRedCells, inside

THIN = "thin film"
ONE_RATE = "thin film, one rate for all slides"
PER_DECADE = 50
FITTED_DENSITIES = (0.0, 30.0, 100.0, 1000.0, 10_000.0)
CALIBRATION_CELLS = 400
CONTROL_CELLS = (100_000, 2_000_000)
LOOK_ALIKES = 40
"""Expected on a slide with the mean rate."""


def fixed_densities(config: CoverageConfig, rng: np.random.Generator) -> Iterator[tuple[Tally, float, float, int]]:
    """(coverage, density, rate, cells) of slides that all have this density; only their errors differ."""
    for cells in config.cells:
        for rate in config.rates:
            errors = config.reader.errors(rate)
            for per_ul in config.densities:
                fraction = np.full(config.runs, per_ul / RED_CELLS_PER_UL)
                held = _held(suspicious(errors, fraction, cells, rng), fraction, cells, errors)
                yield Tally.of(THIN, f"{per_ul:g}/uL, {rate:g}, {cells} cells", held), per_ul, rate, cells


def spread_densities(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Slides without parasites, and slides of every decade of density, each over all rates of false positives."""
    for cells in config.cells:
        for low in (0, 10, 100, 1000, 10_000):
            held = [
                _held_on(
                    _densities(low, math.ceil(config.runs / len(config.rates)), rng),
                    cells,
                    config.reader.errors(rate),
                    rng,
                )
                for rate in config.rates
            ]
            span = f"{low} to {10 * low}/uL" if low else "no parasites"
            yield Tally.of(THIN, f"{span}, {cells} cells", np.concatenate(held))


def estimated_errors(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """A new calibration for every slide: control slides without parasites, and 400 infected cells for the sensitivity.

    Yields the coverage of the fitted mean and variation, then that of the density.
    """
    cells = max(config.cells)
    for controls in config.control_slides:
        for rate in config.rates:
            truth, density_held, mean_held, cv_held = config.reader.errors(rate, sensitivity_sd=0.0), [], [], []
            for per_ul in rng.choice(FITTED_DENSITIES, config.slow_runs):
                scanned = rng.integers(*CONTROL_CELLS, controls)
                events = rng.binomial(scanned, np.minimum(false_rates(truth.false_positives, controls, rng), 1.0))
                fit = fit_gamma_rate(events, scanned)
                found = rng.binomial(CALIBRATION_CELLS, truth.sensitivity.mean)
                errors = ReaderErrors(BetaShare.counted(int(found), CALIBRATION_CELLS), fit.new_slide)
                fraction = np.array([per_ul / RED_CELLS_PER_UL])
                count = suspicious(truth, fraction, cells, rng)
                density_held.append(_held(count, fraction, cells, errors)[0])
                mean_held.append(fit.mean.low <= rate <= fit.mean.high)
                cv_held.append(fit.cv.low <= config.reader.cv <= fit.cv.high)
            where = f"{controls} control slides, {rate:g}"
            yield Tally.of("mean false positives", where, np.array(mean_held))
            yield Tally.of("their variation", where, np.array(cv_held))
            yield Tally.of("thin film, errors estimated", where, np.array(density_held))


def own_rate(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """The slide's own rate from some 40 look-alikes, whose ratio to false positives is steady or varies by 20 %."""
    cells = max(config.cells)
    for varies in (0.0, 0.2):
        for rate in config.rates:
            prior = config.reader.errors(rate)
            per_event = cells * rate / LOOK_ALIKES
            false = false_rates(prior.false_positives, config.runs, rng)
            ratio = rng.gamma(varies**-2, varies**2, config.runs) if varies else np.ones(config.runs)
            seen = rng.poisson(cells * false / (per_event * ratio))
            fraction = rng.choice(FITTED_DENSITIES, config.runs) / RED_CELLS_PER_UL
            found = sensitivities(prior.sensitivity, config.runs, rng)
            count = rng.binomial(cells, fraction * found + (1 - fraction) * false)
            held = np.zeros(config.runs, dtype=bool)
            for events in np.unique(seen):
                own = prior.false_positives.given(int(events), cells, per_event=per_event, per_event_cv=varies)
                here = seen == events
                held[here] = _held(count[here], fraction[here], cells, ReaderErrors(prior.sensitivity, own))
            yield Tally.of("thin film, slide's own rate", f"{rate:g}, ratio varies by {100 * varies:.0f} %", held)


def fixed_rate(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """What an interval covers that takes the mean rate for every slide's: the mistake that all this is for."""
    cells = max(config.cells)
    for rate in config.rates:
        truth = config.reader.errors(rate)
        trusting = ReaderErrors(truth.sensitivity, GammaRate(rate))
        fraction = rng.choice(FITTED_DENSITIES, config.runs) / RED_CELLS_PER_UL
        held = _held(suspicious(truth, fraction, cells, rng), fraction, cells, trusting)
        yield Tally.of(ONE_RATE, f"{rate:g}", held)


def _densities(low: float, runs: int, rng: np.random.Generator) -> PerRun:
    """Fractions of this decade of densities, even in their logarithm; zero for zero."""
    return low * 10 ** (rng.integers(PER_DECADE, size=runs) / PER_DECADE) / RED_CELLS_PER_UL


def _held_on(fraction: PerRun, cells: int, errors: ReaderErrors, rng: np.random.Generator) -> Bool[np.ndarray, " run"]:
    return _held(suspicious(errors, fraction, cells, rng), fraction, cells, errors)


def _held(count: Counted, fraction: PerRun, cells: int, errors: ReaderErrors) -> Bool[np.ndarray, " run"]:
    """Whether each interval holds its fraction; equal pairs are asked once."""
    pairs, place = np.unique(np.stack([count.astype(np.float64), fraction]), axis=1, return_inverse=True)
    return np.asarray(inside(pairs[0], pairs[1], AmongRedCells(cells), errors)[place.ravel()])
