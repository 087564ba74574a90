"""Pixels of image files as float32 [channel, y, x]."""

from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Float32, Num
from PIL import Image, UnidentifiedImageError

from lsm.errors import FileMissing, WrongFormat

_TIFF = frozenset({".tif", ".tiff"})
_MOST_CHANNELS_LAST = 4


def read_pixels(path: Path) -> Float32[np.ndarray, "channel y x"]:
    """All channels of a PNG, JPEG, BMP, TIFF or NPY file; 8 and 16 bits become 0..1, floats stay as they are.

    TIFF and NPY hold [y, x] or [channel, y, x]; [y, x, channel] is understood for up to four channels.
    Raises FileMissing, or WrongFormat for what is damaged, not finite or no image.
    """
    if not path.is_file():
        raise FileMissing(f"The image {path} does not exist.", hint="annotations name images beside or below them")
    try:
        if path.suffix.lower() in _TIFF:
            held = tifffile.imread(path)
        elif path.suffix.lower() == ".npy":
            held = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                held = _upright(image)
    except (UnidentifiedImageError, OSError, ValueError, tifffile.TiffFileError, SyntaxError) as error:
        raise WrongFormat(f"{path} cannot be read as an image: {error}.", hint="open it in a viewer") from error
    return as_channels(held, str(path))


def as_channels(held: Num[np.ndarray, "..."], name: str) -> Float32[np.ndarray, "channel y x"]:
    """[y, x] or [channel, y, x] of any number type as float32 [channel, y, x]; see `read_pixels`."""
    if held.ndim == 2:
        held = held[None]
    elif held.ndim == 3 and held.shape[2] <= _MOST_CHANNELS_LAST < min(held.shape[:2]):
        held = np.moveaxis(held, 2, 0)
    if held.ndim != 3 or 0 in held.shape:
        raise WrongFormat(
            f"{name} has the shape {held.shape}.", hint="an image is [y, x] or [channel, y, x] and not empty"
        )
    if np.issubdtype(held.dtype, np.unsignedinteger):
        return np.ascontiguousarray(held, dtype=np.float32) / np.float32(np.iinfo(held.dtype).max)
    if held.dtype == bool:
        return np.ascontiguousarray(held, dtype=np.float32)
    if not np.issubdtype(held.dtype, np.floating):
        raise WrongFormat(f"{name} holds {held.dtype}.", hint="store it as uint8, uint16 or float32")
    if not np.isfinite(held).all():
        raise WrongFormat(f"{name} has pixels that are not finite.", hint="replace NaN and infinity before")
    return np.ascontiguousarray(held, dtype=np.float32)


def _upright(image: Image.Image) -> Num[np.ndarray, "..."]:
    """Pixels in their own number of bits; palettes are resolved and transparency is dropped."""
    if image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "PA", "RGBX"):
        return np.asarray(image.convert("RGB"))
    if image.mode in ("LA", "La"):
        return np.asarray(image.convert("L"))
    held = np.asarray(image)
    # Pillow opens some 16-bit greys as 32-bit whole numbers
    return held.astype(np.uint16) if image.mode == "I" and held.min() >= 0 and held.max() <= 65535 else held
