"""The results as Markdown, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PLACES = ("simulated", "replayed", "8 bits", "1 bit", "1 bit, 8 frames")
TITLES = ("simulated", "real slide", "firmware, 8 bits", "1 bit", "1 bit, 8 frames")


def as_markdown(results: Mapping[str, Any]) -> str:
    """Four tables for each colour: scores, differences, compiling, and predictions of the recovered sample."""
    parts = []
    for colour, table in results["colours"].items():
        parts += [f"### {colour}", _scores(table), _differences(table), _compiled(table), _predictions(table)]
    return "\n\n".join(parts) + "\n"


def verdict(claim: Mapping[str, Any]) -> str:
    """What a difference with both its intervals allows to be said."""
    intervals = [claim["over_seeds"], claim["over_places"]]
    if all(ends is not None and ends[0] > 0 for ends in intervals):
        return "better"
    if all(ends is not None and ends[1] < 0 for ends in intervals):
        return "worse"
    return "not decided"


def _scores(table: Mapping[str, Any]) -> str:
    lines = [
        "| light | " + " | ".join(f"{title}: AUC, IoU" for title in TITLES) + " | drop | exposure |",
        "|---" * (len(TITLES) + 3) + "|",
    ]
    for light, rows in table["scores"].items():
        cells = [f"{_spread(rows[place]['auc'])}, {_spread(rows[place]['iou'])}" for place in PLACES]
        last = f"{table['drop'][light]['iou']:+.3f} | {table['exposure'][light]['simulated']:.1f}"
        lines.append(f"| {light} | " + " | ".join(cells) + f" | {last} |")
    return "\n".join(lines)


def _differences(table: Mapping[str, Any]) -> str:
    shown = (("simulated", "iou"), ("replayed", "iou"), ("replayed", "auc"), ("8 bits", "iou"), ("1 bit", "iou"))
    titles = ("simulated, IoU", "real slide, IoU", "real slide, AUC", "firmware, 8 bits, IoU", "1 bit, IoU")
    lines = ["| learned minus | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for light, claims in table["learned_minus"].items():
        cells = [_claim(claims[place][measure]) for place, measure in shown]
        lines.append(f"| {light} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _compiled(table: Mapping[str, Any]) -> str:
    lines = ["| learned, as the board shows it minus as asked | IoU | AUC |", "|---|---|---|"]
    for name, claims in table["by_compiling"].items():
        lines.append(f"| {name} | {_claim(claims['iou'])} | {_claim(claims['auc'])} |")
    return "\n".join(lines)


def _predictions(table: Mapping[str, Any]) -> str:
    found = table["prediction"]
    lines = ["| light | all its LEDs | withheld LEDs only |", "|---|---|---|"]
    for light, rows in found["lights"].items():
        lines.append(f"| {light} | {_known(rows['all'])} | {_known(rows['withheld'])} |")
    for band, value in found["single"].items():
        lines.append(f"| single LEDs, {band}: median | | {value:.3f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.3f}"


def _known(values: Sequence[float | None]) -> str:
    there = [value for value in values if value is not None]
    return _spread(there) if there else ""


def _claim(claim: Mapping[str, Any]) -> str:
    ends = [
        "unknown" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
        for interval in (claim["over_seeds"], claim["over_places"])
    ]
    return f"{claim['difference']:+.3f} ({ends[0]}; {ends[1]}), {verdict(claim)}"
