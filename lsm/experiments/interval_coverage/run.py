"""The experiment: every interval and rule on simulated slides, and what the promises came to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsm.experiments.interval_coverage import counts, readers, scans, scores, stops, thin
from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.figures import draw_cells, draw_coverage
from lsm.experiments.interval_coverage.limits import limits_by_cells
from lsm.experiments.interval_coverage.tables import as_markdown
from lsm.experiments.interval_coverage.tally import Tally
from lsm.sensing.progress import Reporter

Rows = list[dict[str, Any]]
Simulation = Callable[[CoverageConfig, np.random.Generator], Iterator[Tally]]

PARTS: Mapping[str, Sequence[Simulation]] = {
    "thin film, densities spread": (thin.spread_densities,),
    "thin film, errors estimated": (thin.estimated_errors, thin.own_rate, thin.fixed_rate),
    "thick film": (counts.thick_films,),
    "plain counts": (counts.fractions, counts.expectations),
    "scans that the count ends": (stops.at_every_look, stops.at_the_decision),
    "readers and patients": (readers.agreement, readers.patients, readers.levels),
}
SHOWN_TO_FAIL = {thin.ONE_RATE, counts.ONE_MEAN, stops.ORDINARY, readers.SINGLE_LEVEL}
"""Simulated to show what they miss: nothing promises them."""
NEGATIVE_SHARE, HIGH_SHARE, HIGH_PER_UL = 0.55, 0.05, "1000"


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Tables, pictures and claims; see `lsm.experiments.registry.run_experiment`.

    It needs no data. One seed serves: the runs are its repetitions. `seeds` and `workers` change nothing.
    """
    settings = CoverageConfig.from_file(config)
    settings = settings.short() if quick else settings
    streams = iter(np.random.default_rng(settings.seed).spawn(len(PARTS) + 5))
    with progress.stage("intervals and rules", len(PARTS) + 4) as stage:
        fixed = [
            tally.row(settings.asked) | {"per_ul": per_ul, "rate": rate, "cells": cells}
            for tally, per_ul, rate, cells in thin.fixed_densities(settings, next(streams))
        ]
        stage.advance()
        parts: dict[str, Rows] = {}
        for name, simulations in PARTS.items():
            rng = next(streams)
            parts[name] = [tally.row(settings.asked) for each in simulations for tally in each(settings, rng)]
            stage.advance()
        narrow = [
            tally.row(settings.asked) | {"mean_cells": round(cells)}
            for tally, cells in stops.when_narrow(settings, next(streams))
        ]
        histograms = [
            tally.row(settings.asked) | {"half_width_per_ul": float(f"{width:.3g}")}
            for tally, width in scores.posteriors(settings, next(streams))
        ]
        stage.advance()
        rules = dict(scans.judge_rules(settings, next(streams)))
        stage.advance()
        found: dict[str, Any] = {
            "fixed_densities": fixed,
            "parts": parts,
            "narrow": narrow,
            "score_histograms": histograms,
            "rules": rules,
            "limits": limits_by_cells(settings),
        }
        found["claims"] = claims_of(settings, found)
        draw_coverage(settings, fixed).savefig(out / "coverage.png", dpi=130)
        draw_cells(settings, next(streams)).savefig(out / "cells.png", dpi=130)
        stage.advance()
    (out / "table.md").write_text(as_markdown(found), encoding="utf-8")
    return found | {"config": settings.model_dump(mode="json")}


def claims_of(config: CoverageConfig, found: Mapping[str, Any]) -> Rows:
    """What was promised, and what it came to."""
    low, high = config.asked
    kinds: dict[str, Rows] = {"thin film, single densities": found["fixed_densities"], **found["parts"]}
    kinds |= {"until it is narrow": found["narrow"], "score histograms": found["score_histograms"]}
    claims = [
        _coverage_claim(f"{name}: {100 * low:.0f} to {100 * high:.0f} %", rows, config.asked)
        for name, rows in kinds.items()
    ]
    for name, rule in found["rules"].items():
        claims += _rule_claims(name, rule)
    return claims


def _coverage_claim(text: str, rows: Sequence[Mapping[str, Any]], asked: tuple[float, float]) -> dict[str, Any]:
    kept = [row["coverage"] for row in rows if row["interval"] not in SHOWN_TO_FAIL]
    below, above = (sum(each < asked[0] for each in kept), sum(each > asked[1] for each in kept))
    return {
        "claim": text,
        "reached": below == above == 0,
        "found": f"{len(kept) - below - above} of {len(kept)} conditions, {below} below, {above} above; "
        f"{100 * min(kept):.1f} to {100 * max(kept):.1f} %",
    }


def _rule_claims(name: str, rule: Mapping[str, Any]) -> Rows:
    rows = rule["densities"]
    wrong = {"alpha": ("0", "ever_positive"), "beta": (f"{rule['target_per_ul']:g}", "ever_negative")}
    claims = []
    for error, (density, key) in wrong.items():
        share, low, high = rows[density][key]
        claims.append(
            {
                "claim": f"{name}: at {density}/uL ever {key[5:]} at most {100 * rule[error]:g} %",
                "reached": low <= rule[error],
                "found": f"{100 * share:.2f} % ({100 * low:.2f} to {100 * high:.2f})",
            }
        )
    if rule["fixed_cells"] is None:
        return [*claims, {"claim": f"{name}: cells against a fixed number", "reached": False, "found": "there is none"}]
    for density, most in (("0", NEGATIVE_SHARE), (HIGH_PER_UL, HIGH_SHARE)):
        share, low, high = rows[density]["of_fixed"]
        claims.append(
            {
                "claim": f"{name}: at {density}/uL at most {100 * most:.0f} % of the fixed number of cells",
                "reached": share <= most,
                "found": f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})",
            }
        )
    return claims
