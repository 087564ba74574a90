"""Figures of the light: the patterns as asked for and as the board really showed them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from lsm.diagnose._style import LIGHT_GREEN, PANEL_DARK, bare
from lsm.figures import MUTED, Embedded, embed_svg, house_style
from lsm.illum import LedBoard, Pattern
from lsm.types import DutyLevels, PerLed


def pattern_panels(
    board: LedBoard,
    patterns: Sequence[Pattern],
    shown: Sequence[DutyLevels | None],
    *,
    na: float,
    exposures_ms: Sequence[float],
) -> tuple[Embedded, ...]:
    """One image per pattern: left the duties asked for, right the levels read back, in illumination NA."""
    return tuple(
        _panel(board, pattern, levels, na=na, exposure_ms=exposure_ms)
        for pattern, levels, exposure_ms in zip(patterns, shown, exposures_ms, strict=True)
    )


def agreement(pattern: Pattern, shown: DutyLevels | None) -> str:
    """One sentence on how the levels read back compare with those asked for."""
    if shown is None:
        return "not used in this run"
    difference = np.abs(shown.astype(np.int64) - pattern.levels.astype(np.int64))
    differing = int((difference > 0).sum())
    if differing == 0:
        return f"read back: all {difference.size} levels as asked"
    return f"read back: {differing} of {difference.size} levels differ, by up to {int(difference.max())} of 255"


def _panel(board: LedBoard, pattern: Pattern, shown: DutyLevels | None, *, na: float, exposure_ms: float) -> Embedded:
    asked = pattern.duty.max(axis=1)
    with house_style():
        figure = Figure(figsize=(4.6, 2.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        led_map(left, board, asked, na, "asked for")
        if shown is None:
            bare(right)
            right.text(0.5, 0.5, "not used", ha="center", va="center", color=MUTED)
        else:
            led_map(right, board, shown.max(axis=1) / 255, na, "shown by the board")
    lit = asked > 0
    return embed_svg(
        figure,
        f"LEDs of {pattern.name} in illumination NA: {int(lit.sum())} of {board.n_leds} lit, "
        f"{int((lit & (board.na <= na)).sum())} of them inside the objective's NA {na:g}, exposure {exposure_ms:g} ms; "
        f"{agreement(pattern, shown)}.",
    )


def led_map(axes: Axes, board: LedBoard, brightness: PerLed, na: float, title: str) -> None:
    """LEDs at their illumination NA, the lit ones by brightness."""
    bare(axes)
    x, y = -board.directions[:, 0], -board.directions[:, 1]
    reach = 1.1 * float(np.abs([x, y]).max())
    axes.set(xlim=(-reach, reach), ylim=(1.14 * reach, -reach), aspect="equal")
    axes.set_facecolor(PANEL_DARK)
    axes.patch.set_visible(True)
    axes.scatter(x, y, s=8, color="#2b3742", linewidths=0)
    lit = brightness > 0
    # Square root: dim LEDs stay visible beside full ones.
    axes.scatter(x[lit], y[lit], s=22, c=LIGHT_GREEN, alpha=np.sqrt(brightness[lit]), linewidths=0)
    axes.add_patch(Circle((0, 0), na, fill=False, edgecolor="white", linestyle=(0, (3, 2)), linewidth=0.9))
    axes.text(0, 1.1 * reach, f"dashed: objective NA {na:g}", color="#c9d6df", fontsize=7, ha="center", va="bottom")
    axes.set_title(title, fontweight="normal", color=MUTED)
