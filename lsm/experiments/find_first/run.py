"""The experiment: draw films, search them by every policy, compare with the serpentine."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from lsm.agent import TrainedPolicy
from lsm.agent.find_first import (
    BayesPlanner,
    FilmTables,
    FindOutcome,
    at_random,
    coarse_first,
    draw_films,
    ratio_of_means,
    serpentine,
    try_search,
    with_the_map,
)
from lsm.agent.find_first.trial import RESAMPLES
from lsm.experiments.find_first.config import Condition, FindFirstConfig
from lsm.experiments.find_first.figures import draw_ratios
from lsm.experiments.find_first.learn import learn_all
from lsm.experiments.find_first.real_films import photograph_counts, unevenness
from lsm.experiments.find_first.tables import as_markdown
from lsm.sensing.progress import Reporter

JUDGE_STREAM = 2
SERPENTINE = "serpentine"
POLICIES = ("planner", "learned")
"""Who may win: neither is told anything about a film but what it reads there."""
ASKED_CLUSTERED, ASKED_UNIFORM = 2.0, 1 / 1.05


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Table, picture and claims; see `lsm.experiments.registry.run_experiment`. It needs no data."""
    settings = FindFirstConfig.from_file(config)
    settings = settings.short() if quick else settings
    settings = settings if seeds is None else settings.model_copy(update={"seeds": seeds})
    learned, trainings = learn_all(settings, out / "cache", workers=workers, progress=progress)
    with progress.stage("planner", 1) as stage:
        planners = [planner_of(settings), planner_of(settings, per_second=True, name="planner, per second")]
        stage.advance()
    found: dict[str, dict[str, Any]] = {}
    with progress.stage("films searched", len(settings.conditions)) as stage:
        for number, (name, condition) in enumerate(settings.conditions.items()):
            found[name] = judge(settings, number, condition, planners, learned)
            stage.advance()
    claims = claims_of(settings, found)
    (out / "table.md").write_text(as_markdown(settings, found, claims), encoding="utf-8")
    draw_ratios(settings, found).savefig(out / "picture.png", dpi=130)
    return {
        "conditions": found,
        "claims": claims,
        "trainings": [dict(each) for each in trainings],
        "real_films": real_films(settings.seed),
        "config": settings.model_dump(mode="json"),
    }


def real_films(seed: int) -> dict[str, Any] | None:
    """How uneven real thin films are, where LSM_DATA leads to the NIH cell crops; None elsewhere."""
    manifest = Path(os.environ.get("LSM_DATA", "")) / "nih_malaria_cells_50px" / "manifest.csv"
    return unevenness(photograph_counts(manifest), seed=seed) if manifest.is_file() else None


def planner_of(
    config: FindFirstConfig, condition: Condition | None = None, *, per_second: bool = False, name: str = "planner"
) -> BayesPlanner:
    """The planner that takes all beliefs for possible, or one that is told the condition of its films."""
    beliefs = config.believed() if condition is None else [config.film_of(condition)]
    return BayesPlanner(
        beliefs,
        config.rates,
        config.rules,
        films=config.imagined,
        seed=config.seed + 1,
        per_second=per_second,
        name=name,
    )


def judge(
    config: FindFirstConfig,
    number: int,
    condition: Condition,
    planners: Sequence[BayesPlanner],
    learned: Sequence[TrainedPolicy],
) -> dict[str, Any]:
    """Every policy on the same fresh films of one condition: a row each, the serpentine's first."""
    rng = np.random.default_rng([config.seed, JUDGE_STREAM, number])
    films = draw_films(config.film_of(condition), config.rates, config.films, rng)
    rules, generator = config.rules, torch.Generator().manual_seed(config.seed + number)
    told = planner_of(config, condition, name="planner, told the kind of film")
    outcomes = [
        [try_search(serpentine(rules.grid), films, rules)],
        [try_search(at_random(rules, films.n_films, generator), films, rules)],
        [try_search(coarse_first(rules.grid), films, rules)],
        *([try_search(planner, films, rules)] for planner in planners),
        [try_search(policy, films, rules) for policy in learned],
        [try_search(told, films, rules)],
        [try_search(with_the_map(films), films, rules)],
    ]
    rows = {group[0].policy: _row(group, outcomes[0][0], config.seed) for group in outcomes}
    return {"clustering": _clustering(films), "policies": rows}


def claims_of(config: FindFirstConfig, found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the two promises came to, for the planner and the learned search; and the spread that is needed for 2x."""
    claims = []
    asked = {config.clustered: ASKED_CLUSTERED, config.uniform: ASKED_UNIFORM}
    for name, wanted in asked.items():
        for policy in POLICIES:
            if name not in found:
                continue
            ratio = found[name]["policies"][policy]["ratio"]
            claims.append(
                {
                    "condition": name,
                    "policy": policy,
                    "asked": round(wanted, 3),
                    **ratio,
                    "reached": ratio["ratio"] >= wanted,
                    "shown": ratio["low"] >= wanted,
                }
            )
    return claims


def _row(group: Sequence[FindOutcome], reference: FindOutcome, seed: int) -> dict[str, Any]:
    fields = np.stack([each.fields for each in group])
    low, high = _interval(fields, seed)
    means = {name: [getattr(each, name).mean() for each in group] for name in ("looks", "travel_um", "time_s", "found")}
    return {
        "fields": round(float(fields.mean()), 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "median": round(float(np.mean([each.quantile(0.5) for each in group])), 1),
        "ninth_tenth": round(float(np.mean([each.quantile(0.9) for each in group])), 1),
        "ratio": {
            key: round(value, 3) for key, value in asdict(ratio_of_means(reference.fields, fields, seed=seed)).items()
        },
        "looks": round(float(np.mean(means["looks"])), 2),
        "travel_mm": round(float(np.mean(means["travel_um"])) / 1000, 2),
        "time_s": round(float(np.mean(means["time_s"])), 2),
        "found": round(float(np.mean(means["found"])), 4),
        "seeds": len(group),
    }


def _interval(fields: Float[np.ndarray, "seed film"], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    mean = fields.mean(axis=0)
    drawn = mean[rng.integers(len(mean), size=(RESAMPLES, len(mean)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _clustering(films: FilmTables) -> dict[str, float]:
    """How uneven infection came out: spread of counts between fields, and cells per field."""
    counts = films.infected.astype(np.float64)
    mean = counts.mean(axis=1)
    excess = (counts.var(axis=1, ddof=1) - mean) / np.maximum(mean, 1e-9) ** 2
    return {
        "squared_variation_of_local_fraction": round(float(excess.mean()), 3),
        "fields_with_an_infected_cell": round(float((counts > 0).mean()), 4),
        "parasitaemia": round(float(films.infected.sum() / films.cells.sum()), 6),
        "cells_per_field": round(float(films.cells.mean()), 1),
    }
