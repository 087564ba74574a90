"""Intervals at the end of scans that the counts themselves ended: ordinary ones, and those for any time."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.scans import edges_of, looks_of, scan_slides
from lsm.experiments.interval_coverage.slides import PerRun, called_share
from lsm.experiments.interval_coverage.tally import Tally
from lsm.stats import RED_CELLS_PER_UL, ReaderErrors, SequentialRule
from lsm.stats.anytime import anytime_interval, log_evidence
from lsm.stats.corrected import AmongRedCells, corrected_interval, inside

ANYTIME, ORDINARY = "any time", "ordinary"
DENSITIES = (0.0, 30.0, 100.0, 1000.0, 10_000.0)
COMPARED = (0.0, 30.0, 100.0, 1000.0)
SPAN = (2_000, 2_000_000)
NARROW = 0.25
NARROW_DENSITIES = (300.0, 1000.0, 10_000.0)
NARROW_SPAN = (5_000, 20_000_000)
TARGET_PER_UL = 200.0

Ends = Callable[[np.ndarray, np.ndarray, ReaderErrors], tuple[np.ndarray, np.ndarray]]


def at_every_look(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Whether the truth was inside at every look: what is left to someone who stops when it suits."""
    looks = np.geomspace(*SPAN, config.looks).astype(np.int64)
    for rate in config.rates:
        errors = config.reader.errors(rate)
        for per_ul in DENSITIES:
            fraction = np.full(config.runs, per_ul / RED_CELLS_PER_UL)
            counts = _counts(called_share(errors, fraction, rng), looks, rng)
            where = f"{per_ul:g}/uL, {rate:g}, at all of {len(looks)} looks"
            held = np.ones(config.runs, dtype=bool)
            also = np.ones(config.runs, dtype=bool)
            for look, cells in enumerate(looks):
                seen, place = np.unique(counts[:, look], return_inverse=True)
                held &= _anytime_inside(seen, np.full(len(seen), cells), fraction[0], errors)[place]
                if per_ul in COMPARED:
                    also &= inside(seen, fraction[: len(seen)], AmongRedCells(int(cells)), errors)[place]
            yield Tally.of(ANYTIME, where, held)
            if per_ul in COMPARED:
                yield Tally.of(ORDINARY, where, also)


def at_the_decision(config: CoverageConfig, rng: np.random.Generator) -> Iterator[Tally]:
    """Where the sequential rule has just decided, with false positives that vary between slides."""
    looks = looks_of(config.scan, rng)
    for rate in config.rates:
        errors = config.reader.errors(rate)
        rule = SequentialRule(errors, TARGET_PER_UL, config.scan.alpha, config.scan.beta)
        edges = edges_of(rule, looks)
        for per_ul in (0.0, 300.0, 1000.0, 10_000.0):
            fraction = np.full(config.runs, per_ul / RED_CELLS_PER_UL)
            scans = scan_slides(called_share(errors, fraction, rng), looks, edges, rng)
            where = f"{per_ul:g}/uL, {rate:g}, where the rule ends the scan"
            yield Tally.of(ANYTIME, where, _anytime_inside(scans.suspicious, scans.cells, fraction[0], errors))
            yield Tally.of(ORDINARY, where, _inside(scans.suspicious, scans.cells, fraction[0], errors))


def when_narrow(config: CoverageConfig, rng: np.random.Generator) -> Iterator[tuple[Tally, float]]:
    """(coverage, mean cells) where the scan ends at the first interval narrower than 25 % to either side."""
    looks = np.geomspace(*NARROW_SPAN, config.looks).astype(np.int64)
    errors = config.reader.errors(sorted(config.rates)[len(config.rates) // 2])
    kinds: dict[str, tuple[Ends, Callable[..., Bool[np.ndarray, " run"]]]] = {
        ANYTIME: (_anytime_ends, _anytime_inside),
        ORDINARY: (_ordinary_ends, _inside),
    }
    for name, (ends, holds) in kinds.items():
        enough = _enough(looks, errors, ends)
        for per_ul in NARROW_DENSITIES:
            fraction = np.full(config.runs, per_ul / RED_CELLS_PER_UL)
            counts = _counts(called_share(errors, fraction, rng), looks, rng)
            narrow = counts >= enough
            stop = np.where(narrow.any(axis=1), narrow.argmax(axis=1), len(looks) - 1)
            count = counts[np.arange(config.runs), stop]
            held = holds(count, looks[stop], fraction[0], errors)
            yield Tally.of(name, f"{per_ul:g}/uL, when narrower than 25 %", held), float(looks[stop].mean())


def _enough(looks: np.ndarray, errors: ReaderErrors, ends: Ends) -> Int[np.ndarray, " look"]:
    """The smallest count at each look whose interval is that narrow: it narrows with the count."""
    low, high = np.zeros(len(looks), dtype=np.int64), looks // 10
    while (open_ := np.flatnonzero(high - low > 1)).size:
        middle = (low[open_] + high[open_]) // 2
        bottom, top = ends(middle, looks[open_], errors)
        false, sensitivity = errors.false_positives.mean, errors.sensitivity.mean
        value = np.maximum((middle / looks[open_] - false) / (sensitivity - false), 0.0)
        narrow = (top - bottom) / 2 <= NARROW * value
        high[open_[narrow]], low[open_[~narrow]] = middle[narrow], middle[~narrow]
    return high


def _counts(called: PerRun, looks: np.ndarray, rng: np.random.Generator) -> Int[np.ndarray, "run look"]:
    return np.asarray(np.cumsum(rng.binomial(np.diff(looks, prepend=0), called[:, None]), axis=1))


def _anytime_ends(count: np.ndarray, cells: np.ndarray, errors: ReaderErrors) -> tuple[np.ndarray, np.ndarray]:
    return anytime_interval(count, cells.astype(np.float64), errors)


def _ordinary_ends(count: np.ndarray, cells: np.ndarray, errors: ReaderErrors) -> tuple[np.ndarray, np.ndarray]:
    found = [corrected_interval(count[[k]], AmongRedCells(int(n)), errors) for k, n in enumerate(cells)]
    return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])


def _anytime_inside(
    count: np.ndarray, cells: np.ndarray, fraction: float, errors: ReaderErrors
) -> Bool[np.ndarray, " run"]:
    pairs, place = np.unique(np.stack([count, cells]).astype(np.float64), axis=1, return_inverse=True)
    truth: Float[np.ndarray, " pair"] = np.full(pairs.shape[1], fraction)
    level = -np.log(0.05)
    parts = [
        log_evidence(pairs[0, at : at + 1000], pairs[1, at : at + 1000], truth[at : at + 1000], errors) < level
        for at in range(0, pairs.shape[1], 1000)
    ]
    return np.asarray(np.concatenate(parts)[place.ravel()])


def _inside(count: np.ndarray, cells: np.ndarray, fraction: float, errors: ReaderErrors) -> Bool[np.ndarray, " run"]:
    held = np.zeros(len(count), dtype=bool)
    for each in np.unique(cells):
        here = cells == each
        seen, place = np.unique(count[here], return_inverse=True)
        held[here] = inside(seen, np.full(len(seen), fraction), AmongRedCells(int(each)), errors)[place]
    return held
