"""What the experiment found, as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lsm.experiments.detect_light.config import DetectLightConfig
from lsm.vision.field import Alarms, difference, infected_scores

Rows = Mapping[str, Mapping[str, Any]]


def as_table(config: DetectLightConfig, found: Mapping[str, list[Alarms]], rows: Rows) -> dict[str, Any]:
    """Arms with average precision and sensitivity, then the pairs; what the lights cost is the mean over seeds."""
    arms: dict[str, Any] = {}
    for arm, runs in found.items():
        scores = infected_scores(runs, np.random.default_rng(config.seed), rates=config.rates, draws=config.draws)
        mine = [rows[f"{arm} / seed {seed}"] for seed in config.all_seeds]
        exposures_ms = np.mean([row["exposure_ms"] for row in mine], axis=0)
        arms[arm] = scores.model_dump(mode="json") | {
            "in_words": [str(each) for each in scores.at],
            "ap_by_seed": [
                round(infected_scores(run, np.random.default_rng(0), rates=(), draws=0).ap, 4) for run in runs
            ],
            "exposure_ms": [round(float(each), 1) for each in exposures_ms],
            "emitted_light": round(float(np.mean([row["emitted_light"] for row in mine])), 1),
            "dark_field_share": round(float(np.mean([row["dark_field_share"] for row in mine])), 3),
            "cpu_s": round(float(np.median([row["cpu_s"] for row in mine])), 1),
        }
    pairs = []
    for pair in config.pairs:
        table: dict[str, Any] = pair.model_dump()
        for name, rate in (("ap", None), *((f"{rate:g}", rate) for rate in config.rates)):
            one = difference(
                found[pair.of], found[pair.minus], np.random.default_rng(config.seed), rate=rate, draws=config.draws
            )
            table[name] = one.model_dump(mode="json") | {"verdict": one.verdict}
        pairs.append(table)
    return {"arms": arms, "pairs": pairs}


def as_markdown(results: Mapping[str, Any]) -> str:
    """The tables as a README shows them."""
    rates = [f"{each:g}" for each in results["config"]["rates"]]
    heads = "".join(f" sensitivity at {rate} FP per cell |" for rate in rates)
    lines = [
        f"| light | average precision |{heads} exposure | dark-field share |",
        "|---" * (4 + len(rates)) + "|",
    ]
    for name, arm in results["arms"].items():
        ap = f"{arm['ap']:.3f} ({arm['ap_low']:.3f} to {arm['ap_high']:.3f})"
        exposure = " + ".join(f"{each:g}" for each in arm["exposure_ms"])
        lines.append(
            f"| {name} | {ap} | {' | '.join(arm['in_words'])} | {exposure} ms | {arm['dark_field_share']:.2f} |"
        )
    first = next(iter(results["arms"].values()))
    lines += [
        "",
        f"{first['infected']:,} infected and {first['uninfected']:,} other red cells on {first['slides']} slides; "
        f"mean over {results['seeds']} trainings. Intervals: 95 %, over slides.",
        "",
        "| difference | average precision |" + "".join(f" at {rate} |" for rate in rates),
        "|---" * (2 + len(rates)) + "|",
    ]
    lines += [
        f"| {pair['of']} minus {pair['minus']} | " + " | ".join(_told(pair[name]) for name in ("ap", *rates)) + " |"
        for pair in results["pairs"]
    ]
    for arm, rows in results["robustness"].items():
        lines += ["", f"### {arm}, images made worse", "", _disturbed(rows)]
    return "\n".join(lines) + "\n"


def _told(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return str(one["verdict"])
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f}), {one['verdict']}"


def _disturbed(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0]["scores"])
    lines = ["| disturbance | strength | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for row in rows:
        how = row["disturbance"] or {"kind": "none", "strength": 0.0}
        values = " | ".join(f"{row['scores'][name]:.3f}" for name in names)
        lines.append(f"| {how['kind']} | {how['strength']:g} | {values} |")
    return "\n".join(lines)
