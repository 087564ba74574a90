"""The panel scored: the only place where readings and truth meet. No figure without its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from lsm.experiments.panel.amounts import drawn_means, mean_of, ratio_of
from lsm.experiments.panel.answers import AMOUNTS, PERFECT, Answers, Readings, Reference
from lsm.experiments.panel.config import PanelConfig
from lsm.experiments.panel.slides import PanelSlide
from lsm.stats import (
    RED_CELLS_PER_UL,
    Competence,
    Estimate,
    assess_competence,
    density_agreement,
    fit_detection_curve,
    fit_gamma_rate,
    share,
)
from lsm.stats.paired import paired_shares

STREAM = 7
FEWEST_RATIOS = 3
COMPARED = ("cells", "time_s", "light_dose")


def score_panel(
    config: PanelConfig,
    slides: Sequence[PanelSlide],
    readings: Mapping[str, Mapping[str, Any]],
    truths: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Every arm, what a reader without errors makes of the same fields, and the arms against each other.

    readings: by slide, then arm. truths: by slide. Values are plain, for JSON.
    """
    reference = Reference.of(slides)
    by_arm = {name: [readings[slide.name][name] for slide in slides] for name in config.arms}
    answers = {name: Answers.of(rows) for name, rows in by_arm.items()}
    perfect = Answers.of_truth([truths[slide.name] for slide in slides])
    rng = np.random.default_rng([config.seed, STREAM])
    return {
        "arms": {name: _arm(config, answers[name], by_arm[name], reference, rng) for name in config.arms},
        PERFECT: _reader(config, perfect, reference, rng),
        "paired": [
            {"first": one, "second": other} | _paired(config, answers[one], answers[other], reference, rng)
            for one, other in combinations(config.arms, 2)
        ],
    }


def _arm(
    config: PanelConfig, answers: Answers, rows: Readings, reference: Reference, rng: np.random.Generator
) -> dict[str, Any]:
    neither = int((~answers.positive & ~answers.negative).sum())
    forced = _competence(config, answers, reference, rng, forced=True)
    return _reader(config, answers, reference, rng) | {
        "no_verdict": _plain(share(neither, len(rows), confidence=config.confidence)),
        "forced": {"detection": _plain(forced.detection), "level": _level(forced)},
        "found_per_ul": _found(config, answers, reference),
        "false_calls": _false_calls(config, rows, reference),
        "endings": _tallied(row["ending"] for row in rows),
        "outcomes": _tallied(row["outcome"] for row in rows),
    }


def _reader(config: PanelConfig, answers: Answers, reference: Reference, rng: np.random.Generator) -> dict[str, Any]:
    competence = _competence(config, answers, reference, rng)
    ill, well = reference.detection & reference.infected, reference.detection & ~reference.infected
    found, cleared = int((answers.positive & ill).sum()), int((answers.negative & well).sum())
    names = [name for name in AMOUNTS if name in answers.amounts]
    values = np.stack([answers.amounts[name] for name in names])
    drawn = drawn_means(values, reference.strata, config.draws, rng)
    return {
        "detection": _plain(competence.detection),
        "sensitivity": _plain(share(found, int(ill.sum()), confidence=config.confidence)),
        "specificity": _plain(share(cleared, int(well.sum()), confidence=config.confidence)),
        "counts": _plain(competence.counts),
        "ratios": _ratios(config, answers, reference),
        "level": _level(competence),
        "amounts": {
            name: _plain(mean_of(values[place], drawn[:, place], config.confidence)) for place, name in enumerate(names)
        },
        "groups": {name: _group(config, answers, reference, name) for name in dict.fromkeys(reference.group)},
    }


def _competence(
    config: PanelConfig, answers: Answers, reference: Reference, rng: np.random.Generator, *, forced: bool = False
) -> Competence:
    return assess_competence(
        answers.right_detections(reference, forced=forced),
        answers.right_counts(reference),
        stratum=reference.strata,
        rng=rng,
        confidence=config.confidence,
        draws=config.draws,
    )


def _group(config: PanelConfig, answers: Answers, reference: Reference, name: str) -> dict[str, Any]:
    held = np.array([group == name for group in reference.group])
    of = int(held.sum())
    cells = answers.amounts["cells"][held]
    return {
        "positive": _plain(share(int(answers.positive[held].sum()), of, confidence=config.confidence)),
        "negative": _plain(share(int(answers.negative[held].sum()), of, confidence=config.confidence)),
        "cells_from_to": [float(cells.min()), float(cells.max())],
    }


def _ratios(config: PanelConfig, answers: Answers, reference: Reference) -> dict[str, Any] | None:
    """Densities read over true ones, of the slides for counting that are read as above zero; None for too few."""
    held = ~reference.detection & (answers.per_ul > 0)
    if int(held.sum()) < FEWEST_RATIOS:
        return None
    found = density_agreement(answers.per_ul[held], reference.per_ul[held], confidence=config.confidence)
    parts = {name: _plain(getattr(found, name)) for name in ("bias", "lower", "upper")}
    return parts | {"slides": found.slides, "of": int((~reference.detection).sum())}


def _found(config: PanelConfig, answers: Answers, reference: Reference) -> dict[str, Any]:
    """Densities of which half and 95 % of slides are called positive, from all infected slides of the panel."""
    ill = reference.infected
    curve = fit_detection_curve(reference.per_ul[ill], answers.positive[ill], confidence=config.confidence)
    return {"half": _plain(curve.density(0.5)), "most": _plain(curve.density(0.95))}


def _false_calls(config: PanelConfig, rows: Readings, reference: Reference) -> dict[str, Any] | None:
    """Cells that look infected on slides without parasites, in scans of all fields: rate, how it varies between slides,
    what it passes for.

    per_ul: the density that the mean rate would be taken for if nothing were subtracted. least_per_ul: what the model's
    own calibration says is told from none in any number of cells, or None. Nothing for fewer than two slides.
    """
    clean = [row["called_of_all"] for row, ill in zip(rows, reference.infected, strict=True) if not ill]
    clean = [one for one in clean if one and one["cells"]]
    if len(clean) < 2:
        return None
    events, cells = (np.array([one[key] for one in clean]) for key in ("called", "cells"))
    fit = fit_gamma_rate(events, cells, confidence=config.confidence)
    found = float(np.average([one["expected_found"] for one in clean], weights=cells))
    least = max(one["least_per_ul"] or np.inf for one in clean)
    return {
        "per_cell": _plain(fit.mean),
        "cv": _plain(fit.cv),
        "per_ul": [RED_CELLS_PER_UL * end / found for end in _plain(fit.mean)],
        "expected_per_cell": float(np.average([one["expected_false"] for one in clean], weights=cells)),
        "expected_found": found,
        "least_per_ul": least if np.isfinite(least) else None,
        "slides": len(clean),
    }


def _paired(
    config: PanelConfig, one: Answers, other: Answers, reference: Reference, rng: np.random.Generator
) -> dict[str, Any]:
    """Differences of shares, first less second, and ratios of amounts, first over second, on the same slides."""
    compared: dict[str, Any] = {}
    marks = {
        "detection": [each.right_detections(reference) for each in (one, other)],
        "counts": [each.right_counts(reference) for each in (one, other)],
    }
    for name, (first, second) in marks.items():
        held = ~np.isnan(first)
        compared[name] = _plain(paired_shares(first[held] > 0, second[held] > 0, rng=rng, confidence=config.confidence))
    for name in COMPARED:
        both = np.stack([one.amounts[name], other.amounts[name]])
        drawn = drawn_means(both, reference.strata, config.draws, rng)
        ratio = ratio_of(both[0], both[1], drawn, config.confidence)
        compared[name] = None if ratio is None else _plain(ratio)
    return compared


def _level(found: Competence) -> dict[str, Any]:
    facts = asdict(found)
    return {key: facts[key] for key in ("level", "best", "worst")} | {
        "probability": [round(each, 4) for each in found.probability],
        "basis": found.basis,
    }


def _plain(estimate: Estimate) -> list[Any]:
    """Value, low and high end; of a share also how many of how many."""
    parts = list(asdict(estimate).values())
    return [None if isinstance(each, float) and np.isnan(each) else each for each in parts]


def _tallied(names: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found
