"""The picture of the experiment."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    grid[0][0].legend(frameon=False, fontsize=7)
    return figure


def _panel(axes: Axes, curves: Mapping[str, Mapping[str, Mapping[str, float]]], measure: str) -> None:
    for arm, (colour, mark) in STYLES.items():
        points = sorted(
            (row[measure], row["accuracy"], row["low"], row["high"]) for row in curves.get(arm, {}).values()
        )
        if not points:
            continue
        spent, middle, low, high = (list(each) for each in zip(*points, strict=True))
        big = arm in (TRAINED, PAINTED)
        axes.plot(
            spent,
            [100 * each for each in middle],
            marker=mark,
            ms=10 if arm == TRAINED else 4,
            lw=0 if big else 1.2,
            color=colour,
            label=arm,
            zorder=3 if big else 2,
        )
        if arm == TRAINED:
            axes.vlines(spent, [100 * each for each in low], [100 * each for each in high], color=colour, lw=1)
    best = max((row["accuracy"] for row in curves.get(ORACLE, {}).values()), default=None)
    if best is not None:
        axes.axhline(100 * best, color=INK, lw=0.8, ls=":")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
