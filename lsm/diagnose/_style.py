"""One look for all figures, and how they become part of a page without a network."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Real, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

INK = "#1b2530"
MUTED = "#5c6874"
FAINT = "#d5dbe1"
PANEL_DARK = "#0e141a"
AGENT = "#0b6e4f"
OTHER = "#b3541e"
ALARM = "#c2410c"
LIGHT_GREEN = "#3ddc84"
PATTERN_COLOURS = ("#4477aa", "#ee9922", "#aa3377", "#228833", "#66ccee", "#bbbbbb", "#ccbb44", "#222255")
PNG_DPI = 170

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
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
    "axes.titlecolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "lsm",
}


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI with the words for those who do not see it; size in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int


@contextmanager
def house_style() -> Iterator[None]:
    """Figures made inside have the house's look; nothing outside is changed."""
    with mpl.rc_context(STYLE):
        yield


def embed_svg(figure: Figure, alt: str) -> EmbeddedImage:
    """The figure as vector graphics; text becomes outlines, so it looks the same everywhere."""
    return _embed(figure, alt, "svg", "image/svg+xml")


def embed_png(figure: Figure, alt: str) -> EmbeddedImage:
    """The figure as pixels, for those that hold camera images."""
    return _embed(figure, alt, "png", "image/png")


def embed_pixels(pixels: UInt8[np.ndarray, "y x"], alt: str, *, enlarge: int) -> EmbeddedImage:
    """A small grey image, smoothly enlarged."""
    image = Image.fromarray(pixels)
    image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return EmbeddedImage(_uri(buffer, "image/png"), alt, image.width, image.height)


def stretch(image: Real[np.ndarray, "y x"], *, like: Real[np.ndarray, "y x"] | None = None) -> UInt8[np.ndarray, "y x"]:
    """Grey values 0..255 between the 0.5 and 99.5 percentile of `like`, or of the image itself."""
    low, high = np.percentile(image if like is None else like, [0.5, 99.5])
    scaled = (image - low) / max(float(high - low), 1.0)
    grey: UInt8[np.ndarray, "y x"] = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return grey


def bare(axes: Axes) -> None:
    """No ticks and no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _embed(figure: Figure, alt: str, kind: str, mime: str) -> EmbeddedImage:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with house_style():
        figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=metadata)
    width, height = figure.get_size_inches()
    return EmbeddedImage(_uri(buffer, mime), alt, round(float(width) * 96), round(float(height) * 96))


def _uri(buffer: io.BytesIO, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
