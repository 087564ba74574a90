"""Confusion, ROC and counts as panels of a figure, or together as one PNG."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.figures import FAINT, INK, MUTED
from lsm.vision.classify.scores import ClassScores

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222255", "#999933", "#882255", "#44aa99")
"""Told apart by the colour-blind; from the eleventh line on they return, dashed."""
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
_DPI = 150
_NAMED_MOST = 16
"""Classes up to which every cell of a confusion matrix has its number, and every curve its name."""


def confusion_panel(axes: Axes, scores: ClassScores, *, title: str = "") -> None:
    """Shares of each label's crops by the name they got; a row adds up to 1. Classes without crops stay white."""
    names = [each.name for each in scores.classes]
    counts = np.array(scores.confusion, dtype=np.float64)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    labels = [f"{name} ({each.crops})" for name, each in zip(names, scores.classes, strict=True)]
    axes.set_yticks(range(len(names)), labels)
    steep = len(names) > 3 or max(map(len, names)) > 12
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if steep else {}
    axes.set_xticks(range(len(names)), names, **turned)
    axes.set(xlabel="named", ylabel="labelled (crops)", title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(names) > _NAMED_MOST:
        return
    size = 8.5 if len(names) < 6 else 6.2
    for row, column in np.ndindex(*share.shape):
        # two digits; a share of nothing would only distract
        if share[row, column] >= 0.005:
            colour = "white" if share[row, column] > 0.55 else INK
            text = f"{share[row, column]:.2f}".removeprefix("0") if len(names) >= 6 else f"{share[row, column]:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def roc_panel(axes: Axes, scores: ClassScores, *, title: str = "") -> None:
    """A curve for each class against all others, and the area under it; one curve alone where there are two classes."""
    shown = scores.classes[1:] if len(scores.classes) == 2 else scores.classes
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=0)
    for number, each in enumerate(shown):
        if each.roc is None or each.auc is None or each.auc_low is None or each.auc_high is None:
            continue
        text = f"{each.name} {each.auc:.3f} ({each.auc_low:.3f} to {each.auc_high:.3f})"
        axes.plot(
            each.roc.false_positive_rate,
            each.roc.true_positive_rate,
            color=COLOURS[number % len(COLOURS)],
            linestyle=("-", "--")[number // len(COLOURS) % 2],
            linewidth=1.4,
            label=text,
        )
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal", title=title)
    axes.set(xlabel="others called so", ylabel="crops of the class found")
    areas = [each.auc for each in shown if each.auc is not None]
    if len(areas) > _NAMED_MOST:
        axes.text(0.97, 0.03, f"{len(areas)} classes: {min(areas):.3f} to {max(areas):.3f}", ha="right", fontsize=7)
    elif areas:
        # many names would cover the curves
        beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)} if len(areas) > 6 else {}
        heading = "area under the curve, 95 % interval"
        axes.legend(**{"loc": "lower right", "fontsize": 7, "title": heading, "title_fontsize": 7} | beside)


def count_panel(
    axes: Axes, found: Float[np.ndarray, " crop"], labelled: Float[np.ndarray, " crop"], *, title: str = ""
) -> None:
    """Each crop's count against its label; the line is where both are the same."""
    most = max(float(labelled.max(initial=0)), float(found.max(initial=0)), 1.0) * 1.04
    axes.plot([0, most], [0, most], color=FAINT, linewidth=1, zorder=0)
    axes.plot(
        labelled, found, linestyle="none", marker="o", markersize=3, markeredgewidth=0, alpha=0.4, color=COLOURS[0]
    )
    axes.set(xlim=(-0.02 * most, most), ylim=(-0.02 * most, most), aspect="equal", title=title)
    axes.set(xlabel="objects labelled", ylabel="objects found")


def draw_scores(
    path: Path,
    named: ClassScores | None = None,
    counts: tuple[Float[np.ndarray, " crop"], Float[np.ndarray, " other"]] | None = None,
    *,
    title: str = "",
) -> None:
    """Write confusion and ROC of the classes, and counts as (found, labelled), as one PNG."""
    wide = [1.0] * (2 * (named is not None) + (counts is not None))
    with mpl.rc_context(STYLE):
        side = 4.0 if named is None or len(named.classes) < 8 else 5.2
        figure = Figure(figsize=(side * max(1, len(wide)) + 0.6, side), layout="constrained")
        panels = list(figure.subplots(1, max(1, len(wide)), squeeze=False)[0])
        if named is not None:
            confusion_panel(panels.pop(0), named, title=title)
            roc_panel(panels.pop(0), named)
        if counts is not None:
            count_panel(panels.pop(0), *counts, title="" if named is not None else title)
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})
