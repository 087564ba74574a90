"""One look for cells as a picture: the frame, and which cell was looked at where."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lsm.agent.adaptive.recorded import CellRecord, RecordedCell, RecordedSearch
from lsm.agent.adaptive.render import HEALTHY_COLOUR, INFECTED_COLOUR, LIT_COLOUR
from lsm.figures import MUTED, figure_png, house_style

SIDE_IN: Final = 4.4
HEAD_IN, MARGIN_IN = 0.6, 0.15
GREY_QUANTILES: Final = (0.002, 0.998)
"""Of the pixels, shown black and white."""

COLOURS: Final = {"infected": INFECTED_COLOUR, "healthy": HEALTHY_COLOUR}


def draw_search(held: CellRecord, search: RecordedSearch) -> Figure:
    """The frame in which cells were looked for, each in a box as large as its own pixels, with its number if it was
    looked at; the colour says what was declared.
    """
    image = search.frame.image
    height_in = SIDE_IN * image.shape[0] / image.shape[1]
    width_in, total_in = SIDE_IN + 2 * MARGIN_IN, height_in + HEAD_IN + MARGIN_IN
    with house_style():
        figure = Figure(figsize=(width_in, total_in))
        FigureCanvasAgg(figure)
        _head(figure, search, total_in, width_in)
        axes = figure.add_axes((MARGIN_IN / width_in, MARGIN_IN / total_in, SIDE_IN / width_in, height_in / total_in))
        low, high = np.quantile(image, GREY_QUANTILES)
        axes.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
        axes.set_axis_off()
        cells = [cell for cell in held.cells if cell.of_search == search.number]
        for order, centre_px in enumerate(search.cells_px):
            _box(axes, centre_px, held.side_px, cells[order] if order < len(cells) else None)
    return figure


def search_png(held: CellRecord, search: RecordedSearch) -> bytes:
    """The picture as PNG; the same search gives the same bytes."""
    return figure_png(draw_search(held, search))


def told_of(search: RecordedSearch, cells: Sequence[RecordedCell]) -> str:
    """In words where was looked, under which light, and how many cells there were to look at."""
    x_um, y_um = search.frame.xy_um
    found = "1 cell" if len(search.cells_px) == 1 else f"{len(search.cells_px)} cells"
    looked = sum(cell.of_search == search.number for cell in cells)
    left = "" if looked == len(search.cells_px) else f", {looked} looked at"
    return (
        f"Place {search.number + 1} at ({x_um:.0f}, {y_um:.0f}) um: {found} found in '{search.light}'{left}; "
        f"{search.frame.exposure_ms:.3g} ms, {search.light_led_s:.3g} LED s"
    )


def _box(axes: Axes, centre_px: tuple[float, float], side_px: tuple[int, int], cell: RecordedCell | None) -> None:
    """The pixels of a cell that was found, with its number and in the colour of what was declared, if it was."""
    colour = LIT_COLOUR if cell is None else COLOURS.get(cell.declared, LIT_COLOUR)
    (row, column), (height, width) = centre_px, side_px
    corner = (column - width / 2, row - height / 2)
    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.3))
    if cell is not None:
        number, below = str(cell.number + 1), (0, -2)
        axes.annotate(number, corner, below, textcoords="offset points", color=colour, fontsize=8, va="top")


def _head(figure: Figure, search: RecordedSearch, total_in: float, width_in: float) -> None:
    left, top = MARGIN_IN / width_in, 1 - 0.1 / total_in
    x_um, y_um = search.frame.xy_um
    figure.text(left, top, f"Place {search.number + 1}: looked for cells", fontsize=11.5, fontweight="bold", va="top")
    lit = int((search.frame.shown.levels > 0).any(axis=1).sum())
    words = (
        f"({x_um:.0f}, {y_um:.0f}) um",
        f"{search.light}, {'1 LED' if lit == 1 else f'{lit} LEDs'}, {search.frame.exposure_ms:.3g} ms",
        f"{len(search.cells_px)} to look at",
    )
    figure.text(left, top - 0.25 / total_in, " · ".join(words), fontsize=8, color=MUTED, va="top")
