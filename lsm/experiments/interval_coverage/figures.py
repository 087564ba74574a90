"""The pictures of the experiment."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.scans import cells_by_density
from lsm.experiments.tables import ACCENT, INK, LIGHT

COLOURS = (LIGHT, INK, ACCENT, "#4d9078", "#cfa15a", "#7d5ba6")
STYLES = ("-", "--", ":")
DENSITIES = np.array([0.0, *np.geomspace(10, 30_000, 25)])
BESIDE_ZERO = 3.0
"""Where a density of zero stands on a logarithmic axis that goes on at 10."""


def draw_coverage(config: CoverageConfig, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Coverage at single densities, a panel for each number of cells, a line for each rate."""
    figure = Figure(figsize=(3.4 * len(config.cells) + 0.8, 3.6), layout="constrained")
    axes = figure.subplots(1, len(config.cells), sharey=True, squeeze=False)[0]
    for panel, cells in zip(axes, config.cells, strict=True):
        panel.axhspan(100 * config.asked[0], 100 * config.asked[1], color=LIGHT, alpha=0.3, lw=0)
        for rate, colour in zip(config.rates, COLOURS[1:], strict=False):
            held = [row for row in rows if row["cells"] == cells and row["rate"] == rate]
            middle = [100 * row["coverage"] for row in held]
            below = [100 * (row["coverage"] - row["low"]) for row in held]
            above = [100 * (row["high"] - row["coverage"]) for row in held]
            places = [row["per_ul"] or BESIDE_ZERO for row in held]
            panel.errorbar(places, middle, yerr=[below, above], marker="o", ms=3, lw=1, color=colour, label=f"{rate:g}")
        panel.set(xscale="log", xlabel="parasites per microlitre")
        panel.set_title(f"{cells:,} cells", fontsize=9, loc="left")
        _name_zero(panel)
    axes[0].set_ylabel("slides whose interval holds their density, %")
    axes[-1].legend(frameon=False, fontsize=8, title="false positives per cell")
    return figure


def draw_cells(config: CoverageConfig, rng: np.random.Generator) -> Figure:
    """Mean cells of every rule against density."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    places = np.where(DENSITIES > 0, DENSITIES, BESIDE_ZERO)
    for (name, settings), (style, colour) in zip(config.rules.items(), product(STYLES, COLOURS[1:]), strict=False):
        cells = cells_by_density(config, settings, DENSITIES, rng)
        axes.plot(places, cells, style, marker="o", ms=3, lw=1.2, color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="parasites per microlitre", ylabel="cells until the decision, mean")
    _name_zero(axes)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _name_zero(axes: Axes) -> None:
    axes.set_xticks([BESIDE_ZERO, 10, 100, 1000, 10_000, 100_000], ["0", "10", "100", "1,000", "10,000", "100,000"])
    axes.tick_params(axis="x", labelsize=7)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
