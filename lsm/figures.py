"""One look for all figures, and how they become part of a page without a network."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

INK = "#1b2530"
MUTED = "#5c6874"
FAINT = "#d5dbe1"
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
    "svg.hashsalt": "lsm",
}

DARK: dict[Any, Any] = STYLE | {
    "axes.titlecolor": "#e6edf2",
    "axes.labelcolor": "#9fb0bc",
    "axes.edgecolor": "#51626f",
    "axes.facecolor": "#0b0f12",
    "axes.prop_cycle": cycler(color=["#4fb3a5", "#ffd86b", "#8fd6ff"]),
    "xtick.color": "#9fb0bc",
    "ytick.color": "#9fb0bc",
    "text.color": "#e6edf2",
    "figure.facecolor": "#0b0f12",
    "savefig.facecolor": "#0b0f12",
}
"""For screens in dark rooms."""


@dataclass(frozen=True)
class Embedded:
    """A picture as a data URI with the words for those who do not see it; size in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int

    @classmethod
    def of(cls, content: bytes, mime: str, alt: str, width: int, height: int) -> "Embedded":
        """The picture of a file's bytes."""
        return cls(f"data:{mime};base64,{base64.b64encode(content).decode()}", alt, width, height)


@contextmanager
def house_style(*, dark: bool = False) -> Iterator[None]:
    """Figures made inside have the house's look; nothing outside is changed."""
    with mpl.rc_context(DARK if dark else STYLE):
        yield


def figure_png(figure: Figure, *, dark: bool = False) -> bytes:
    """A figure as PNG; the same figure gives the same bytes. dark: it was made in that style."""
    return _saved(figure, "png", {"Software": None}, dark=dark)


def embed_png(figure: Figure, alt: str) -> Embedded:
    """The figure as pixels, for those that hold images."""
    return Embedded.of(figure_png(figure), "image/png", alt, *_size(figure))


def embed_svg(figure: Figure, alt: str) -> Embedded:
    """The figure as vector graphics; text becomes outlines, so it looks the same everywhere."""
    return Embedded.of(_saved(figure, "svg", {"Date": None}), "image/svg+xml", alt, *_size(figure))


def _saved(figure: Figure, kind: Literal["png", "svg"], metadata: dict[str, None], *, dark: bool = False) -> bytes:
    buffer = io.BytesIO()
    with house_style(dark=dark):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def _size(figure: Figure) -> tuple[int, int]:
    width, height = (round(float(inches) * 96) for inches in figure.get_size_inches())
    return width, height
