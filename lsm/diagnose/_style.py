"""Colours of a diagnosis, and camera images as parts of its page."""

import io

import numpy as np
from jaxtyping import Real, UInt8
from matplotlib.axes import Axes
from PIL import Image

from lsm.figures import Embedded

PANEL_DARK = "#0e141a"
AGENT = "#0b6e4f"
OTHER = "#b3541e"
ALARM = "#c2410c"
LIGHT_GREEN = "#3ddc84"
PATTERN_COLOURS = ("#4477aa", "#ee9922", "#aa3377", "#228833", "#66ccee", "#bbbbbb", "#ccbb44", "#222255")


def embed_pixels(pixels: UInt8[np.ndarray, "y x"], alt: str, *, enlarge: int) -> Embedded:
    """A small grey image, smoothly enlarged."""
    image = Image.fromarray(pixels)
    image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return Embedded.of(buffer.getvalue(), "image/png", alt, image.width, image.height)


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
