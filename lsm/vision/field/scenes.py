"""What lies under the microscope: slides of known transmission, with what is marked on them in the camera's pixels."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Complex64, Float, Int

from lsm.vision.data import Boxes, Mask, Objects

LEAST_VISIBLE = 0.5
"""Share of an object inside the field below which it is marked, but not asked for."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One field to be imaged.

    transmission: complex amplitude on the sample grid of the imaging system; one tile with its margin, or a larger
    sample of whole camera pixels without one. size: rows and columns of the camera's image. objects: in its pixels.
    defocus_um: distance from the sample to the plane in focus. group: slide or patient.
    """

    name: str
    group: str
    transmission: Complex64[np.ndarray, "y x"]
    size: tuple[int, int]
    objects: Objects
    defocus_um: float


@runtime_checkable
class Scenes(Protocol):
    """Fields by number; the same number gives the same field.

    origin: which data these are, for every table made from them. digest: identity of all that makes them.
    """

    @property
    def categories(self) -> tuple[str, ...]: ...

    @property
    def origin(self) -> str: ...

    @property
    def digest(self) -> str: ...

    def __len__(self) -> int: ...

    def scene(self, number: int) -> Scene:
        """One field."""
        ...


def scaled_mask(mask: Mask, scale: tuple[float, float]) -> Mask | None:
    """The mask on a grid of `scale` (y, x) times as many pixels: those of which the object covers at least half.

    Where it covers half of none, the one that it covers most; None for a mask without a pixel.
    """
    if not mask.inside.any():
        return None
    top, along_y = _shares(mask.top, mask.inside.shape[0], scale[0])
    left, along_x = _shares(mask.left, mask.inside.shape[1], scale[1])
    covered = along_y @ mask.inside.astype(np.float64) @ along_x.T
    # sums of shares come out a few ulp off one half
    whole = Mask.of(covered >= min(0.5, float(covered.max())) - 1e-9)
    return Mask(top + whole.top, left + whole.left, whole.inside)


def _shares(first: int, count: int, scale: float) -> tuple[int, Float[np.ndarray, "new old"]]:
    """First pixel of the new grid that is touched, and the share of each new pixel that each old one covers."""
    edges = (first + np.arange(count + 1)) * float(scale)
    start, end = int(np.floor(edges[0])), int(np.ceil(edges[-1]))
    new = np.arange(start, max(end, start + 1))[:, None]
    low, high = np.maximum(edges[None, :-1], new), np.minimum(edges[None, 1:], new + 1)
    return start, np.clip(high - low, 0, None)


def seen_objects(
    box_px: Boxes,
    category: Int[np.ndarray, " object"],
    masks: tuple[Mask, ...] | None,
    ignore: Bool[np.ndarray, " object"],
    size: tuple[int, int],
) -> Objects:
    """What a field of this size shows of objects in its pixels: cut at its edges, dropped where nothing is left.

    An object of which less than half of its box is inside is marked to be ignored.
    """
    height, width = size
    cut = np.clip(box_px, 0, np.array([width, height, width, height], dtype=np.float64))
    there = _area(cut) > 0
    kept: list[Mask] = []
    if masks is not None:
        for number in np.flatnonzero(there):
            seen = masks[number].whole(height, width)
            if seen.any():
                kept.append(Mask.of(seen))
            else:
                there[number] = False
    partly = _area(cut) < LEAST_VISIBLE * _area(box_px)
    return Objects(cut[there], category[there], None if masks is None else tuple(kept), (ignore | partly)[there])


def _area(box_px: Boxes) -> Float[np.ndarray, " object"]:
    area: Float[np.ndarray, " object"] = (box_px[:, 2] - box_px[:, 0]) * (box_px[:, 3] - box_px[:, 1])
    return area
