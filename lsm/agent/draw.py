"""What a search looks like at one moment, as a picture."""

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from lsm.agent.rules import SearchRules
from lsm.agent.state import SearchState, View
from lsm.types import Image

INK, PALE, ACCENT, DARK = "#33415c", "#e8edf2", "#d1495b", "#0e141a"
PATTERN_COLOURS = ("#4477aa", "#ee9922", "#aa3377", "#228833", "#66ccee", "#bbbbbb", "#ccbb44", "#222255")
SIZE_IN, DPI = (8.0, 4.5), 100


def draw_search(
    state: SearchState, view: View, rules: SearchRules, sample: UInt8[np.ndarray, "y x"] | None
) -> UInt8[np.ndarray, "450 800 3"]:
    """A picture of one search: the sample, the map of visited fields, belief, budget and light.

    state, view: of one search. sample: the last image of the field on the axis as grey values; None before the first.
    """
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic(
        [["map", "map", "sample"], ["belief", "budget", "light"]], height_ratios=[1.5, 1], width_ratios=[1, 1, 1]
    )
    _map(panels["map"], state, rules)
    _sample(panels["sample"], sample)
    _belief(panels["belief"], state, view)
    _budget(panels["budget"], state, rules)
    _light(panels["light"], state, rules)
    canvas.draw()  # type: ignore[no-untyped-call]
    picture: UInt8[np.ndarray, "450 800 3"] = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    return picture


def _map(axes: Axes, state: SearchState, rules: SearchRules) -> None:
    """Cells read per field, with the suspicious share written in; the stage is the ring."""
    grid = rules.grid
    cells = state.hists[0].sum(1).numpy()
    shown = np.where(state.masks[0].numpy() > 0, cells, np.nan).reshape(grid.rows, grid.columns)
    colours = colormaps["YlGnBu"].with_extremes(bad=PALE)
    axes.imshow(shown, cmap=colours, vmin=0, vmax=max(1.0, float(cells.max())), aspect="auto", interpolation="nearest")
    row, column = divmod(int(state.field[0]), grid.columns)
    axes.plot(column, row, "o", ms=11, mfc="none", mec=ACCENT, mew=2)
    upper = state.hists[0, :, -(rules.n_bins // 3 or 1) :].sum(1).numpy()
    for field in np.flatnonzero((state.masks[0].numpy() > 0) & (cells > 0)):
        y, x = divmod(int(field), grid.columns)
        share = 100 * upper[field] / cells[field]
        ink = "white" if cells[field] > 0.6 * cells.max() else INK
        axes.text(x, y, f"{share:.0f}", ha="center", va="center", fontsize=6, color=ink)
    visited = int((state.masks[0] > 0).sum())
    axes.set_title(
        f"slide: {visited} of {grid.n_fields} fields; cells (colour), % of high score", fontsize=8, loc="left"
    )
    axes.set_xticks([])
    axes.set_yticks([])


def _sample(axes: Axes, sample: UInt8[np.ndarray, "y x"] | None) -> None:
    axes.set_facecolor(DARK)
    if sample is not None:
        axes.imshow(sample, cmap="gray", vmin=0, vmax=255)
    axes.set_title(
        "sample under the last light" if sample is not None else "nothing captured yet", fontsize=8, loc="left"
    )
    axes.set_xticks([])
    axes.set_yticks([])


def _belief(axes: Axes, state: SearchState, view: View) -> None:
    """Cells of all fields per score bin, and the prevalence they give."""
    counts = state.hists[0].sum(0).numpy()
    axes.bar(np.arange(len(counts)), counts / max(1.0, counts.sum()), color=INK, width=0.8)
    axes.set_title(f"belief: {100 * float(view.prevalence[0]):.2f} % infected", fontsize=8, loc="left")
    axes.set_xlabel("score bin of all cells", fontsize=7)
    axes.set(ylim=(0, 1), xticks=[], yticks=[])


def _budget(axes: Axes, state: SearchState, rules: SearchRules) -> None:
    left = {
        "captures": 1 - int(state.captures[0]) / rules.capture_budget,
        "actions": 1 - int(state.actions[0]) / rules.action_budget,
    }
    axes.barh(list(left), list(left.values()), color=INK)
    axes.set(xlim=(0, 1), xticks=[0, 1])
    axes.tick_params(labelsize=7)
    time_s, travel_mm = float(state.time_s[0]), float(state.travel_um[0]) / 1000
    axes.set_title(f"budget left; {time_s:.1f} s, {travel_mm:.1f} mm", fontsize=8, loc="left")


def _light(axes: Axes, state: SearchState, rules: SearchRules) -> None:
    """Which patterns lit the field on the axis, and all light so far."""
    here = int(state.mask_here[0])
    for pattern in range(rules.n_patterns):
        used = bool(here >> pattern & 1)
        colour = PATTERN_COLOURS[pattern % len(PATTERN_COLOURS)]
        axes.add_patch(_disc(pattern, colour, filled=used))
        axes.text(pattern, -0.75, str(pattern), ha="center", va="center", fontsize=7, color=INK)
    last = int(state.last_action[0])
    name = "start" if last < 0 else rules.action_names[last]
    axes.set_xlim(-0.6, rules.n_patterns - 0.4)
    axes.set(ylim=(-1.1, 0.6), xticks=[], yticks=[], aspect="equal")
    light_s = float(state.light_dose[0]) / 1000
    axes.set_title(f"light: {light_s:.2f} LED s; last: {name}", fontsize=8, loc="left")


def _disc(x: float, colour: str, *, filled: bool) -> Circle:
    return Circle((x, 0.0), 0.38, facecolor=colour if filled else "none", edgecolor=colour, linewidth=1.5)


def grey_of(image: Image) -> UInt8[np.ndarray, "y x"]:
    """Grey values 0..255 between the image's 0.5 and 99.5 percentile."""
    values = np.asarray(image, dtype=np.float64)
    low, high = np.percentile(values, [0.5, 99.5])
    grey: UInt8[np.ndarray, "y x"] = np.round(np.clip((values - low) / max(high - low, 1.0), 0, 1) * 255).astype(
        np.uint8
    )
    return grey
