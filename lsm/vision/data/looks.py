"""How images look, whatever file they are in: to find the same picture twice."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lsm.vision.data.objects import AnnotatedImage, Pixels

_SIDE = 32
_WAVES = 8
_FLAT = 1e-3
"""Standard deviation, as part of the range, under which a picture has nothing to be known by."""

NEAR_BITS: Final = 10
"""Bits of 63 by which two files of one picture may differ.

Measured on BCCD, Chula RBC-12 and DSB2018: at most 6 after JPEG at quality 50 and 0.7 of the size; unrelated images of
one set differ in at least 15.
"""

NEAR_CORRELATION: Final = 0.9
"""Least correlation of the small pictures; the same sets: at least 0.97 for one picture, at most 0.66 for unrelated."""


@dataclass(frozen=True, eq=False)
class Look:
    """What an image is known by.

    digest: of its pixels, so that lossless copies are alike. small: its grey levels in 32 x 32, mean 0 and length 1.
    waves: signs of its slow changes, by which re-encoded and resized copies are alike; None for an even image.
    """

    channels: int
    digest: bytes
    small: Float64[np.ndarray, "32 32"]
    waves: Bool[np.ndarray, " 63"] | None


def look(image: AnnotatedImage) -> Look:
    """The look of an image. Raises FileMissing or WrongFormat where it cannot be read."""
    return look_at(image.pixels())


def digest_of(pixels: Pixels) -> bytes:
    """SHA-256 of shape and pixels."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def look_at(pixels: Pixels) -> Look:
    """The look of pixels."""
    digest = digest_of(pixels)
    small = _small(pixels)
    above = small - small.mean()
    spread = float(np.abs(pixels).max()) or 1.0
    waves = None
    if above.std() > _FLAT * spread:
        waves = dctn(above, norm="ortho")[:_WAVES, :_WAVES].reshape(-1)[1:] > 0
    return Look(len(pixels), digest, above / max(float(np.linalg.norm(above)), 1e-30), waves)


def same_pictures(looks: Sequence[Look]) -> list[list[int]]:
    """Numbers of the images that show one picture, for every picture that is there more than once."""
    pairs = np.array(_same_bytes(looks) + _near(looks), dtype=np.int64).reshape(-1, 2)
    joined = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(looks), len(looks)))
    picture: Int[np.ndarray, " image"] = connected_components(joined, directed=False)[1]
    members: dict[int, list[int]] = {}
    for number, which in enumerate(picture.tolist()):
        members.setdefault(which, []).append(number)
    return [numbers for numbers in members.values() if len(numbers) > 1]


def _same_bytes(looks: Sequence[Look]) -> list[tuple[int, int]]:
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(each.digest, number), number) for number, each in enumerate(looks)]
    return [(one, other) for one, other in pairs if one != other]


def _near(looks: Sequence[Look]) -> list[tuple[int, int]]:
    known = [(number, each.waves) for number, each in enumerate(looks) if each.waves is not None]
    if not known:
        return []
    numbers = np.array([number for number, _ in known])
    bits = np.packbits(np.stack([waves for _, waves in known]), axis=1).view(np.uint64)[:, 0]
    found = []
    for row in range(len(bits) - 1):
        apart = np.bitwise_count(bits[row + 1 :] ^ bits[row])
        for other in np.flatnonzero(apart <= NEAR_BITS) + row + 1:
            one, two = int(numbers[row]), int(numbers[other])
            if float((looks[one].small * looks[two].small).sum()) >= NEAR_CORRELATION:
                found.append((one, two))
    return found


def _small(pixels: Pixels) -> Float[np.ndarray, "32 32"]:
    """Means of grey over a grid of cells; of less than 32 pixels some are in several cells."""
    grey = pixels.mean(axis=0, dtype=np.float64)
    height, width = grey.shape
    tops, bottoms = _cells(height)
    lefts, rights = _cells(width)
    sums = np.pad(grey.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    area = np.outer(bottoms - tops, rights - lefts)
    inside = sums[np.ix_(bottoms, rights)] - sums[np.ix_(tops, rights)]
    means: Float[np.ndarray, "32 32"] = (inside - sums[np.ix_(bottoms, lefts)] + sums[np.ix_(tops, lefts)]) / area
    return means


def _cells(length: int) -> tuple[Int[np.ndarray, " cell"], Int[np.ndarray, " cell"]]:
    starts = np.arange(_SIDE) * length // _SIDE
    return starts, np.maximum((np.arange(_SIDE) + 1) * length // _SIDE, starts + 1)
