"""Absorbance of cell crops: smoothed, with a soft mask, read between their pixels."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_erosion, gaussian_filter, generate_binary_structure

from lsm.samples._canvas import Patches
from lsm.samples.crops import SIDE_PX, CellCrops

Grey = Literal["own", "fixed"]
"""What a crop's grey levels are compared with: its own brightest level, or one level for all photographs."""

# Optical path in um per unit of green absorbance of a dried, stained cell. A red cell's 30 pg on 50 um^2 are
# 0.11 um of path at a refraction increment of 0.19 um^3/pg (Barer, Nature 169, 366 (1952)), its middle absorbs 0.2
# to 0.35; stained chromatin binds more dye per mass. 0.2 lies between, as 2.4 rad per unit at 0.53 um.
PATH_UM_PER_ABSORBANCE = 0.2
# the segmented cell fills its crop but for the last resized pixel
CROP_RADII = 1.03
# empty slide in the photographs; a few cells reach 235
EMPTY_GREY = 230
GREY_OUTSIDE = 10
DARKEST = 0.08
BLUR_PX = 0.8
# a crop and its rim of zeros
SIDE = SIDE_PX + 2


@dataclass(frozen=True)
class Absorbing:
    """Natural absorbance above the level compared with [crop, 52, 52] and soft masks; a rim of zeros around."""

    above: Float[np.ndarray, "crop y x"]
    mask: Float[np.ndarray, "crop y x"]

    def read(self, along: Patches, across: Patches, crop: Int[np.ndarray, " cell"]) -> tuple[Patches, Patches]:
        """Absorbance and mask, bilinear, at positions in units of the cell's radius."""
        x, y = in_crop(along), in_crop(across)
        left, top = x.astype(np.int64), y.astype(np.int64)
        x -= left
        y -= top
        index = crop[:, None, None] * (SIDE * SIDE) + top * SIDE + left
        return _bilinear(self.above.reshape(-1), index, x, y), _bilinear(self.mask.reshape(-1), index, x, y)


def in_crop(radii: np.ndarray) -> np.ndarray:
    """Pixel positions within a crop and its rim, from positions in units of the cell's radius."""
    scale = np.float32(SIDE_PX / 2 / CROP_RADII)
    position: np.ndarray = np.clip(radii * scale + np.float32((SIDE - 1) / 2), 0, SIDE - 1.001)
    return position


@lru_cache(maxsize=8)
def absorbing(crops: CellCrops, grey: Grey) -> Absorbing:
    """Of all crops at once; kept, because many smears and colours are made of the same crops."""
    images = crops.images
    inside = images > GREY_OUTSIDE
    # resizing mixed the black outside into the last pixel of the rim
    core = binary_erosion(inside, structure=generate_binary_structure(2, 1)[None])
    reference = _brightest(images, core) if grey == "own" else np.full(len(images), EMPTY_GREY)
    weight = _blur(core)
    smooth = _blur(np.where(core, images, 0)) / np.maximum(weight, 1e-3)
    relative = np.clip(smooth / reference[:, None, None].astype(np.float32), DARKEST, 1.0)
    mask = _blur(inside) * (weight > 0)
    rim = ((0, 0), (1, 1), (1, 1))
    return Absorbing(np.pad(-np.log(relative) * mask, rim), np.pad(mask, rim))


def _brightest(images: np.ndarray, core: Bool[np.ndarray, "crop y x"]) -> Float[np.ndarray, " crop"]:
    return np.array(
        [np.percentile(image[of], 99) if of.any() else 255.0 for image, of in zip(images, core, strict=True)]
    )


def _bilinear(flat: Float[np.ndarray, " px"], index: Int[np.ndarray, "cell y x"], x: Patches, y: Patches) -> Patches:
    upper: Patches = flat[index] * (1 - x) + flat[index + 1] * x
    lower: Patches = flat[index + SIDE] * (1 - x) + flat[index + SIDE + 1] * x
    mixed: Patches = upper * (1 - y) + lower * y
    return mixed


def _blur(images: np.ndarray) -> Float[np.ndarray, "crop y x"]:
    blurred: Float[np.ndarray, "crop y x"] = gaussian_filter(images.astype(np.float32), BLUR_PX, axes=(1, 2))
    return blurred
