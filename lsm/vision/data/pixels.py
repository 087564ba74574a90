"""Pixels of image files as float32 [channel, y, x]."""

import io
import struct
import tokenize
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import numpy as np
import tifffile
from jaxtyping import Float32, Shaped
from PIL import ExifTags, Image, ImageSequence

from lsm.errors import FileMissing, WrongFormat

IMAGE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy"})

Stored = Shaped[np.ndarray, "..."]
"""Pixels in the numbers of their file, and in the order of axes of TIFF and NPY files; else with channels first."""

_TIFF = frozenset({".tif", ".tiff"})
_MOST_CHANNELS_LAST = 4
_WIDE = 4
"""An image whose last axis is this often smaller than both others would be a strip with more channels than columns."""
_MOST_SAMPLES = 2**31
"""A header that promises more is damaged, or the image would not fit in memory as float32."""

_UNPACKED = frozenset({tifffile.COMPRESSION.NONE, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE})
"""What tifffile unpacks by itself; Pillow knows LZW and others."""

_TURNS: Final[Mapping[object, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's number of its orientation."""

_ON_ITS_SIDE: Final = frozenset(_TURNS[number] for number in (5, 6, 7, 8))

# what Pillow, tifffile and NumPy let through when a file is cut off or has wrong bytes, found with damaged files
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tifffile.TiffFileError,
    tokenize.TokenError,
    zlib.error,
)


def read_pixels(path: Path) -> Float32[np.ndarray, "channel y x"]:
    """All channels of a PNG, JPEG, BMP, TIFF or NPY file; 8 and 16 bits become 0..1, floats stay as they are.

    PNG and JPEG are turned as their EXIF says, as viewers show them. TIFF and NPY hold [y, x] or [channel, y, x];
    [y, x, channel] is understood for up to four channels, and refused by name for more where the shape shows it.
    Raises FileMissing, or WrongFormat for what is damaged, not finite or no image.
    """
    return as_channels(read_stored(path), str(path))


def read_stored(path: Path, *, palette: bool = True) -> Stored:
    """An image file's pixels in its own numbers; see `read_pixels`.

    palette: give colours for the numbers of a palette, rather than the numbers.
    """
    shape = read_shape(path)
    if int(np.prod(shape, dtype=object)) > _MOST_SAMPLES:
        raise WrongFormat(f"{path} says it has {shape} pixels.", hint="it is damaged, or must be cut into pieces")
    with _damage_is_told(str(path)):
        if path.suffix.lower() == ".npy":
            return _numbers(path)
        if path.suffix.lower() in _TIFF:
            with tifffile.TiffFile(path) as file:
                if file.pages.first.compression in _UNPACKED:
                    return np.asarray(file.asarray())
            return _pages(path)
        with Image.open(path) as image:
            return _upright(_turned(image), palette=palette)


def decode_stored(data: bytes, name: str) -> Stored:
    """The pixels of a PNG, JPEG or BMP held in memory, in its own numbers. Raises WrongFormat."""
    with _damage_is_told(name), Image.open(io.BytesIO(data)) as image:
        return _upright(_turned(image), palette=True)


def read_shape(path: Path) -> tuple[int, int, int]:
    """Channels, height and width that the header of an image file promises; its pixels may still be damaged.

    Raises FileMissing, or WrongFormat for what is no image.
    """
    if not path.is_file():
        raise FileMissing(f"The image {path} does not exist.", hint="annotations name images beside or below them")
    with _damage_is_told(str(path)):
        if path.suffix.lower() == ".npy":
            shape = _numbers(path, mmap_mode="r").shape
        elif path.suffix.lower() in _TIFF:
            with tifffile.TiffFile(path) as file:
                shape = file.series[0].shape
        else:
            with Image.open(path) as image:
                channels = 1 if image.mode[0] in "1LIF" else 3
                sides = (image.width, image.height) if _turn(image) in _ON_ITS_SIDE else (image.height, image.width)
                shape = (channels, *sides)
    return _channels_first(tuple(int(side) for side in shape), str(path))


def as_channels(held: Stored, name: str) -> Float32[np.ndarray, "channel y x"]:
    """[y, x] or [channel, y, x] of any number type as float32 [channel, y, x]; see `read_pixels`."""
    shape = _channels_first(held.shape, name)
    held = np.moveaxis(held, 2, 0) if held.ndim == 3 and held.shape != shape else held.reshape(shape)
    if np.issubdtype(held.dtype, np.unsignedinteger):
        return np.ascontiguousarray(held, dtype=np.float32) / np.float32(np.iinfo(held.dtype).max)
    if held.dtype == bool:
        return np.ascontiguousarray(held, dtype=np.float32)
    if not np.issubdtype(held.dtype, np.floating):
        raise WrongFormat(f"{name} holds {held.dtype}.", hint="store it as uint8, uint16 or float32")
    if not np.isfinite(held).all() or np.abs(held).max() > np.finfo(np.float32).max:
        raise WrongFormat(f"{name} has pixels that are not finite.", hint="replace NaN and infinity before")
    return np.ascontiguousarray(held, dtype=np.float32)


def _channels_first(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    if len(shape) == 2:
        shape = (1, *shape)
    elif len(shape) == 3 and shape[2] <= _MOST_CHANNELS_LAST < min(shape[:2]):
        shape = (shape[2], *shape[:2])
    if len(shape) != 3 or 0 in shape:
        raise WrongFormat(f"{name} has the shape {shape}.", hint="an image is [y, x] or [channel, y, x] and not empty")
    if _WIDE * shape[2] <= min(shape[:2]) and shape[2] > _MOST_CHANNELS_LAST:
        raise WrongFormat(
            f"{name} has the shape {shape}, which seems to be [y, x, channel].",
            hint="store it as [channel, y, x]: numpy.moveaxis(pixels, 2, 0)",
        )
    return shape[0], shape[1], shape[2]


def _numbers(path: Path, mmap_mode: Literal["r"] | None = None) -> Stored:
    try:
        held: Stored = np.load(path, allow_pickle=False, mmap_mode=mmap_mode)
    except ValueError as error:
        if "Python objects" not in str(error) and "Object arrays" not in str(error):
            raise
        raise WrongFormat(
            f"{path} holds Python objects, which could run code; it was not read.",
            hint="save an array of numbers: uint8, uint16 or float32",
        ) from error
    return held


def _pages(path: Path) -> Stored:
    with warnings.catch_warnings():
        # Pillow warns of tags that it skips, in sound files too
        warnings.simplefilter("ignore", UserWarning)
        with Image.open(path) as image:
            pages = [_upright(page, palette=True) for page in ImageSequence.Iterator(image)]
    return pages[0] if len(pages) == 1 else np.stack(pages)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How a picture is to be turned by its EXIF notes; they may be damaged where the picture is sound."""
    if "exif" not in image.info:
        # Pillow would read all pixels of a PNG to look behind them
        return None
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except _DAMAGE:
        return None


def _turned(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _upright(image: Image.Image, *, palette: bool) -> Stored:
    """[y, x] or [channel, y, x] in their own number of bits; palettes are resolved and transparency is dropped."""
    if image.mode in ("P", "PA") and not palette:
        return np.asarray(image.getchannel(0))
    if image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "RGBA", "PA", "RGBX"):
        return np.moveaxis(np.asarray(image.convert("RGB")), 2, 0)
    if image.mode in ("LA", "La"):
        return np.asarray(image.convert("L"))
    held = np.asarray(image)
    if held.ndim == 3:
        return np.moveaxis(held, 2, 0)
    # Pillow opens some 16-bit greys as 32-bit whole numbers
    return held.astype(np.uint16) if image.mode == "I" and held.min() >= 0 and held.max() <= 65535 else held


@contextmanager
def _damage_is_told(name: str) -> Iterator[None]:
    try:
        yield
    except WrongFormat:
        raise
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise WrongFormat(f"{name} cannot be read as an image: {what}.", hint="open it in a viewer") from error
