"""The picture: densities read against true ones by arm, and shares with the levels' limits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lsm.experiments.panel.answers import PERFECT
from lsm.experiments.tables import ACCENT, INK, LIGHT
from lsm.stats.competence import LEVELS

Found = Mapping[str, Any]
NONE_AT, LOWEST, HIGHEST = 20.0, 40.0, 5e5
"""Where slides without parasites, and densities of zero, are drawn on a logarithmic axis."""

GREEN, GREY = "#4d9078", "#8a8a8a"
OUTCOMES = {"positive": ACCENT, "negative": GREEN, "indeterminate": LIGHT, "unusable": GREY}
LEVEL_COLOURS = (GREEN, LIGHT, "#cfc7b8", ACCENT)


def draw_panel(results: Found) -> Figure:
    """One panel of densities per arm; below, detection, counts, levels and cells."""
    arms = results["scores"]["arms"]
    wide = max(len(arms), 3)
    figure = Figure(figsize=(3.9 * wide, 7.4), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1.25, 1))
    above, below = grid[0].subgridspec(1, len(arms)), grid[1].subgridspec(1, 3)
    for place, name in enumerate(arms):
        axes = figure.add_subplot(above[place])
        _densities(axes, name, results["slides"])
        if place == 0:
            axes.set_ylabel("parasites/µl read, with interval")
    _shares(figure.add_subplot(below[0]), results["scores"])
    _levels(figure.add_subplot(below[1]), results["scores"])
    _cells(figure.add_subplot(below[2]), results)
    if results["reduced"]:
        read, of = results["slides_of_panel"]
        figure.suptitle(f"Reduced panel: {read} of {of} slides, not the figures of the panel", color=ACCENT)
    return figure


def _densities(axes: Axes, arm: str, slides: Sequence[Found]) -> None:
    span = np.array([LOWEST, HIGHEST])
    axes.fill_between(span, 0.75 * span, 1.25 * span, color=LIGHT, alpha=0.35, lw=0)
    axes.plot(span, span, color=INK, lw=0.8)
    axes.axvline(LOWEST * 0.8, color=GREY, lw=0.6, ls=":")
    none = [slide for slide in slides if slide["per_ul"] == 0]
    for slide in slides:
        said = slide["arms"][arm]
        # side by side, in the order of the panel
        shift = 1 + 0.5 * (none.index(slide) / max(len(none) - 1, 1) - 0.5) if slide in none else 1.0
        place = slide["per_ul"] or NONE_AT * shift
        colour = OUTCOMES[said["outcome"]]
        if said["per_ul"] is None:
            axes.plot(place, NONE_AT, marker="x", color=colour, ms=5)
            continue
        value, low, high = (min(max(each, NONE_AT), HIGHEST) for each in said["per_ul"])
        axes.plot([place, place], [low, high], color=colour, lw=0.9, alpha=0.7)
        marker = "o" if slide["part"] == "counting" else "D"
        axes.plot(place, value, marker=marker, ms=4, color=colour, mec=INK, mew=0.4)
    axes.set(xscale="log", yscale="log", xlim=(NONE_AT * 0.6, HIGHEST), ylim=(NONE_AT * 0.8, HIGHEST * 1.3))
    axes.set_xticks([NONE_AT, 100, 1000, 10_000, 100_000], ["none", "100", "1,000", "10,000", "100,000"], fontsize=8)
    axes.set_yticks([NONE_AT, 100, 1000, 10_000, 100_000], ["none", "100", "1,000", "10,000", "100,000"], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("parasites/µl of the blood")
    axes.set_title(arm, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    kinds = [Line2D([], [], marker="s", ls="", color=colour, label=name) for name, colour in OUTCOMES.items()]
    axes.legend(handles=kinds, frameon=False, fontsize=7, loc="lower right")


def _shares(axes: Axes, scores: Found) -> None:
    readers = _readers(scores)
    for row, one in enumerate(readers.values()):
        for key, colour, up in (("detection", ACCENT, 0.13), ("counts", INK, -0.13)):
            value, low, high = (100 * end for end in one[key][:3])
            axes.plot([low, high], [row + up, row + up], color=colour, lw=1.4)
            axes.plot(value, row + up, marker="o", ms=5, color=colour, label=key if row == 0 else None)
    for limit, colour in ((100 * LEVELS[1][0], ACCENT), (100 * LEVELS[1][2], INK)):
        axes.axvline(limit, color=colour, lw=0.8, ls=":")
    axes.set_yticks(range(len(readers)), _broken(readers), fontsize=8)
    axes.set(xlim=(0, 101), ylim=(-0.6, len(readers) - 0.4), xlabel="slides right, % (dotted: what level 1 asks)")
    axes.legend(frameon=False, fontsize=8, loc="best")
    axes.spines[["top", "right"]].set_visible(False)


def _levels(axes: Axes, scores: Found) -> None:
    readers = _readers(scores)
    for row, one in enumerate(readers.values()):
        left = 0.0
        for level, chance in enumerate(one["level"]["probability"], start=1):
            axes.barh(row, chance, left=left, height=0.55, color=LEVEL_COLOURS[level - 1])
            if chance > 0.08:
                axes.text(left + chance / 2, row, str(level), ha="center", va="center", fontsize=9)
            left += chance
    axes.set_yticks(range(len(readers)), _broken(readers), fontsize=8)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(readers) - 0.4), xlabel="probability of each level")
    axes.spines[["top", "right"]].set_visible(False)


def _cells(axes: Axes, results: Found) -> None:
    marks = "os^Dv"
    for number, arm in enumerate(results["scores"]["arms"]):
        places = [slide["per_ul"] or NONE_AT for slide in results["slides"]]
        cells = [max(slide["arms"][arm]["cells"], 1) for slide in results["slides"]]
        axes.plot(places, cells, ls="", marker=marks[number % len(marks)], ms=4, alpha=0.75, label=arm)
    axes.set(xscale="log", yscale="log", xlabel="parasites/µl of the blood", ylabel="red cells counted per slide")
    axes.set_xticks([NONE_AT, 100, 1000, 10_000, 100_000], ["none", "100", "1,000", "10,000", "100,000"], fontsize=8)
    axes.legend(frameon=False, fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _readers(scores: Found) -> dict[str, Found]:
    """From the bottom up, so that the first arm is at the top."""
    return dict(reversed([*scores["arms"].items(), (PERFECT, scores[PERFECT])]))


def _broken(names: Mapping[str, Any]) -> list[str]:
    return [name.replace(" pattern", "\npattern").replace("every cell ", "every cell\n") for name in names]
