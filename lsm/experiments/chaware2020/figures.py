"""The picture of the experiment."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from lsm.agent.adaptive.compare import upper_hull
from lsm.experiments.chaware2020.arms import (
    GREEDY,
    ORACLE,
    PAINTED,
    RANDOM,
    SEQUENCE,
    SINGLE,
    SINGLE_TEST,
    STOP,
    TEST,
    TRAINED,
)
from lsm.experiments.tables import ACCENT, INK, LIGHT

STYLES: Mapping[str, tuple[str, str]] = {
    RANDOM: ("#cfc7b8", "o"),
    SINGLE: (LIGHT, "o"),
    SEQUENCE: ("#5b7db1", "o"),
    SINGLE_TEST: (LIGHT, "s"),
    TEST: (INK, "s"),
    STOP: ("#4d9078", "D"),
    GREEDY: ("#b08bbb", "v"),
    PAINTED: ("#e0a030", "P"),
    TRAINED: (ACCENT, "*"),
}


def draw(studies: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Accuracy against captures and against time, a row for each study."""
    figure = Figure(figsize=(10, 3.6 * len(studies) + 0.3), layout="constrained")
    grid = figure.subplots(len(studies), 2, squeeze=False)
    for row, (name, study) in zip(grid, studies.items(), strict=True):
        for axes, (measure, words) in zip(row, (("captures", "captures"), ("time_s", "seconds")), strict=True):
            _panel(axes, study["curves"], measure)
            axes.set(xlabel=f"{words} of a cell, mean", ylabel="named rightly, %")
            axes.set_title(name, fontsize=9, loc="left")
        row[1].set_xscale("log")
        row[1].xaxis.set_minor_formatter(NullFormatter())
    grid[0][0].legend(frameon=False, fontsize=7)
    return figure


def _panel(axes: Axes, curves: Mapping[str, Mapping[str, Mapping[str, float]]], measure: str) -> None:
    for arm, (colour, mark) in STYLES.items():
        points = sorted(
            (row[measure], row["accuracy"], row["low"], row["high"]) for row in curves.get(arm, {}).values()
        )
        if not points:
            continue
        spent, middle, low, high = (np.array(each) for each in zip(*points, strict=True))
        one = arm in (TRAINED, PAINTED)
        size = 10 if arm == TRAINED else 4
        # a line along what is compared: the settings that no mixture of others beats
        hull = upper_hull(spent, middle)
        line = "" if one else "-"
        axes.plot(spent[hull], 100 * middle[hull], ls=line, lw=1.2, marker=mark, ms=size, color=colour, label=arm)
        axes.plot(spent, 100 * middle, ls="", marker=mark, ms=size, color=colour, zorder=3 if one else 2)
        if arm == TRAINED:
            axes.vlines(spent, 100 * low, 100 * high, color=colour, lw=1)
    best = max((row["accuracy"] for row in curves.get(ORACLE, {}).values()), default=None)
    if best is not None:
        axes.axhline(100 * best, color=INK, lw=0.8, ls=":")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
