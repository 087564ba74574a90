"""The picture: how dark the darkest body of each field is, by the size of what spoils it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lsm.diagnose.scan.quality import Fault
from lsm.experiments.quality_limits.fields import SOUND
from lsm.experiments.tables import ACCENT, INK, LIGHT

Fields = Sequence[Mapping[str, Any]]

COLOURS = (LIGHT, INK, ACCENT, "#4d9078", "#cfa15a", "#7d5ba6")
SOUND_UM = (2.2, 3.8)
"""Sound fields have no size; they are drawn side by side left of all sizes."""


def draw_bodies(fields: Mapping[str, Fields], limit: float) -> Figure:
    """A panel for each model; limit: standard deviations above which a field is refused for its darkest body."""
    figure = Figure(figsize=(4.6 * len(fields) + 0.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(fields), sharey=True, squeeze=False)[0]
    for axes, (model, its) in zip(panels, fields.items(), strict=True):
        conditions = list(dict.fromkeys(field["condition"] for field in its))
        for name, colour in zip(conditions, COLOURS, strict=False):
            _points(axes, [field for field in its if field["condition"] == name], name, colour)
        axes.axhline(limit, color=INK, lw=0.8, ls="--")
        axes.set(xscale="log", xlabel="radius of the bubble or speck, µm")
        axes.set_yscale("symlog", linthresh=5)
        axes.set_xticks([float(np.sqrt(np.prod(SOUND_UM))), 6, 10, 20, 40, 100, 200])
        axes.set_xticklabels(["sound", "6", "10", "20", "40", "100", "200"], fontsize=8)
        axes.set_yticks([-5, 0, limit, 10, 20, 50], ["-5", "0", f"{limit:g}", "10", "20", "50"], fontsize=8)
        axes.minorticks_off()
        axes.set_title(model, fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("darkest long body, standard deviations above the usual")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, loc="outside lower center", ncols=len(labels))
    return figure


def _points(axes: Axes, fields: Fields, name: str, colour: str) -> None:
    """Filled: refused for the body. Ring: for something else. Cross: not refused."""
    spread = np.geomspace(*SOUND_UM, max(len(fields), 2))
    places = [spread[k] if name == SOUND else field["radius_um"] for k, field in enumerate(fields)]
    kinds: dict[str, list[tuple[float, float]]] = {"o": [], "$\\circ$": [], "x": []}
    for place, field in zip(places, fields, strict=True):
        mark = "x" if not field["fault"] else "o" if field["fault"] == Fault.BUBBLE else "$\\circ$"
        kinds[mark].append((place, field["off"]))
    for mark, points in kinds.items():
        if points:
            axes.plot(*zip(*points, strict=True), ls="", marker=mark, ms=4, color=colour, alpha=0.7)
    axes.plot([], [], ls="", marker="o", ms=5, color=colour, label=name)
