"""Figures from camera frames: one field under each light, the cells found, the most suspicious ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lsm.agent.results import CellFinding, FieldVisit, SlideRun
from lsm.devices import Frame
from lsm.diagnose._style import bare, embed_pixels, stretch
from lsm.figures import Embedded, embed_png, house_style
from lsm.stats import cell_posterior
from lsm.types import Image

FrameReader = Callable[[int], Frame]
Box = tuple[float, float, float, float]

BAR_UM = 50.0
THUMB_UM = 16.0
LABELLED = 6
LABEL_ABOVE = 0.05
BOX_PLAIN = "#12a37c"
BOX_SUSPECT = "#ff9d4d"


@dataclass(frozen=True)
class SuspectCell:
    """One card of the gallery: the cell, its probability on this slide, and itself under each light."""

    cell: CellFinding
    posterior: float
    order: int
    thumbs: tuple[tuple[str, Embedded | None], ...]


def posteriors(run: SlideRun, cells: Sequence[CellFinding]) -> list[float]:
    """Probability of infection at the slide's estimated prevalence."""
    scores = np.array([cell.p_infected for cell in cells], dtype=np.float64)
    return [float(value) for value in cell_posterior(scores, run.estimate.prevalence)]


def ranked(run: SlideRun) -> list[CellFinding]:
    """All cells, the most suspicious first."""
    return sorted(run.cells, key=lambda cell: (-cell.p_infected, cell.field, cell.x_um, cell.y_um))


def field_samples(run: SlideRun, frames: FrameReader, names: Sequence[str]) -> tuple[tuple[str, Embedded], ...]:
    """The field with the most captures, under each light it was captured with: (caption, image)."""
    if not run.visits:
        return ()
    order, visit = max(
        enumerate(run.visits, start=1), key=lambda item: (len(item[1].patterns), item[1].counts.get("red cell", 0))
    )
    return under_each_light(visit, order, frames, names, width_um=run.field_um[0])


def under_each_light(
    visit: FieldVisit,
    order: int,
    frames: FrameReader,
    names: Sequence[str],
    *,
    width_um: float,
    marked: Sequence[tuple[str, Box]] = (),
) -> tuple[tuple[str, Embedded], ...]:
    """One field under each of its lights, as it was captured last: (caption, image). width_um: of the field.

    marked: cells to be boxed, with their labels.
    """
    taken = dict(zip(visit.patterns, visit.captures, strict=True))
    return tuple(
        (
            names[pattern],
            _sample(frames(taken[pattern]), f"field {order} under {names[pattern]}", width_um=width_um, marked=marked),
        )
        for pattern in sorted(taken)
    )


def cells_on_frame(run: SlideRun, frames: FrameReader, names: Sequence[str]) -> Embedded | None:
    """The field that holds the most suspicion, every red cell boxed; the likeliest carry their probability."""
    if not run.cells:
        return None
    suspicion = np.bincount([cell.field for cell in run.cells], posteriors(run, run.cells))
    index = int(suspicion.argmax())
    visit = run.visits[index]
    cells = [cell for cell in ranked(run) if cell.field == index]
    chances = posteriors(run, cells)
    with house_style():
        figure, axes, image = _canvas(frames(visit.captures[0]), inches=5.6)
        for place, (cell, chance) in reversed(list(enumerate(zip(cells, chances, strict=True)))):
            _box(axes, cell, chance, labelled=place < LABELLED and chance >= LABEL_ABOVE)
        _scale_bar(axes, image, run.field_um[0])
    boxed = sum(chance >= LABEL_ABOVE for chance in chances)
    return embed_png(
        figure,
        f"Field {index + 1} under {names[visit.patterns[0]]}: {len(cells)} red cells boxed, {boxed} of them infected "
        f"with a probability of at least {LABEL_ABOVE:.0%}.",
    )


def gallery(run: SlideRun, frames: FrameReader, names: Sequence[str], *, size: int) -> tuple[SuspectCell, ...]:
    """The `size` most suspicious cells with a thumbnail under each light of the codebook."""
    cells = ranked(run)[:size]
    return tuple(
        SuspectCell(cell, chance, order, _thumbs(cell, run, frames, names, order))
        for order, (cell, chance) in enumerate(zip(cells, posteriors(run, cells), strict=True), start=1)
    )


def _thumbs(
    cell: CellFinding, run: SlideRun, frames: FrameReader, names: Sequence[str], order: int
) -> tuple[tuple[str, Embedded | None], ...]:
    visit = run.visits[cell.field]
    taken = dict(zip(visit.patterns, visit.captures, strict=True))
    return tuple(
        (name, _thumb(frames(taken[index]).image, cell, run, f"cell {order} under {name}") if index in taken else None)
        for index, name in enumerate(names)
    )


def _thumb(image: Image, cell: CellFinding, run: SlideRun, alt: str) -> Embedded:
    return embed_pixels(cell_crop(image, cell.box_px, width_um=run.field_um[0]), alt, enlarge=6)


def cell_crop(image: Image, box_px: Box, *, width_um: float) -> UInt8[np.ndarray, "crop_y crop_x"]:
    """THUMB_UM around the middle of a box, edges repeated, contrast stretched. width_um: of the whole image."""
    side = max(8, round(THUMB_UM * image.shape[1] / width_um))
    x0, y0, x1, y1 = box_px
    padded = np.pad(image, side, mode="edge")
    row = int(np.clip(round((y0 + y1) / 2), 0, image.shape[0])) + side - side // 2
    column = int(np.clip(round((x0 + x1) / 2), 0, image.shape[1])) + side - side // 2
    return stretch(padded[row : row + side, column : column + side])


def _sample(frame: Frame, alt: str, *, width_um: float, marked: Sequence[tuple[str, Box]] = ()) -> Embedded:
    with house_style():
        figure, axes, image = _canvas(frame, inches=3.0)
        for label, (x0, y0, x1, y1) in marked:
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=BOX_SUSPECT, linewidth=1.4))
            _label(axes, x0, y0, label, size=7)
        _scale_bar(axes, image, width_um)
    boxed = f" Boxed: cells {', '.join(label for label, _ in marked)} of the list." if marked else ""
    return embed_png(figure, f"Camera frame, {alt}, contrast stretched.{boxed}")


def _canvas(frame: Frame, *, inches: float) -> tuple[Figure, Axes, Image]:
    image = frame.image
    rows, columns = image.shape
    figure = Figure(figsize=(inches, inches * rows / columns))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    bare(axes)
    axes.imshow(stretch(image), cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    return figure, axes, image


def _scale_bar(axes: Axes, image: Image, width_um: float) -> None:
    rows, columns = image.shape
    length = BAR_UM * columns / width_um
    left, top = columns * 0.03, rows * 0.885
    corner = (left, top)
    axes.add_patch(Rectangle(corner, length * 1.16, rows * 0.085, facecolor="black", alpha=0.6, linewidth=0))
    middle, line = left + 0.58 * length, top + rows * 0.065
    axes.plot(
        [middle - length / 2, middle + length / 2], [line, line], color="white", linewidth=2, solid_capstyle="butt"
    )
    axes.text(middle, top + rows * 0.052, f"{BAR_UM:g} µm", color="white", ha="center", va="bottom", fontsize=8)


def _box(axes: Axes, cell: CellFinding, chance: float, *, labelled: bool) -> None:
    x0, y0, x1, y1 = cell.box_px
    suspect = chance >= LABEL_ABOVE
    colour, width = (BOX_SUSPECT, 2.0) if suspect else (BOX_PLAIN, 1.1)
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=width))
    if labelled:
        _label(axes, x0, y0, f"{chance:.0%}", size=8)


def _label(axes: Axes, x_px: float, y_px: float, words: str, *, size: float) -> None:
    """Words above the corner of a box."""
    axes.text(
        x_px,
        y_px - 1.5,
        words,
        color="black",
        fontsize=size,
        fontweight="bold",
        va="bottom",
        ha="left",
        clip_on=True,
        bbox={"facecolor": BOX_SUSPECT, "edgecolor": "none", "pad": 1.0},
    )
