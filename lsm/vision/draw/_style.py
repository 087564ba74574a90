"""Colours, letters and the ways pictures become part of a page without a network."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image, ImageFont

Rgb = tuple[int, int, int]

INK = "#1b2530"
MUTED = "#5c6874"
FAINT = "#d5dbe1"
# Okabe and Ito's colours without black, the ones furthest apart in lightness first
PALETTE = ("#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#009e73", "#d55e00", "#0072b2")
IGNORED = "#b0b7be"
HIT, MISSED, FALSE, MISNAMED = "#56b4e9", "#f0e442", "#ff5a36", "#d78bd0"
DPI = 170

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Embedded:
    """A picture as a data URI with the words for those who do not see it; size in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int


@contextmanager
def house_style() -> Iterator[None]:
    """Figures made inside have the house's look; nothing outside is changed."""
    with mpl.rc_context(STYLE):
        yield


@cache
def letters(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that pictures look the same on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size_px)


@cache
def rgb(colour: str) -> Rgb:
    """Red, green and blue of a colour written #rrggbb."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on this colour (relative luminance of WCAG 2)."""
    linear = [(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4) for v in (c / 255 for c in rgb(colour))]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # where both contrasts are equal: (L + 0.05)^2 = 1.05 * 0.05
    return "#000000" if luminance > 0.179 else "#ffffff"


def category_colour(category: int) -> tuple[str, bool]:
    """A category's colour, and whether its lines are dashed; colours repeat dashed beyond those of the palette."""
    return PALETTE[category % len(PALETTE)], (category // len(PALETTE)) % 2 == 1


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def embed_figure(figure: Figure, alt: str) -> Embedded:
    """A figure for a page."""
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    return Embedded(_uri(figure_png(figure), "image/png"), alt, width, height)


def embed_picture(picture: UInt8[np.ndarray, "y x 3"], alt: str) -> Embedded:
    """A drawn image for a page, as JPEG: a page with twenty photographs in PNG would take 30 MB."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return Embedded(_uri(buffer.getvalue(), "image/jpeg"), alt, picture.shape[1], picture.shape[0])


def _uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
