"""Coverage of the plain intervals: fractions, expected counts, and the thick film's ratio of two counts."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.slides import false_rates, sensitivities
from lsm.experiments.interval_coverage.tally import Tally
from lsm.stats import (
    BetaShare,
    GammaRate,
    ReaderErrors,
    clopper_pearson,
    gamma_poisson_interval,
    mid_p,
    wilson,
)
from lsm.stats.corrected import AmongWhiteCells, inside
from lsm.stats.density import WHITE_CELLS_PER_UL

Ends = tuple[float, float]

ONE_MEAN = "expected count, Poisson, mid-P, but slides differ"

PANELS = (20, 35, 100)
SHARES = (0.5, 0.99)
MEANS = (1.0, 100.0)
WHITE_CELLS = (200, 500)
THICK_RATE = 1e-3
"""False positives per white cell: 8 per microlitre."""
THICK_DENSITIES = (0.0, 100.0, 1000.0, 10_000.0, 100_000.0)


def fractions(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Shares of panels of slides, the truth anywhere from 50 to 99 %."""
    intervals: dict[str, Callable[[int, int], Ends]] = {
        "Wilson": wilson,
        "mid-P": mid_p,
        "exact (Clopper-Pearson)": clopper_pearson,
    }
    for slides in PANELS:
        truth = rng.uniform(*SHARES, config.runs)
        right = rng.binomial(slides, truth)
        for name, interval in intervals.items():
            ends = np.array([interval(k, slides) for k in range(slides + 1)])
            yield Tally.of(f"fraction, {name}", f"{slides} slides", _between(ends, right, truth))


def expectations(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Expected counts from 1 to 100, evenly in their logarithm, on slides that are alike and on slides that differ."""
    cv = config.reader.cv
    for name, spread, exact in (
        ("Poisson, mid-P", 0.0, False),
        ("Poisson, exact", 0.0, True),
        ("gamma-Poisson, mid-P", cv, False),
        ("gamma-Poisson, exact", cv, True),
        (ONE_MEAN.removeprefix("expected count, "), cv, False),
    ):
        truth = np.exp(rng.uniform(np.log(MEANS[0]), np.log(MEANS[1]), config.runs))
        count = rng.poisson(truth * (rng.gamma(spread**-2, spread**2, config.runs) if spread else 1.0))
        taken = 0.0 if ONE_MEAN.endswith(name) else spread
        ends = np.zeros((int(count.max()) + 1, 2))
        for k in np.unique(count):
            ends[k] = gamma_poisson_interval(int(k), taken, exact=exact)
        yield Tally.of(f"expected count, {name}", f"{MEANS[0]:g} to {MEANS[1]:g}", _between(ends, count, truth))


def thick_films(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Parasites beside 200 and 500 white cells, where that number ends the count and where the area does."""
    reader = config.reader
    errors = ReaderErrors(BetaShare(reader.sensitivity, reader.sensitivity_sd), GammaRate(THICK_RATE, reader.cv))
    for white_cells in WHITE_CELLS:
        for per_ul in THICK_DENSITIES:
            fraction = np.full(config.runs, per_ul / WHITE_CELLS_PER_UL)
            found = sensitivities(errors.sensitivity, config.runs, rng)
            called = fraction * found + false_rates(errors.false_positives, config.runs, rng)
            where = f"{per_ul:g}/uL, {white_cells} white cells"
            # the area on which the last of so many white cells is met
            area = rng.gamma(white_cells, size=config.runs)
            met = np.full(config.runs, white_cells)
            yield _thick("thick film", where, rng.poisson(called * area), met, fraction, errors)
            met = np.maximum(rng.poisson(white_cells, config.runs), 1)
            yield _thick("thick film, fixed area", where, rng.poisson(called * white_cells), met, fraction, errors)


def _thick(
    name: str,
    where: str,
    count: np.ndarray,
    white_cells: np.ndarray,
    fraction: np.ndarray,
    errors: ReaderErrors,
) -> Tally:
    held = np.zeros(len(count), dtype=bool)
    for each in np.unique(white_cells):
        here = white_cells == each
        seen, place = np.unique(count[here], return_inverse=True)
        held[here] = inside(seen, fraction[: len(seen)], AmongWhiteCells(int(each)), errors)[place]
    return Tally.of(name, where, held)


def _between(ends: np.ndarray, count: np.ndarray, truth: np.ndarray) -> Bool[np.ndarray, " run"]:
    return np.asarray((ends[count, 0] <= truth) & (truth <= ends[count, 1]))
