"""Tables and figure of detectors, beside what was published."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lsm.experiments.tables import ACCENT, INK, LIGHT

Table = Mapping[str, Any]


def as_markdown(studied: Mapping[str, Table]) -> str:
    """All tables, for a README."""
    return "\n\n".join(_study(name, study) for name, study in studied.items()) + "\n"


def _study(name: str, study: Table) -> str:
    lines = [
        f"### {name}",
        "",
        f"Data: {study['source']}, {study['images']} images in {study['groups']} groups; {study['folds']} folds by "
        f"group, {study['seeds']} seed(s).",
        "",
        "| detector | boxes: mAP@0.5 | mAP | mAR | masks: mAP@0.5 | mAP | mAR | mAR of 100 | weights | learning, CPU s "
        "| searching, CPU s an image |",
        "|---" * 11 + "|",
    ]
    lines += [_arm(arm, row) for arm, row in study["arms"].items()]
    if study["published"]:
        lines += ["", "| published | on | figure | source |", "|---|---|---|---|"]
        lines += [
            f"| {row['system']} | {row['data']} | {row['figure']} | {row['source']} |" for row in study["published"]
        ]
    titles = "detector | category | AP@0.5 | labelled | counted (folds) | of the labelled, found | count MAE an image"
    lines += ["", f"| {titles} |"]
    lines += ["|---" * 7 + "|"]
    for arm, row in study["arms"].items():
        lines += [_category(arm, name, each) for name, each in row["categories"].items()]
    if any(row["disturbed"] for row in study["arms"].values()):
        lines += ["", "| detector | images made worse by | boxes: mAP@0.5 | masks: mAP | counted |", "|---" * 5 + "|"]
        for arm, row in study["arms"].items():
            lines += [_worse(arm, how, each) for how, each in row["disturbed"].items()]
    return "\n".join(lines)


def _arm(name: str, row: Table) -> str:
    masks = row["masks"]
    outlines = [_value(masks.get(key, ())) if masks else "" for key in ("map_50", "map", "mar", "mar_100")]
    boxes = [_value(row["boxes"][key]) for key in ("map_50", "map", "mar")]
    cells = [name, *boxes, *outlines, f"{row['parameters']:,}", f"{row['learning_s']:.0f}"]
    return "| " + " | ".join([*cells, f"{row['searching_s_per_image']:.2f}"]) + " |"


def _category(arm: str, name: str, row: Table) -> str:
    percent = ["" if row[key] is None else f"{row[key]:.1f} %" for key in ("counted_percent", "hit_percent")]
    if (around := row.get("counted_range")) is not None:
        percent[0] += f" ({around[0]:.1f} to {around[1]:.1f})"
    precise = "" if row["ap_50"] is None else _value(row["ap_50"])
    return f"| {arm} | {name} | {precise} | {row['labelled']} | {percent[0]} | {percent[1]} | {row['count_mae']:.2f} |"


def _worse(arm: str, how: str, row: Table) -> str:
    masks = _value(row["masks"]["map"]) if row["masks"] else ""
    counted = ", ".join(f"{name} {value:.0f} %" for name, value in row["counted"].items() if value is not None)
    return f"| {arm} | {how} | {_value(row['boxes']['map_50'])} | {masks} | {counted} |"


def _value(interval: Sequence[float]) -> str:
    if not interval:
        return ""
    middle, *ends = interval
    return f"{middle:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def bars(study: Table) -> Figure:
    """Average precision of every detector with its interval, best at the top: of outlines where all have them, else of
    boxes at IoU 0.5.
    """
    arms = study["arms"]
    outlined = all(arm["masks"] for arm in arms.values())
    shown = {name: arm["masks"]["map"] if outlined else arm["boxes"]["map_50"] for name, arm in arms.items()}
    what = "masks (IoU 0.50 to 0.95)" if outlined else "boxes at IoU 0.5"
    names = sorted(shown, key=lambda name: float(shown[name][0]))
    title = textwrap.fill(f"{study['source']}, {study['images']} images", width=110)
    figure = Figure(figsize=(7, 1.1 + 0.36 * len(names) + 0.15 * title.count("\n")), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        middle, *ends = shown[name]
        axes.barh(place, middle, height=0.6, color=ACCENT if name.startswith("grid") else LIGHT)
        axes.plot(ends, [place] * len(ends), color=INK, lw=1.6)
        axes.text(max([middle, *ends]) + 0.012, place, f"{middle:.3f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 1.1), ylim=(-0.6, len(names) - 0.4))
    axes.set_xlabel(f"average precision of {what}, groups never seen; line: 95 % interval", fontsize=8)
    figure.suptitle(title, fontsize=8, x=0.01, ha="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
