"""The picture of the experiment."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.experiments.find_first.config import FindFirstConfig
from lsm.experiments.tables import ACCENT, INK, LIGHT

COLOURS = {
    "coarse first": LIGHT,
    "random": "#cfc7b8",
    "planner": INK,
    "learned": ACCENT,
    "planner, told the kind of film": "#4d9078",
}


def draw_ratios(config: FindFirstConfig, found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Fields of the serpentine over those of each policy against the spread of infection, by kind of film."""
    kinds: dict[tuple[Any, ...], list[str]] = {}
    for name in found:
        condition = config.conditions[name]
        if condition.spread > 0:
            kinds.setdefault((condition.length_fields, condition.edge_share, condition.along), []).append(name)
    panels = kinds or {(0.0, 0.0, (0.0, 1.0)): []}
    figure = Figure(figsize=(3.6 * len(panels) + 0.6, 3.9), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (kind, names) in zip(axes, panels.items(), strict=True):
        even = [
            name for name in found if config.conditions[name].spread == 0 and config.conditions[name].along == kind[2]
        ]
        chosen = sorted([*even, *names], key=lambda name: config.conditions[name].spread)
        _panel(panel, config, found, chosen)
        trend = f", {100 * kind[1]:.0f} % trend to the edges" if kind[1] else ""
        whole = "" if kind[2] == config.film.along else ", whole film"
        panel.set_title(f"patches of {kind[0]:g} fields{trend}{whole}", fontsize=9, loc="left")
    axes[0].set_ylabel("fields of the serpentine / fields of the policy")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, config: FindFirstConfig, found: Mapping[str, Any], names: list[str]) -> None:
    spreads = [config.conditions[name].spread for name in names]
    for policy, colour in COLOURS.items():
        ratios = [found[name]["policies"][policy]["ratio"] for name in names]
        middle = [each["ratio"] for each in ratios]
        below = [each["ratio"] - each["low"] for each in ratios]
        above = [each["high"] - each["ratio"] for each in ratios]
        axes.errorbar(spreads, middle, yerr=[below, above], marker="o", ms=4, capsize=2, color=colour, label=policy)
    axes.axhline(1, color=INK, lw=0.8)
    axes.axhline(2, color=INK, lw=0.8, ls=":")
    axes.set(yscale="log", xlabel="spread of the log local fraction")
    axes.set_yticks([1, 2, 4], ["1", "2", "4"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
