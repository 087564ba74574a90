"""One cell's run as a strip: decision after decision what was chosen, lit, seen and believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from lsm.agent.adaptive.render import DARK_COLOUR, HEALTHY_COLOUR, INFECTED_COLOUR, LIT_COLOUR
from lsm.agent.adaptive.run import CellDecision, CellLook
from lsm.figures import FAINT, INK, MUTED, figure_png, house_style
from lsm.illum import LEVELS

COLUMN_IN: Final = 1.35
NAMES_IN: Final = 1.75
MARGIN_IN: Final = 0.2
HEIGHTS_IN: Final = (1.55, 1.25, 1.25, 1.35)
HEAD_IN, FOOT_IN, BETWEEN_IN = 0.86, 0.34, 0.3
LEAST_COLUMNS: Final = 4
"""Room for the title."""

NAME_LETTERS: Final = 16
"""Of a light above its column."""

UNLIT_COLOUR: Final = "#dfe5ea"

OTHER_COLOUR: Final = "#b4bec8"
COLOURS: Final = {"infected": INFECTED_COLOUR, "healthy": HEALTHY_COLOUR}


@dataclass(frozen=True, eq=False)
class Strip:
    """What is drawn of one cell.

    kinds: names of the actions. places_mm: of every lamp. declared: empty where nothing was. belief: at the end.
    note: said beside the title, such as why a run was stopped.
    """

    title: str
    kinds: tuple[str, ...]
    places_mm: Float[np.ndarray, "lamp 2"]
    decisions: Sequence[CellDecision]
    declared: str
    belief: float
    note: str = ""


def draw_strip(strip: Strip) -> Figure:
    """The strip; its width grows with the number of decisions."""
    columns = max(LEAST_COLUMNS, len(strip.decisions))
    width_in = NAMES_IN + columns * COLUMN_IN + MARGIN_IN
    height_in = HEAD_IN + sum(HEIGHTS_IN) + BETWEEN_IN * (len(HEIGHTS_IN) - 1) + FOOT_IN
    with house_style():
        figure = Figure(figsize=(width_in, height_in))
        FigureCanvasAgg(figure)
        grid = GridSpec(
            len(HEIGHTS_IN),
            columns,
            figure=figure,
            left=NAMES_IN / width_in,
            right=1 - MARGIN_IN / width_in,
            top=1 - HEAD_IN / height_in,
            bottom=FOOT_IN / height_in,
            height_ratios=HEIGHTS_IN,
            hspace=BETWEEN_IN / (sum(HEIGHTS_IN) / len(HEIGHTS_IN)),
            wspace=0.14,
        )
        _head(figure, strip, width_in, height_in)
        for column, decision in enumerate(strip.decisions):
            axes = [figure.add_subplot(grid[row, column]) for row in range(3)]
            _choice(axes[0], strip, decision, first=column == 0)
            _light(axes[1], strip, decision, first=column == 0)
            _seen(axes[2], decision, first=column == 0)
        shown = max(1, len(strip.decisions))
        _belief(figure.add_subplot(grid[3, :shown]), strip, shown)
    return figure


def strip_png(strip: Strip) -> bytes:
    """The strip as PNG; the same strip gives the same bytes."""
    return figure_png(draw_strip(strip))


def _head(figure: Figure, strip: Strip, width_in: float, height_in: float) -> None:
    left, top = MARGIN_IN / width_in, 1 - 0.1 / height_in
    figure.text(left, top, strip.title, fontsize=11.5, fontweight="bold", va="top")
    last = strip.decisions[-1] if strip.decisions else None
    spent = "nothing captured" if last is None or not last.captures else _spent(last)
    endings = {"": "nothing declared", "refer": "referred"}
    ending = endings.get(strip.declared, f"declared {strip.declared}")
    words = [ending, f"belief in infection {strip.belief:.2f}", spent, strip.note]
    figure.text(
        left, top - 0.24 / height_in, " · ".join(word for word in words if word), fontsize=9, color=MUTED, va="top"
    )


def _spent(last: CellDecision) -> str:
    captures = "1 capture" if last.captures == 1 else f"{last.captures} captures"
    return f"{captures}, {last.light_led_s:.3g} LED s, {last.time_s:.2g} s"


def _choice(axes: Axes, strip: Strip, decision: CellDecision, *, first: bool) -> None:
    """How likely each action was, the one taken in colour."""
    places = np.arange(len(strip.kinds))[::-1]
    chances = np.array(decision.probabilities)
    colours = [
        _colour_of(strip, decision, kind) if kind == decision.kind else OTHER_COLOUR for kind in range(len(chances))
    ]
    axes.barh(places, np.ones(len(chances)), color=DARK_COLOUR, height=0.72)
    axes.barh(places, chances, color=colours, height=0.72)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(chances) - 0.4)
    axes.set_xticks([])
    axes.set_yticks(places, strip.kinds if first else [], fontsize=6.5)
    axes.tick_params(length=0, pad=2)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(f"{decision.step + 1}  {_short(decision)}", fontsize=8.5, loc="left", pad=5)
    chosen = float(chances[decision.kind])
    axes.text(1.0, -0.02, f"p = {chosen:.2f}", transform=axes.transAxes, fontsize=7, color=MUTED, ha="right", va="top")


def _light(axes: Axes, strip: Strip, decision: CellDecision, *, first: bool) -> None:
    """The board as a round of lamps, as it was read back."""
    look = decision.look
    if look is None:
        _word(axes, strip, decision)
        return
    x, y = strip.places_mm.T
    # of the panel's inch and a quarter, so that neighbouring lamps just do not touch
    size = (72 * 0.8 * HEIGHTS_IN[1] / max(3.0, float(np.sqrt(len(x))))) ** 2
    axes.scatter(x, y, s=0.5 * size, c=UNLIT_COLOUR, linewidths=0)
    lit = look.levels > 0
    share = look.levels[lit] / LEVELS
    axes.scatter(x[lit], y[lit], s=size * (0.25 + 0.75 * share), c=LIT_COLOUR, linewidths=0)
    axes.set_aspect("equal")
    axes.margins(0.06)
    _bare(axes)
    _beside(axes, "lit", first=first)
    lamps = "1 LED" if int(lit.sum()) == 1 else f"{int(lit.sum())} LEDs"
    _under(axes, f"{lamps}, {look.exposure_ms:.3g} ms")


def _seen(axes: Axes, decision: CellDecision, *, first: bool) -> None:
    look = decision.look
    _bare(axes)
    if look is None:
        return
    axes.imshow(look.pixels, cmap="gray", origin="lower", interpolation="nearest")
    _beside(axes, "seen", first=first)
    _under(axes, _range(look))


def _range(look: CellLook) -> str:
    return f"{look.pixels.min()} to {look.pixels.max()} ADU"


def _word(axes: Axes, strip: Strip, decision: CellDecision) -> None:
    """In place of a light: what was declared, or that it was refused."""
    _bare(axes)
    colour = _colour_of(strip, decision, decision.kind) if decision.allowed else MUTED
    word = decision.name if decision.allowed else "refused"
    axes.text(
        0.5, 0.5, word, transform=axes.transAxes, ha="center", va="center", fontsize=13, fontweight="bold", color=colour
    )


def _belief(axes: Axes, strip: Strip, columns: int) -> None:
    """Belief before the first decision and after each, under the columns."""
    chances = np.array([decision.belief_after for decision in strip.decisions])
    begin = strip.decisions[0].belief_before if strip.decisions else strip.belief
    path = np.concatenate([[begin], chances])
    places = np.concatenate([[-0.5], np.arange(len(chances))])
    axes.axhspan(0.5, 1, color=INFECTED_COLOUR, alpha=0.05, linewidth=0)
    axes.axhspan(0, 0.5, color=HEALTHY_COLOUR, alpha=0.05, linewidth=0)
    axes.axhline(0.5, color=FAINT, linewidth=0.8)
    axes.plot(places, path, color=MUTED, linewidth=1.3, zorder=2)
    looked = [True, *(decision.look is not None for decision in strip.decisions)]
    for place, chance, saw in zip(places.tolist(), path.tolist(), looked, strict=True):
        colour = INFECTED_COLOUR if chance > 0.5 else HEALTHY_COLOUR if chance < 0.5 else MUTED
        inner = colour if saw else "white"
        dot = axes.scatter([place], [chance], s=34, c=inner, edgecolors=colour, linewidths=1.2, zorder=3)
        dot.set_clip_on(False)
        if place >= 0 and saw:
            above = chance < 0.85
            axes.annotate(
                f"{chance:.2f}",
                (place, chance),
                (0, 7 if above else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=7.5,
                color=INK,
            )
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1], ["healthy", "even", "infected"], fontsize=7.5)
    axes.set_xticks([])
    axes.set_xlabel("belief in infection, before and after each decision", fontsize=8, loc="left")


def _colour_of(strip: Strip, decision: CellDecision, kind: int) -> str:
    if decision.look is not None or not decision.allowed:
        return LIT_COLOUR
    return COLOURS.get(strip.kinds[kind], INK)


def _short(decision: CellDecision) -> str:
    return decision.name if len(decision.name) <= NAME_LETTERS else decision.name[: NAME_LETTERS - 1] + "…"


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _under(axes: Axes, words: str) -> None:
    axes.text(0.5, -0.04, words, transform=axes.transAxes, fontsize=7, color=MUTED, ha="center", va="top")


def _beside(axes: Axes, words: str, *, first: bool) -> None:
    if first:
        axes.text(-0.12, 0.5, words, transform=axes.transAxes, fontsize=9, color=MUTED, ha="right", va="center")
