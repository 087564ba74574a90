"""Masks from outlines: the pixels whose centres lie inside."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from skimage.draw import polygon as polygon_pixels

from lsm.vision.data.objects import Mask

Outline = Float[np.ndarray, "corner 2"]
"""Corners x, y in pixel edges: the first pixel lies between 0 and 1."""


def mask_of_outlines(outlines: Sequence[Outline], height: int, width: int) -> Mask | None:
    """The union of closed polygons in an image of this size, or None where no pixel's centre is inside."""
    top, left, rows, columns = _around(box_of_outlines(outlines), height, width)
    piece: Bool[np.ndarray, "y x"] = np.zeros((rows, columns), dtype=bool)
    for corners in outlines:
        x, y = corners[:, 0] - left - 0.5, corners[:, 1] - top - 0.5
        piece[polygon_pixels(y, x, (rows, columns))] = True  # type: ignore[no-untyped-call]
    return _placed(piece, top, left)


def mask_of_disc(x: float, y: float, radius: float, height: int, width: int) -> Mask | None:
    """The pixels of an image of this size whose centres are in the disc, or None where there are none."""
    box = np.array([x - radius, y - radius, x + radius, y + radius])
    top, left, rows, columns = _around(box, height, width)
    down, along = np.ogrid[:rows, :columns]
    return _placed((along + left + 0.5 - x) ** 2 + (down + top + 0.5 - y) ** 2 <= radius**2, top, left)


def box_of_outlines(outlines: Sequence[Outline]) -> Float[np.ndarray, " 4"]:
    """Edges x0, y0, x1, y1 of the box around all corners."""
    corners = np.concatenate(list(outlines))
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _around(box: Float[np.ndarray, " 4"], height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of the part of an image that holds the box."""
    x0, y0, x1, y1 = np.clip(box, 0, [width, height, width, height])
    left, top = int(np.floor(x0)), int(np.floor(y0))
    return top, left, int(np.ceil(y1)) - top, int(np.ceil(x1)) - left


def _placed(piece: Bool[np.ndarray, "y x"], top: int, left: int) -> Mask | None:
    if not piece.any():
        return None
    mask = Mask.of(piece)
    return Mask(mask.top + top, mask.left + left, mask.inside)
