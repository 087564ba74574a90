"""A designed light drawn on its board, capture by capture, with what samples look like under it."""

import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Real, UInt8
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.spatial import cKDTree

from lsm.errors import WrongFormat
from lsm.figures import DPI, INK, MUTED
from lsm.illum import LedBoard

__all__ = ["draw_light", "light_pixels", "save_picture"]

PANEL, SOCKET = "#0e141a", "#1c2731"
ONE_COLOUR = "#ffe08a"
# apart in lightness as well as in hue, and each in a corner of its own: readable without seeing hues
CHANNELS = {1: ("light",), 3: ("red", "green", "blue")}
CHANNEL_HUES = {1: (ONE_COLOUR,), 3: ("#ff6f52", "#a8f0b0", "#4aa3ff")}
CORNERS = {1: ((0.0, 0.0),), 3: ((-0.23, -0.13), (0.23, -0.13), (0.0, 0.25))}
LARGEST = {1: 0.96, 3: 0.48}
"""Diameter of full drive, in distances between neighbouring LEDs."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

LETTER_IN, LINE_IN = 0.068, 0.15
"""Width of a bold letter of a heading, and height of its lines, in inches."""


@dataclass(frozen=True)
class _Layout:
    """Places of the panels; lengths in inches, so that words keep their size whatever the number of captures."""

    captures: int
    samples: int
    title: bool
    colours: int
    lines: int = 1
    """Of the longest heading of a panel."""

    @property
    def letters(self) -> int:
        """That fit into one line above a panel."""
        return int(self._side / LETTER_IN)

    @property
    def _side(self) -> float:
        return min(2.05, 14.0 / self.captures)

    @property
    def size_in(self) -> tuple[float, float]:
        width = 0.4 + self.captures * (self._side + 0.12)
        return max(width, 5.0), self._above + (1 + self.samples) * (self._side + 0.1) + 0.3 + self._below

    @property
    def left(self) -> float:
        return 0.32 / self.size_in[0]

    @property
    def _above(self) -> float:
        return (0.85 if self.title else 0.5) + LINE_IN * (self.lines - 1)

    @property
    def _below(self) -> float:
        return 0.28 + 0.16 * (self.colours > 1)

    def panel(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height as fractions of the figure; row 0 are the boards."""
        width, height = self.size_in
        ticks = 0.3 if row else 0.0
        top = self._above + row * (self._side + 0.1) + ticks
        left = 0.32 + column * (self._side + 0.12)
        return left / width, 1 - (top + self._side) / height, self._side / width, self._side / height


def draw_light(
    board: LedBoard,
    duties: Float[np.ndarray, "capture led"] | Float[np.ndarray, "capture led colour"],
    na: float,
    images: Mapping[str, Real[np.ndarray, "image ..."]] | None = None,
    names: Sequence[str] = (),
    *,
    exposures_ms: Sequence[float] | None = None,
    signs: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """A figure with one panel per capture: LEDs at their illumination NA, row 0 of the sample at the top.

    The area of a dot and its brightness tell the duty, 0..1. With three colours each has its corner of the LED,
    red top left, green top right, blue below; duties [capture, led] are drawn in one colour. The dashed circle is the
    objective's `na`.
    images: by name of the sample, one image [y, x] per capture (or colour image [y, x, 3] of values 0..1), drawn
    under the panels; grey images of one capture share their scale.
    names: of the captures. signs: captures of -1 are marked as subtracted.
    Raises WrongFormat for duties, names or images that do not belong together.
    """
    lit = duties[..., None] if duties.ndim == 2 else duties
    samples = dict(images or {})
    _check(board, lit, samples, names, exposures_ms, signs)
    used = [0, 1, 2] if lit.shape[2] == 3 and _colours_used(lit) > 1 else [int(lit.sum(axis=(0, 1)).argmax())]
    layout = _Layout(len(lit), len(samples), title=bool(title), colours=len(used))
    headings = [
        textwrap.fill(_minus(signs, number) + (names[number] if names else f"capture {number}"), layout.letters)
        for number in range(len(lit))
    ]
    layout = replace(layout, lines=max(heading.count("\n") + 1 for heading in headings))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=layout.size_in)
        for number in range(len(lit)):
            axes = figure.add_axes(layout.panel(0, number))
            _board_panel(axes, board, lit[number][:, used], na, first=number == 0)
            _heading(axes, headings[number], _told(lit[number], exposures_ms, number))
            for row, (name, stack) in enumerate(samples.items(), start=1):
                below = figure.add_axes(layout.panel(row, number))
                _sample_panel(below, stack[number], [other[number] for other in samples.values()])
                if number == 0:
                    below.set_ylabel(name, color=INK, fontsize=8.5, labelpad=5)
        _legend(figure, layout, na, len(used))
        if title:
            figure.text(layout.left, 1 - 0.22 / layout.size_in[1], title, fontsize=10.5, fontweight="bold", va="center")
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, complete before it takes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with mpl.rc_context(STYLE):
            # no software version inside: the same figure gives the same bytes
            figure.savefig(part, format="png", dpi=DPI, metadata={"Software": None})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def light_pixels(figure: Figure, *, dpi: int = 80) -> UInt8[np.ndarray, "y x 3"]:
    """The figure as pixels."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="rgba", dpi=dpi)
    width, height = (round(side * dpi) for side in figure.get_size_inches())
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    # a fraction of a pixel may be rounded either way
    rows = len(pixels) // 4 // width if len(pixels) % (4 * width) == 0 else height
    image: UInt8[np.ndarray, "y x 3"] = pixels.reshape(rows, -1, 4)[..., :3].copy()
    return image


def _check(
    board: LedBoard,
    lit: Float[np.ndarray, "capture led colour"],
    samples: Mapping[str, np.ndarray],
    names: Sequence[str],
    *others: Sequence[float] | None,
) -> None:
    count = len(lit)
    if count == 0 or lit.shape[1] != board.n_leds or lit.shape[2] not in CHANNELS:
        raise WrongFormat(
            f"Duties of shape {lit.shape} are no light of board '{board.name}' with {board.n_leds} LEDs.",
            hint="give [capture, led], or [capture, led, colour] with three colours",
        )
    if not (np.isfinite(lit).all() and lit.min() >= 0 and lit.max() <= 1):
        raise WrongFormat(
            f"Duties from {lit.min():g} to {lit.max():g} cannot be drawn.",
            hint="duty is 0..1; draw a signed pattern as two captures with signs",
        )
    for what in (names, *others):
        if what and len(what) != count:
            raise WrongFormat(f"{len(what)} names, exposures or signs for {count} captures.", hint="give one for each")
    for name, stack in samples.items():
        if len(stack) != count or stack[0].ndim not in (2, 3):
            raise WrongFormat(
                f"The images '{name}' of shape {stack.shape} do not belong to {count} captures.",
                hint="give one image [y, x] per capture",
            )


def _colours_used(lit: Float[np.ndarray, "capture led colour"]) -> int:
    return int((lit.sum(axis=(0, 1)) > 0).sum())


def _told(lit: Float[np.ndarray, "led colour"], exposures_ms: Sequence[float] | None, number: int) -> str:
    leds = int((lit > 0).any(axis=1).sum())
    text = "1 LED" if leds == 1 else f"{leds} LEDs"
    return text if exposures_ms is None else f"{text}, {exposures_ms[number]:.3g} ms"


def _minus(signs: Sequence[int] | None, number: int) -> str:
    return "\N{MINUS SIGN} " if signs is not None and signs[number] < 0 else ""


def _heading(axes: Axes, name: str, told: str) -> None:
    place: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(name, xytext=(0, 15), fontsize=8.5, fontweight="bold", **place)
    axes.annotate(told, xytext=(0, 4), fontsize=7.5, color=MUTED, **place)


def _board_panel(axes: Axes, board: LedBoard, lit: Float[np.ndarray, "led colour"], na: float, *, first: bool) -> None:
    # an LED's place is where its light comes from
    places = -board.directions[:, :2]
    spacing = _spacing(places)
    reach = float(np.abs(places).max()) + 0.9 * spacing
    reach = max(reach, 1.15 * na)
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axes.set_facecolor(PANEL)
    _bare(axes)
    _dots(axes, places, np.full(len(places), 0.96 * spacing), [(*to_rgb(SOCKET), 1.0)] * len(places))
    hues, kind = CHANNEL_HUES[lit.shape[1]], lit.shape[1]
    for channel in range(kind):
        duty = lit[:, channel]
        on = duty > 0
        at = places[on] + spacing * np.array(CORNERS[kind][channel])
        diameters = LARGEST[kind] * spacing * np.sqrt(duty[on])
        _dots(axes, at, diameters, [(*_dimmed(hues[channel], float(value)), 1.0) for value in duty[on]])
    # dark below white: seen on lit LEDs as well as beside them
    for colour, style, width in ((PANEL, "solid", 2.0), ("white", (0, (3, 2)), 0.9)):
        axes.add_patch(Circle((0, 0), na, fill=False, edgecolor=colour, linestyle=style, linewidth=width))
    if first:
        tick = _round_tick(reach)
        axes.set_xticks([-tick, 0, tick], [f"\N{MINUS SIGN}{tick:g}", "0", f"{tick:g}"], fontsize=6.5)
        axes.tick_params(length=2, pad=1.5)
        axes.set_xlabel("illumination NA", fontsize=6.5, labelpad=1)


def _sample_panel(axes: Axes, image: np.ndarray, shared: Sequence[np.ndarray]) -> None:
    _bare(axes)
    if image.ndim == 3:
        axes.imshow(np.clip(image, 0, 1), interpolation="nearest")
        return
    values = np.concatenate([np.asarray(other, dtype=np.float64).ravel() for other in shared if other.ndim == 2])
    low, high = np.percentile(values, [0.5, 99.5])
    axes.imshow(image, cmap="gray", vmin=low, vmax=high if high > low else low + 1, interpolation="nearest")


def _legend(figure: Figure, layout: _Layout, na: float, colours: int) -> None:
    lines = [f"Area and brightness of a dot: duty, up to the whole LED. Dashed: objective, NA {na:.2f}."]
    if colours > 1:
        lines.append("In each LED: red top left, green top right, blue below.")
    for number, line in enumerate(reversed(lines)):
        figure.text(layout.left, (0.1 + 0.16 * number) / layout.size_in[1], line, fontsize=7, color=MUTED)


def _dots(axes: Axes, at: np.ndarray, diameters: np.ndarray, colours: Sequence[tuple[float, ...]]) -> None:
    axes.add_collection(
        EllipseCollection(
            diameters,
            diameters,
            np.zeros(len(diameters)),
            units="xy",
            offsets=at,
            offset_transform=axes.transData,
            facecolors=colours,
            linewidths=0,
        )
    )


def _dimmed(hue: str, duty: float) -> tuple[float, float, float]:
    share = 0.45 + 0.55 * np.sqrt(duty)
    red, green, blue = (dark + (bright - dark) * share for dark, bright in zip(to_rgb(PANEL), to_rgb(hue), strict=True))
    return float(red), float(green), float(blue)


def _spacing(places: Float[np.ndarray, "led 2"]) -> float:
    """Distance between neighbouring LEDs where they stand closest."""
    if len(places) < 2:
        return 0.1
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    return max(float(np.percentile(nearest, 10)), 1e-3)


def _round_tick(reach: float) -> float:
    return next((tick for tick in (0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05) if tick <= 0.9 * reach), 0.02)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
