"""One picture of the experiment: what each arm learned, what it sees, and how many cells it names rightly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Complex64, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Circle

from lsm.figures import FAINT, INK, MUTED

DARK = "#0e141a"
# told apart by the colour-blind, and by their place in the list
COLOURS = {"fixed": "#0072b2", "own": "#d55e00"}
_DPI = 150


@dataclass(frozen=True, eq=False)
class ArmPicture:
    """What the first seed and fold of an arm learned.

    directions: x and y of each LED's light [led, 2]. duties: 0..1 [led]. pupil: complex, empty where it is open.
    axis_na: numerical aperture of the pupil's bins. cells: images, first half of infected cells [cell, y, x].
    """

    name: str
    directions: Float[np.ndarray, "led 2"]
    na: float
    duties: Float[np.ndarray, " led"]
    pupil: Complex64[np.ndarray, "fy fx"]
    axis_na: Float[np.ndarray, " f"]
    cells: Float[np.ndarray, "cell y x"]


def draw(arms: Sequence[ArmPicture], results: Mapping[str, Any], path: Path) -> None:
    """Write the picture as a PNG."""
    with mpl.rc_context({"font.size": 8.5, "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": MUTED}):
        figure = Figure(figsize=(10.5, 1.3 * len(arms) + 2.6), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.3 * len(arms), 2.4])
        _draw_arms(parts[0], arms)
        _draw_accuracy(parts[1].subplots(), results["greys"])
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _draw_arms(part: SubFigure, arms: Sequence[ArmPicture]) -> None:
    n_cells = len(arms[0].cells)
    grid = part.subplots(len(arms), 3 + n_cells, squeeze=False, width_ratios=[1.25, 1.25, 1.25, *[1] * n_cells])
    for row, arm in zip(grid, arms, strict=True):
        _draw_light(row[0], arm)
        _draw_pupil(row[1], row[2], arm)
        for axes, image in zip(row[3:], arm.cells, strict=True):
            axes.imshow(image, cmap="gray", interpolation="nearest", origin="lower")
            _bare(axes)
        row[0].set_ylabel(arm.name, fontsize=10, color=INK, fontweight="bold")
    titles = ["light, by direction", "pupil: amplitude", "pupil: phase"]
    titles += ["infected"] * (n_cells // 2) + ["not infected"] * (n_cells - n_cells // 2)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8.5)


def _draw_light(axes: Axes, arm: ArmPicture) -> None:
    axes.set_facecolor(DARK)
    x, y = arm.directions.T
    axes.scatter(x, y, c=arm.duties, s=1 + 11 * arm.duties, cmap="inferno", vmin=-0.15, vmax=1, linewidths=0)
    axes.add_patch(Circle((0, 0), arm.na, fill=False, color="#66ccee", linewidth=0.9))
    reach = 1.1 * float(np.abs(arm.directions).max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    _bare(axes)


def _draw_pupil(amplitude: Axes, phase: Axes, arm: ArmPicture) -> None:
    for axes in (amplitude, phase):
        axes.set_aspect("equal")
        _bare(axes)
    if not arm.pupil.size:
        for axes in (amplitude, phase):
            axes.add_patch(Circle((0, 0), arm.na, fill=False, color=MUTED))
            axes.set(xlim=(-1.25 * arm.na, 1.25 * arm.na), ylim=(-1.25 * arm.na, 1.25 * arm.na))
            axes.text(0, 0, "open", ha="center", va="center", color=MUTED)
        return
    outside = np.hypot(arm.axis_na[:, None], arm.axis_na[None, :]) > arm.na
    half = (arm.axis_na[1] - arm.axis_na[0]) / 2
    low, high = float(arm.axis_na[0] - half), float(arm.axis_na[-1] + half)
    extent = (low, high, low, high)
    shown = np.ma.masked_array(np.abs(arm.pupil), outside)
    first = amplitude.imshow(shown, cmap="viridis", vmin=0, vmax=1, origin="lower", extent=extent)
    # a constant phase is not seen by any camera
    mean = np.angle(arm.pupil[~outside].sum())
    turned = np.ma.masked_array(np.angle(arm.pupil * np.exp(-1j * mean)), outside)
    reach = max(0.1, float(np.abs(turned).max()))
    second = phase.imshow(turned, cmap="PuOr", vmin=-reach, vmax=reach, origin="lower", extent=extent)
    for axes, image, unit in ((amplitude, first, ""), (phase, second, " rad")):
        axes.set(xlim=(-1.25 * arm.na, 1.25 * arm.na), ylim=(-1.25 * arm.na, 1.25 * arm.na))
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
        bar.ax.tick_params(labelsize=6, length=2)
        bar.set_label(unit.strip(), fontsize=6)


def _draw_accuracy(axes: Axes, greys: Mapping[str, Any]) -> None:
    names = list(next(iter(greys.values()))["arms"])
    place = np.arange(len(names), dtype=float)[::-1]
    for k, (grey, table) in enumerate(greys.items()):
        found = [table["arms"][name] for name in names]
        middle = np.array([100 * arm["accuracy"] for arm in found])
        ends = np.array([[100 * arm["low"], 100 * arm["high"]] for arm in found]).T
        spread = np.abs(ends - middle)
        axes.errorbar(
            middle,
            place + 0.12 - 0.24 * k,
            xerr=spread,
            fmt="os"[k % 2],
            color=COLOURS.get(grey, INK),
            capsize=2.5,
            label=f"grey levels: {grey}",
        )
    axes.set_yticks(place, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("accuracy in %, 95 % interval over seeds and patients", color=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="best")


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
