"""Sequential scans: how often the rule errs, how many cells it takes, and what is left of the intervals at its end."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.experiments.interval_coverage.config import CoverageConfig, RuleSettings, ScanSettings
from lsm.experiments.interval_coverage.slides import PerRun, false_rates
from lsm.experiments.interval_coverage.thin import CONTROL_CELLS
from lsm.stats import RED_CELLS_PER_UL, GammaRate, SequentialRule, clopper_pearson, fit_gamma_rate

Looks = Int[np.ndarray, " look"]
Edges = tuple[Looks, Looks]

EVERY_FIELD = 1000
GROWTH = 1.005
"""After a thousand fields the rule is asked whenever the cells have grown by half a percent."""
GROUPS = 40
"""Calibrations that share the slides, where a rule learns from control slides."""
BLOCK = 128
UNKNOWN = -2


@dataclass(frozen=True)
class Scans:
    """Where scans ended. said: 1 positive, -1 negative, 0 undecided. cells, suspicious: at the end."""

    said: Int[np.ndarray, " run"]
    cells: Int[np.ndarray, " run"]
    suspicious: Int[np.ndarray, " run"]
    ever_positive: Bool[np.ndarray, " run"]
    ever_negative: Bool[np.ndarray, " run"]


def looks_of(scan: ScanSettings, rng: np.random.Generator) -> Looks:
    """Cells counted whenever the rule is asked: after every field at first."""
    low, high = scan.field_cells
    fields = np.cumsum(rng.integers(low, high + 1, EVERY_FIELD))
    steps = int(np.log(max(scan.cells_max / fields[-1], 1.0)) / np.log(GROWTH)) + 1
    later = (fields[-1] * GROWTH ** np.arange(1, steps + 1)).astype(np.int64)
    return np.unique(np.minimum(np.concatenate([fields, later]), scan.cells_max))


def edges_of(rule: SequentialRule, looks: Looks) -> Edges:
    """The rule's boundaries at every look; they are steps, so that nothing is sought between equal ones."""
    edges = np.full((2, len(looks)), UNKNOWN)
    sought = np.unique(np.linspace(0, len(looks) - 1, 33).astype(np.int64))
    while sought.size:
        edges[:, sought] = rule.boundaries(looks[sought].astype(np.float64))
        halves = []
        for start, end in pairwise(np.flatnonzero(edges[0] != UNKNOWN).tolist()):
            if (edges[:, start] == edges[:, end]).all():
                edges[:, start:end] = edges[:, [start]]
            elif end - start > 1:
                halves.append((start + end) // 2)
        sought = np.array(halves, dtype=np.int64)
    return edges[0], edges[1]


def scan_slides(
    rates: PerRun, looks: Looks, edges: Edges, rng: np.random.Generator, *, to_the_end: bool = False
) -> Scans:
    """Scans of slides with these shares of suspicious cells.

    to_the_end: the counts go on after a decision, so that `ever_positive` and `ever_negative` are those of someone who
    does not accept it; else of the decision alone.
    """
    slides = len(rates)
    said, cells = np.zeros(slides, dtype=np.int64), np.full(slides, looks[-1])
    at_end, count = np.zeros(slides, dtype=np.int64), np.zeros(slides, dtype=np.int64)
    ever = np.zeros((2, slides), dtype=bool)
    steps = np.diff(looks, prepend=0)
    for start in range(0, len(looks), BLOCK):
        block = slice(start, start + BLOCK)
        live = np.arange(slides) if to_the_end else np.flatnonzero(said == 0)
        if not live.size:
            break
        counts = count[live, None] + np.cumsum(rng.poisson(rates[live, None] * steps[block]), axis=1)
        below, above = counts <= edges[0][block], counts >= edges[1][block]
        ever[0, live] |= above.any(axis=1)
        ever[1, live] |= below.any(axis=1)
        decided = below | above
        new = np.flatnonzero(decided.any(axis=1) & (said[live] == 0))
        first = decided[new].argmax(axis=1)
        said[live[new]] = np.where(above[new, first], 1, -1)
        cells[live[new]] = looks[block][first]
        at_end[live[new]] = counts[new, first]
        count[live] = counts[:, -1]
    open_ = said == 0
    at_end[open_] = count[open_]
    if not to_the_end:
        ever = np.stack([said == 1, said == -1])
    return Scans(said, cells, at_end, *ever)


def judge_rules(config: CoverageConfig, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and results of every rule: cells and errors at each density, and the fixed design of equal errors."""
    looks = looks_of(config.scan, rng)
    for name, settings in config.rules.items():
        rule = settings.rule(config.reader.sensitivity, config.scan)
        fixed = rule.fixed_design()
        densities = [times * settings.target_per_ul for times in config.scan.multiples]
        groups = _groups(config, settings, looks, rng)
        rows = {}
        for per_ul in sorted({*densities, *config.scan.per_ul}):
            scans = _scan_groups(groups, per_ul, rule, looks, rng)
            rows[f"{per_ul:g}"] = _row(scans, None if fixed is None else fixed.cells)
        yield (
            name,
            {
                "target_per_ul": settings.target_per_ul,
                "alpha": rule.alpha,
                "beta": rule.beta,
                "fixed_cells": None if fixed is None else fixed.cells,
                "densities": rows,
            },
        )


Group = tuple[PerRun, Edges]


def _groups(config: CoverageConfig, settings: RuleSettings, looks: Looks, rng: np.random.Generator) -> list[Group]:
    """False positives of slides, with the boundaries that the rule has for them."""
    rule, rate = settings.rule(config.reader.sensitivity, config.scan), GammaRate(settings.rate, settings.cv)
    false = false_rates(rate, config.runs, rng)
    if settings.fitted_to:
        return [
            (each, edges_of(rule.on_slide(_fitted(rate, settings.fitted_to, rng)), looks))
            for each in np.array_split(false, min(GROUPS, config.runs))
        ]
    if settings.look_alikes:
        # as many look-alikes as 2 million cells with the mean rate show
        cells, per_event = 2_000_000, 2_000_000 * settings.rate / settings.look_alikes
        seen = rng.poisson(false * cells / per_event)
        return [
            (false[seen == n], edges_of(rule.on_slide(rate.given(int(n), cells, per_event=per_event)), looks))
            for n in np.unique(seen)
        ]
    return [(false, edges_of(rule, looks))]


def _fitted(rate: GammaRate, slides: int, rng: np.random.Generator) -> GammaRate:
    scanned = rng.integers(*CONTROL_CELLS, slides)
    return fit_gamma_rate(rng.poisson(false_rates(rate, slides, rng) * scanned), scanned).new_slide


def _scan_groups(
    groups: list[Group], per_ul: float, rule: SequentialRule, looks: Looks, rng: np.random.Generator
) -> Scans:
    extra = per_ul / RED_CELLS_PER_UL * rule.errors.sensitivity.mean
    to_the_end = per_ul in (0.0, rule.target_per_ul)
    parts = [scan_slides(false + extra, looks, edges, rng, to_the_end=to_the_end) for false, edges in groups]
    return Scans(*(np.concatenate([getattr(part, name) for part in parts]) for name in Scans.__annotations__))


def _row(scans: Scans, fixed_cells: int | None) -> dict[str, Any]:
    cells = scans.cells.astype(np.float64)
    mean, error = float(cells.mean()), float(cells.std(ddof=1) / np.sqrt(len(cells)))
    row: dict[str, Any] = {
        "positive": _share(scans.said == 1),
        "negative": _share(scans.said == -1),
        "undecided": _share(scans.said == 0),
        "ever_positive": _share(scans.ever_positive),
        "ever_negative": _share(scans.ever_negative),
        "cells": [round(each) for each in (mean, mean - 1.96 * error, mean + 1.96 * error)],
        "median_cells": round(float(np.median(cells))),
        "runs": len(cells),
    }
    if fixed_cells is not None:
        row["of_fixed"] = [round(each / fixed_cells, 4) for each in (mean, mean - 1.96 * error, mean + 1.96 * error)]
    return row


def _share(held: Bool[np.ndarray, " run"]) -> list[float]:
    low, high = clopper_pearson(int(held.sum()), len(held))
    return [round(each, 4) for each in (float(held.mean()), low, high)]


def cells_by_density(
    config: CoverageConfig, settings: RuleSettings, densities: Float[np.ndarray, " density"], rng: np.random.Generator
) -> Float[np.ndarray, " density"]:
    """Mean cells of a rule at many densities, for the picture; a tenth of the runs."""
    looks = looks_of(config.scan, rng)
    fewer = config.model_copy(update={"runs": max(100, config.runs // 10)})
    rule = settings.rule(config.reader.sensitivity, config.scan)
    groups = _groups(fewer, settings, looks, rng)
    return np.array([_scan_groups(groups, float(d), rule, looks, rng).cells.mean() for d in densities])
