"""One picture of the experiment: for each task what is confused, the ROC curves, and the counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.vision.classify import ClassScores
from lsm.vision.classify.picture import STYLE, confusion_panel, count_panel, roc_panel

_DPI = 130
_COLUMNS = 3
_LOW, _HIGH = 3.6, 5.0


@dataclass(frozen=True, eq=False)
class Shown:
    """What one task shows of one arm; counts (found, labelled)."""

    arm: str
    named: ClassScores | None
    counts: tuple[Float[np.ndarray, " crop"], Float[np.ndarray, " other"]] | None


def draw(tasks: Mapping[str, Shown], path: Path) -> None:
    """Write the picture as a PNG: a row for each task with classes; counts alone fill what is free."""
    named = {name: each for name, each in tasks.items() if each.named is not None}
    alone = [name for name in tasks if name not in named]
    heights = [_height(each) for each in named.values()]
    free = sum(_COLUMNS - 2 - (each.counts is not None) for each in named.values())
    heights += [_LOW] * -(-max(0, len(alone) - free) // _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.3 * _COLUMNS, sum(heights)), layout="constrained")
        grid = figure.subplots(len(heights), _COLUMNS, squeeze=False, height_ratios=heights)
        left: list[Axes] = []
        for row, (name, each) in zip(grid, named.items(), strict=False):
            left += _draw_classes(list(row), name, each)
        left += list(grid[len(named) :].flat)
        for name in alone:
            _draw_counts(left.pop(0), name, tasks[name])
        for panel in left:
            panel.set_axis_off()
        figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _height(each: Shown) -> float:
    return _HIGH if each.named is not None and len(each.named.classes) > 6 else _LOW


def _draw_classes(panels: list[Axes], name: str, each: Shown) -> list[Axes]:
    """Draws, and returns the panels that are left."""
    if each.named is not None:
        confusion_panel(panels.pop(0), each.named, title=f"{name}: {each.arm}")
        roc_panel(panels.pop(0), each.named)
    if each.counts is not None:
        _draw_counts(panels.pop(0), name, each)
    return panels


def _draw_counts(panel: Axes, name: str, each: Shown) -> None:
    if each.counts is not None:
        count_panel(panel, *each.counts, title=f"{name}: {each.arm}")
