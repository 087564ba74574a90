"""Figures of numbers: confusion, counts per image, shares over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lsm.figures import FAINT, INK, MUTED, figure_png, house_style
from lsm.vision.data import AnnotatedSet
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import counted
from lsm.vision.draw._style import category_colour
from lsm.vision.draw.confusion import NOT_MARKED, Confusion
from lsm.vision.draw.stages import StageCounts

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#bfdcee", "#56a0ce", "#12507a"])
HATCHES = ("", "////")


def confusion_figure(table: Confusion) -> Figure:
    """Rows are what the first source said, columns what the second did; shaded by the share of the row."""
    matrix = table.matrix
    names = [*table.categories, NOT_MARKED]
    size = len(names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    share[-1] = 0  # the part of nothing is nothing
    side = float(np.clip(0.62 * size, 2.4, 9.0))
    with house_style():
        longest = max(map(len, names))
        figure = Figure(figsize=(side + 0.9 + 0.075 * longest, side + 0.7 + 0.055 * longest), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(share, cmap=SHADES, vmin=0, vmax=1, aspect="equal")
        for row in range(size):
            for column in range(size):
                if (row, column) != (size - 1, size - 1):
                    _cell(axes, row, column, int(matrix[row, column]), float(share[row, column]), small=size > 8)
        axes.plot([size - 1.5] * 2, [-0.5, size - 0.5], color=MUTED, lw=0.8)
        axes.plot([-0.5, size - 0.5], [size - 1.5] * 2, color=MUTED, lw=0.8)
        axes.set_xticks(range(size), names, rotation=35 if longest > 5 else 0, ha="right" if longest > 5 else "center")
        axes.set_yticks(range(size), names)
        axes.set(xlabel=table.second, ylabel=table.first)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set(visible=True, color=FAINT)
    return figure


def counts_figure(data: AnnotatedSet, found: Sequence[Detections]) -> Figure:
    """One point an image: objects marked against objects found, a panel for each category.

    What is found in objects to ignore is left out, as these are.
    """
    marked = np.stack([_counted(image.objects.where(~image.objects.ignore).category, data) for image in data.images])
    kept = [counted(each, image.objects) for each, image in zip(found, data.images, strict=True)]
    seen = np.stack([_counted(each.category, data) for each in kept])
    names = data.categories
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    with house_style():
        figure = Figure(figsize=(2.35 * columns + 0.3, 2.45 * rows), layout="constrained")
        for k, name in enumerate(names):
            axes = figure.add_subplot(rows, columns, k + 1)
            top = max(1, int(max(marked[:, k].max(), seen[:, k].max()))) * 1.08
            axes.plot([0, top], [0, top], color=FAINT, lw=1, zorder=0)
            # images of the same counts lie on each other: a point's area is their number
            places, number = np.unique(np.stack([marked[:, k], seen[:, k]], axis=1), axis=0, return_counts=True)
            axes.scatter(
                places[:, 0],
                places[:, 1],
                s=14 * number,
                color=category_colour(k)[0],
                edgecolor=INK,
                lw=0.5,
                alpha=0.85,
            )
            axes.set(xlim=(-0.06 * top, top), ylim=(-0.06 * top, top), aspect="equal", title=name)
            axes.locator_params(integer=True, nbins=5)
            if k % columns == 0:
                axes.set_ylabel("found in an image")
            if k // columns == rows - 1 or k + columns >= len(names):
                axes.set_xlabel("marked in it")
    return figure


def stages_figure(stages: StageCounts) -> Figure:
    """Stacked shares over time, and below them each category's share with its 95 % interval."""
    shares, intervals = stages.shares(), stages.intervals()
    seen = np.isfinite(shares).all(axis=1)
    time_h, shares, intervals = stages.time_h[seen], shares[seen], intervals[seen]
    # each category a little aside, so that intervals at one time do not hide each other
    aside = 0.004 * (float(np.ptp(time_h)) or 40.0)
    totals = stages.counts[seen].sum(axis=1)
    with house_style():
        figure = Figure(figsize=(6.6, 5.4), layout="constrained")
        stacked, single = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _stack(stacked, time_h, shares, stages.categories)
        for k in range(len(stages.categories)):
            colour, dashed = category_colour(k)
            middle = shares[:, k]
            around = np.abs(intervals[:, k].T - middle)
            line = "--" if dashed else "-"
            single.errorbar(
                time_h + aside * (k - (len(stages.categories) - 1) / 2),
                middle,
                around,
                color=colour,
                ls=line,
                lw=1.4,
                marker="o",
                ms=3.5,
                capsize=2,
                mec=INK,
                mew=0.4,
            )
        single.set(xlabel="time, h", ylabel="share, 95 % interval", ylim=(0, None))
        single.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        single.grid(axis="y", color=FAINT, lw=0.6)
        span = f"{totals.min():,}" if totals.min() == totals.max() else f"{totals.min():,} to {totals.max():,}"
        stacked.set_title(f"{span} objects at {'one time' if len(time_h) == 1 else f'each of {len(time_h)} times'}")
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return its path; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figure_png(figure))
    return path


def _cell(axes: Axes, row: int, column: int, count: int, share: float, *, small: bool) -> None:
    if count == 0:
        axes.text(column, row, "0", ha="center", va="center", color="#9aa5af", fontsize=7 if small else 8.5)
        return
    colour = "white" if share > 0.6 else INK
    if share == 0:
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=7.5 if small else 9.5)
        return
    axes.text(column, row - 0.09, f"{count:,}", ha="center", va="center", color=colour, fontsize=7.5 if small else 9.5)
    axes.text(column, row + 0.21, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=5.5 if small else 7)


def _stack(axes: Axes, time_h: Float[np.ndarray, " time"], shares: np.ndarray, names: Sequence[str]) -> None:
    """Areas between times; a single time is a bar, since an area would have no width."""
    lower = np.zeros(len(time_h))
    for k, name in enumerate(names):
        colour, dashed = category_colour(k)
        look: dict[str, Any] = {
            "facecolor": colour,
            "hatch": HATCHES[dashed],
            "edgecolor": "white",
            "linewidth": 0.6,
            "label": name,
        }
        if len(time_h) == 1:
            axes.bar(time_h, shares[:, k], bottom=lower, width=1, **look)
        else:
            axes.fill_between(time_h, lower, lower + shares[:, k], **look)
        lower = lower + shares[:, k]
    axes.set(ylabel="share of the counted", ylim=(0, 1))
    axes.margins(x=0.02 if len(time_h) > 1 else 0.4)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5))


def _counted(categories: Int[np.ndarray, " object"], data: AnnotatedSet) -> Int[np.ndarray, " category"]:
    return np.bincount(categories, minlength=len(data.categories))
