"""Figures of the whole slide: where it was looked at, how the estimate settled, what was decided."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lsm.agent.results import SlideRun
from lsm.diagnose._style import AGENT, ALARM, PATTERN_COLOURS
from lsm.figures import FAINT, INK, Embedded, embed_svg, house_style
from lsm.stats import cell_posterior

STEPS_PER_ROW = 60
DENSITY_COLOURS = ListedColormap(
    np.linspace((0.965, 0.955, 0.93), (0.80, 0.27, 0.05), 64) ** np.array([1.0, 1.15, 1.3]), "density"
)


def field_densities(run: SlideRun) -> Float[np.ndarray, " field"]:
    """Expected infected fraction of each visited field's red cells, at the slide's prevalence; 0 without cells."""
    if run.densities is not None:
        return np.array(run.densities, dtype=np.float64)
    fields = np.array([cell.field for cell in run.cells], dtype=np.int64)
    scores = np.array([cell.p_infected for cell in run.cells], dtype=np.float64)
    posterior = cell_posterior(scores, run.estimate.prevalence)
    infected = np.bincount(fields, posterior, minlength=len(run.visits))
    cells = np.bincount(fields, minlength=len(run.visits))
    return infected / np.maximum(cells, 1)


def slide_map(run: SlideRun, pattern_names: Sequence[str]) -> Embedded:
    """The slide region with the visited fields in order, their captures as dots and their density as colour."""
    density = field_densities(run)
    top = max(float(density.max(initial=0.0)), 0.01)
    width_um, height_um = run.extent_um
    field_x, field_y = run.field_um
    with house_style():
        figure = Figure(figsize=(5.3, 5.3 * height_um / width_um + 1.15), layout="constrained")
        axes = figure.subplots()
        axes.add_patch(Rectangle((0, 0), width_um, height_um, facecolor="#f7f9fa", edgecolor=FAINT))
        norm = Normalize(0, 100 * top)
        for order, (visit, share) in enumerate(zip(run.visits, density, strict=True), start=1):
            x, y = visit.xy_um
            corner = (x - field_x / 2, y - field_y / 2)
            edge = ALARM if visit.fault else "white"
            colour = DENSITY_COLOURS(norm(100 * share))
            axes.add_patch(Rectangle(corner, field_x, field_y, facecolor=colour, edgecolor=edge, linewidth=1.2))
            axes.text(x - 0.43 * field_x, y - 0.42 * field_y, str(order), fontsize=8, va="top", ha="left")
            for place, pattern in enumerate(visit.patterns):
                axes.plot(
                    x + field_x * (0.2 * place - 0.1 * (len(visit.patterns) - 1)),
                    y + 0.3 * field_y,
                    "o",
                    markersize=4.6,
                    color=PATTERN_COLOURS[pattern % len(PATTERN_COLOURS)],
                    markeredgecolor="white",
                    markeredgewidth=0.4,
                )
        for before, after in pairwise(visit.xy_um for visit in run.visits):
            axes.plot(*zip(before, after, strict=True), color=INK, linewidth=0.7, alpha=0.35)
        axes.set(xlim=(-0.01 * width_um, 1.01 * width_um), ylim=(1.01 * height_um, -0.01 * height_um), aspect="equal")
        axes.set(xlabel="stage x (µm)", ylabel="stage y (µm)")
        bar = figure.colorbar(
            _mappable(norm), ax=axes, location="bottom", fraction=0.05, aspect=40, shrink=0.6, pad=0.02
        )
        bar.set_label("expected infected red cells in the field (%)")
        bar.outline.set_visible(False)
        _pattern_legend(figure, pattern_names, run)
    return embed_svg(
        figure,
        f"Map of the slide: {len(run.visits)} fields visited in numbered order with {run.captures} captures; "
        f"the highest expected share of infected cells in a field is {density.max(initial=0.0):.1%}.",
    )


def settling(run: SlideRun) -> Embedded:
    """Estimate and interval after each capture."""
    with house_style():
        figure = Figure(figsize=(5.3, 3.9), layout="constrained")
        axes = figure.subplots()
        top = 0.0
        steps = [step for step in run.decisions if step.capture is not None]
        if steps:
            captures = np.arange(1, len(steps) + 1)
            low, middle, high = (
                100 * np.array([getattr(step.estimate, name) for step in steps])
                for name in ("low", "prevalence", "high")
            )
            axes.fill_between(captures, low, high, color=AGENT, alpha=0.16, linewidth=0)
            axes.plot(captures, middle, color=AGENT, linewidth=1.8)
            axes.plot(captures[-1], middle[-1], "o", color=AGENT, markersize=5)
            top = max(1.25 * float(np.median(high[len(high) // 4 :])), 1.1 * float(high[-1]))
        axes.set(xlabel="captures", ylabel="infected red cells (%)", ylim=(0, max(top, 0.5)))
        axes.set_xlim(1, max(2, run.captures) + 0.5)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
    estimate = run.estimate
    return embed_svg(
        figure,
        f"Estimated parasitaemia after each capture; it ends at {estimate.prevalence:.2%} "
        f"with the interval {estimate.low:.2%} to {estimate.high:.2%}.",
    )


def decision_strip(run: SlideRun) -> Embedded:
    """What was chosen step by step; shading is the policy's probability of every action."""
    steps, actions = len(run.decisions), len(run.action_names)
    rows = max(1, -(-steps // STEPS_PER_ROW))
    columns = min(max(steps, 1), STEPS_PER_ROW)
    with house_style():
        figure = Figure(figsize=(max(5.0, 1.6 + 0.17 * columns), rows * (0.20 * actions + 0.55)), layout="constrained")
        for row, axes in enumerate(np.atleast_1d(figure.subplots(rows, 1, squeeze=False)[:, 0])):
            part = run.decisions[row * STEPS_PER_ROW : (row + 1) * STEPS_PER_ROW]
            chance = np.full((actions, columns), np.nan)
            for column, step in enumerate(part):
                chance[:, column] = step.probabilities if step.probabilities else 0.0
            start = row * STEPS_PER_ROW + 0.5
            axes.imshow(
                chance, cmap=_PROBABILITY, vmin=0, vmax=1, aspect="auto", extent=(start, start + columns, actions, 0)
            )
            axes.plot(
                [start + 0.5 + column for column in range(len(part))],
                [step.action + 0.5 for step in part],
                "o",
                markersize=4.2,
                color=ALARM,
                markeredgecolor="white",
                markeredgewidth=0.5,
            )
            axes.set_yticks(np.arange(actions) + 0.5, run.action_names, fontsize=8)
            axes.tick_params(axis="y", length=0)
            for line in range(1, actions):
                axes.axhline(line, color="white", linewidth=1.5)
            axes.set_xticks([step for step in range(10, steps + 1, 10) if start < step < start + columns])
        axes.set_xlabel("step")
    return embed_svg(
        figure,
        f"{steps} decisions of the policy {run.policy}: the chosen action of each step on the shaded "
        "probabilities of all actions. The table below holds the same.",
    )


def score_histogram(run: SlideRun) -> Embedded:
    """Red cells per score bin over all sets of captures, the evidence behind the estimate."""
    cells = run.counts.sum(axis=0)
    number = range(1, len(cells) + 1)
    with house_style():
        figure = Figure(figsize=(4.4, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.bar(number, cells, width=0.94, color=AGENT)
        for place, count in zip(number, cells, strict=True):
            if count:
                axes.text(place, count * 1.1, f"{count}", ha="center", va="bottom", fontsize=8)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_xticks(number)
        axes.set(xlabel="score bin (the last: most like infected cells)", ylabel="red cells")
        axes.set_ylim(0, max(10.0, 4.0 * float(cells.max(initial=0))))
    listed = ", ".join(f"{place}: {count}" for place, count in zip(number, cells, strict=True))
    return embed_svg(figure, f"Red cells per score bin, from the least to the most like infected cells: {listed}.")


_PROBABILITY = ListedColormap(np.linspace((0.957, 0.968, 0.975), (0.04, 0.36, 0.30), 64), "probability")


def _mappable(norm: Normalize) -> ScalarMappable:
    return ScalarMappable(norm, DENSITY_COLOURS)


def _pattern_legend(figure: Figure, names: Sequence[str], run: SlideRun) -> None:
    used = sorted({pattern for visit in run.visits for pattern in visit.patterns})
    dots = [
        Line2D([], [], marker="o", linestyle="", color=PATTERN_COLOURS[index % len(PATTERN_COLOURS)], markersize=4)
        for index in used
    ]
    figure.legend(dots, [names[index] for index in used], loc="outside upper left", ncols=4, handletextpad=0.1)
