"""Figures of a scan, drawn on axes so that page and PDF share them."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from lsm.diagnose._slide_figures import DENSITY_COLOURS
from lsm.diagnose._style import AGENT, OTHER
from lsm.diagnose.compare import percent
from lsm.diagnose.scan_report.facts import ScanReport
from lsm.figures import FAINT, INK, MUTED, Embedded, embed_svg, house_style

Draw = Callable[[Axes, ScanReport], None]

QUALITY_COLOURS = ListedColormap(np.linspace((0.85, 0.88, 0.93), (0.13, 0.32, 0.55), 64), "quality")
BAD = "#ffd9d2"
MARKS = "abcdefghijklmnop"


def faults(report: ScanReport) -> list[tuple[str, str, int]]:
    """(mark on the map, fault, fields), the most frequent first."""
    found = Counter(field.fault for field in report.fields if field.fault).most_common()
    return [(MARKS[index % len(MARKS)], fault, count) for index, (fault, count) in enumerate(found)]


def density_map(axes: Axes, report: ScanReport) -> None:
    """Fields by the share of their red cells that is expected to be infected."""
    shares = np.array([field.expected_infected for field in report.fields])
    top = max(float(shares.max(initial=0.0)), 1e-6)
    _map(axes, report, 100 * shares, DENSITY_COLOURS, Normalize(0, 100 * top))
    _bar(axes, DENSITY_COLOURS, Normalize(0, 100 * top), "expected infected red cells (%)")


def quality_map(axes: Axes, report: ScanReport) -> None:
    """Fields by quality; faulty ones carry the mark of their fault."""
    quality = np.array([field.quality for field in report.fields])
    _map(axes, report, quality, QUALITY_COLOURS, Normalize(0.5, 1))
    _bar(axes, QUALITY_COLOURS, Normalize(0.5, 1), "quality (0.5: at a limit, 1: far from all)")


def settling(axes: Axes, report: ScanReport) -> None:
    """Density and interval after each field, with the target density."""
    scale = report.verdict.red_cells_per_ul
    low, middle, high = (
        scale * np.array([getattr(field, name) for field in report.fields]) for name in ("low", "prevalence", "high")
    )
    number = np.arange(1, len(report.fields) + 1)
    axes.fill_between(number, low, high, color=AGENT, alpha=0.16, linewidth=0)
    axes.plot(number, middle, color=AGENT, linewidth=1.8)
    if len(number):
        axes.plot(number[-1], middle[-1], "o", color=AGENT, markersize=5)
    target = report.rule.target_per_ul
    axes.axhline(target, color=OTHER, linewidth=0.9, linestyle=(0, (4, 2)))
    axes.annotate(
        "target", (1, target), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
        fontsize=7.5, color=OTHER, ha="right", va="bottom",
    )  # fmt: skip
    one_cell = scale / max(1, report.verdict.cells)
    axes.set_yscale("symlog", linthresh=one_cell, linscale=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="fields", ylabel="infected red cells per µL", xlim=(0.5, max(2, len(number)) + 0.5))
    axes.set_ylim(0, max(float(high.max(initial=0.0)) * 1.2, 10 * one_cell))
    axes.grid(axis="y", color=FAINT, linewidth=0.6)


def histogram(axes: Axes, report: ScanReport) -> None:
    """Cells per score bin over all sets of lights, beside what uninfected cells alone would give."""
    cells, expected, low, high = _binned(report)
    middle = np.arange(len(cells)) + 0.5
    axes.bar(middle, cells, width=0.94, color=AGENT, label="this slide")
    axes.errorbar(
        middle, expected, yerr=(np.maximum(expected - low, 0), np.maximum(high - expected, 0)), fmt="o", color=OTHER,
        markersize=3.5, capsize=3, linewidth=1.1, label="expected, were no cell infected (95% of slides)",
    )  # fmt: skip
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xticks(
        range(len(cells) + 1), ["0", *(f"{edge:.4g}" for edge in report.score_edges), "1"], rotation=90, fontsize=7
    )
    axes.set(xlabel="score (probability of infection at 50% prevalence)", ylabel="red cells", xlim=(0, len(cells)))
    axes.set_ylim(0, max(10.0, 6.0 * float(max(cells.max(initial=0), high.max(initial=0)))))
    axes.legend(loc="upper right", fontsize=7.5)


def embedded(draw: Draw, report: ScanReport, alt: str, *, inches: tuple[float, float]) -> Embedded:
    """One figure as part of the page."""
    with house_style():
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.subplots(), report)
    return embed_svg(figure, alt)


def page_figures(report: ScanReport) -> dict[str, Embedded]:
    """The figures of the page by name, each with its description."""
    estimate, shape = report.verdict.estimate, (5.3, 5.3 * _aspect(report) + 1.0)
    good = sum(not field.fault for field in report.fields)
    most = max((field.expected_infected for field in report.fields), default=0.0)
    cells, expected, _, _ = _binned(report)
    listed = ", ".join(
        f"{edge:.4g}: {count:.0f} and {by_chance:.1f}"
        for edge, count, by_chance in zip((0.0, *report.score_edges), cells, expected, strict=True)
    )
    return {
        "density_map": embedded(
            density_map,
            report,
            f"Map of {len(report.fields)} fields; the highest expected share of infected cells is {percent(most)}.",
            inches=shape,
        ),
        "quality_map": embedded(
            quality_map,
            report,
            f"Map of the fields by quality: {good} of {len(report.fields)} count"
            + "".join(f"; {count} {fault}, marked {mark}" for mark, fault, count in faults(report)),
            inches=shape,
        ),
        "settling": embedded(
            settling,
            report,
            f"Density after each field; it ends at {percent(estimate.prevalence)} of red cells "
            f"with the interval {percent(estimate.low)} to {percent(estimate.high)}.",
            inches=(5.3, 3.6),
        ),
        "histogram": embedded(
            histogram,
            report,
            f"Red cells per score bin, by its lower end, on this slide and expected without infection: {listed}.",
            inches=(5.3, 3.6),
        ),
    }


def _binned(report: ScanReport) -> tuple[Float[np.ndarray, " bin"], ...]:
    names = ("cells", "expected_uninfected", "low", "high")
    if not report.scores:
        return tuple(np.zeros(len(report.score_edges) + 1) for _ in names)
    return tuple(
        np.array([getattr(mask, name) for mask in report.scores], dtype=np.float64).sum(axis=0) for name in names
    )


def _aspect(report: ScanReport) -> float:
    places = np.array([field.xy_um for field in report.fields] or [(0.0, 0.0)])
    width, height = np.ptp(places, axis=0) + np.array(report.field_um)
    return float(np.clip(height / width, 0.25, 1.6))


def _map(
    axes: Axes, report: ScanReport, values: Float[np.ndarray, " field"], colours: ListedColormap, norm: Normalize
) -> None:
    width, height = report.field_um
    marks = {fault: mark for mark, fault, _ in faults(report)}
    boxes = [
        Rectangle((field.xy_um[0] - width / 2, field.xy_um[1] - height / 2), width, height) for field in report.fields
    ]
    shades = [BAD if field.fault else colours(norm(value)) for field, value in zip(report.fields, values, strict=True)]
    axes.add_collection(PatchCollection(boxes, facecolors=shades, edgecolors="white", linewidths=0.6))
    places = np.array([field.xy_um for field in report.fields] or [(0.0, 0.0)])
    size = float(np.clip(90 / np.sqrt(max(1, len(places))), 3.5, 9))
    for field in report.fields:
        if field.fault:
            axes.text(*field.xy_um, marks[field.fault], fontsize=size, color="#8f1d0e", ha="center", va="center")
    axes.plot(*places.T, color=INK, linewidth=0.5, alpha=0.25)
    if report.fields:
        axes.plot(*places[0], "o", color=INK, markersize=3.5)
        axes.annotate("first", places[0], xytext=(4, 4), textcoords="offset points", fontsize=7, color=INK)
    size_um = np.array(report.field_um)
    low, high = places.min(axis=0) - size_um, places.max(axis=0) + size_um
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
    axes.set(xlabel="stage x (µm)", ylabel="stage y (µm)")
    axes.tick_params(labelsize=7.5)


def _bar(axes: Axes, colours: ListedColormap, norm: Normalize, label: str) -> None:
    figure = axes.figure.get_figure(root=True)
    if figure is None:
        return
    pad = 0.1 if figure.get_layout_engine() is None else 0.02
    bar = figure.colorbar(
        ScalarMappable(norm, colours), ax=axes, location="bottom", fraction=0.05, aspect=40, shrink=0.7, pad=pad
    )
    bar.set_label(label, color=MUTED)
    bar.outline.set_visible(False)
