"""Colours and letters of drawn images, and how these become part of a page without a network."""

import io
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFont

from lsm.figures import Embedded

Rgb = tuple[int, int, int]

# Okabe and Ito's colours without black, the ones furthest apart in lightness first
PALETTE = ("#56b4e9", "#e69f00", "#cc79a7", "#f0e442", "#009e73", "#d55e00", "#0072b2")
IGNORED = "#b0b7be"
HIT, MISSED, FALSE, MISNAMED = "#56b4e9", "#f0e442", "#ff5a36", "#d78bd0"


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


def embed_picture(picture: UInt8[np.ndarray, "y x 3"], alt: str) -> Embedded:
    """A drawn image for a page, as JPEG: a page with twenty photographs in PNG would take 30 MB."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return Embedded.of(buffer.getvalue(), "image/jpeg", alt, picture.shape[1], picture.shape[0])
