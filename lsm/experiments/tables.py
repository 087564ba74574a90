"""Figures that experiments share."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

INK, LIGHT, ACCENT = "#33415c", "#9fb3c8", "#d1495b"


def bars(arms: Mapping[str, Mapping[str, Any]], title: str) -> Figure:
    """Accuracy of every arm with its interval, best at the top; learned ones stand out."""
    names = sorted(arms, key=lambda name: float(arms[name]["accuracy"]))
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        row = arms[name]
        middle, low, high = (100 * float(row[key]) for key in ("accuracy", "low", "high"))
        axes.barh(place, middle - 50, left=50, height=0.65, color=ACCENT if "learned" in name else LIGHT)
        axes.plot([low, high], [place, place], color=INK, lw=1.6)
        axes.text(high + 0.6, place, f"{middle:.1f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(50, 100), xlabel="cells of unseen patients named rightly, % (line: 95 % interval, chance is 50)")
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def curves(lines: Mapping[str, Sequence[tuple[float, float, float, float]]], *, across: str, title: str) -> Figure:
    """Accuracy against a budget on a logarithmic axis; each point is (budget, accuracy, low, high)."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    marks = "osD^vP"
    for number, (name, points) in enumerate(lines.items()):
        budget = [point[0] for point in points]
        middle = [100 * point[1] for point in points]
        below = [100 * (point[1] - point[2]) for point in points]
        above = [100 * (point[3] - point[1]) for point in points]
        colour = ACCENT if name == "learned" else None
        axes.errorbar(
            budget, middle, yerr=[below, above], marker=marks[number % len(marks)], capsize=3, label=name, color=colour
        )
    axes.set(xscale="log", xlabel=across, ylabel="cells of unseen patients named rightly, %")
    axes.set_title(title, fontsize=9, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
