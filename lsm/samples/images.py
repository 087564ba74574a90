"""A smear whose red cells look like real ones: crops placed, turned and overlapped."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_erosion, gaussian_filter, generate_binary_structure

from lsm.errors import WrongFormat
from lsm.samples._canvas import Canvas, Patches, PatchGrids
from lsm.samples._placed import Cells, PlacedSmear
from lsm.samples._red_cells import EVANS_FUNG_UM
from lsm.samples.crops import SIDE_PX, CellCrops
from lsm.samples.smear import SmearConfig
from lsm.samples.stain import Stain
from lsm.samples.table import Stage

# Optical path in um per unit of green absorbance of a dried, stained cell. A red cell's 30 pg on 50 um^2 are
# 0.11 um of path at a refraction increment of 0.19 um^3/pg (Barer, Nature 169, 366 (1952)), its middle absorbs 0.2
# to 0.35; stained chromatin binds more dye per mass. 0.2 lies between, as 2.4 rad per unit at 0.53 um.
PATH_UM_PER_ABSORBANCE = 0.2
# corner of a turned crop around the largest cell: 1.25 * 3.91 um * 1.03 * sqrt(2)
PATCH_HALF_UM = 7.2
# the segmented cell fills its crop but for the last resized pixel
CROP_RADII = 1.03
GREY_OUTSIDE = 10
DARKEST = 0.08
BLUR_PX = 0.8


@dataclass(frozen=True)
class _Absorbing:
    """Crops as natural absorbance above the brightest level [crop, 52, 52] and soft masks; a rim of zeros around."""

    above: Float[np.ndarray, "crop y x"]
    mask: Float[np.ndarray, "crop y x"]


class CellImageSmear(PlacedSmear):
    """A Smear with the placement of ProceduralSmear and the absorbance of real crops.

    Each red cell takes a crop of its own label, scaled to the cell's diameter (about 7.8 um), turned and
    flipped at random. A crop's brightest level is taken as the middle of a normal cell, so its absorbance
    is base + ln(brightest / grey); outside the segmented cell the slide is empty. Assumed, for want of
    measurement: optical path is proportional to absorbance, because in a dried film both grow with the mass
    per area (see PATH_UM_PER_ABSORBANCE), and all of the cell absorbs like eosin in other colours.
    The stage of an infected crop is unknown, so truth() says Stage.NONE.
    Raises WrongFormat when a class that the slide needs has no crop.
    """

    def __init__(self, crops: CellCrops, config: SmearConfig, seed: int) -> None:
        super().__init__(config.model_copy(update={"howell_jolly_fraction": 0.0}), seed)
        rng = np.random.default_rng([seed, 2])
        rows = self._layout.table.rows
        rows["stage"] = Stage.NONE
        self._mirror = rng.choice([-1.0, 1.0], len(rows))
        self._crop = _choose(crops.infected, rows["infected"], rng)
        self._absorbing = _absorbances(crops)

    def _paint_cells(self, canvas: Canvas, cells: Cells) -> None:
        for start in range(0, len(cells), 64):
            group = cells[start : start + 64]
            table = self._layout.table
            grids = canvas.grids(table.x_um[group], table.y_um[group], PATCH_HALF_UM)
            absorbance, path_um = self._profiles(grids, group)
            for k in range(len(group)):
                canvas.add(int(grids.rows[k]), int(grids.columns[k]), absorbance[k], path_um[k], Stain.EOSIN)

    def _profiles(self, grids: PatchGrids, cells: Cells) -> tuple[Patches, Patches]:
        config, layout = self.config, self._layout
        radius, angle = layout.table.radius_um[cells], layout.angle_rad[cells]
        cos, sin = _column(np.cos(angle) / radius), _column(np.sin(angle) / radius)
        along = grids.dx * cos + grids.dy * sin
        across = (grids.dy * cos - grids.dx * sin) * _column(self._mirror[cells])
        above, mask = self._read(along, across, self._crop[cells])
        middle = config.base_absorbance + config.absorbance_per_um * EVANS_FUNG_UM[0]
        absorbance = np.float32(middle) * mask + above
        return absorbance, np.float32(PATH_UM_PER_ABSORBANCE * layout.thickness_factor) * absorbance

    def _read(self, along: Patches, across: Patches, crop: Int[np.ndarray, " cell"]) -> tuple[Patches, Patches]:
        """Absorbance and mask, bilinear, at positions in units of the cell's radius."""
        side = SIDE_PX + 2
        scale = np.float32(SIDE_PX / 2 / CROP_RADII)
        x = np.clip(along * scale + np.float32((side - 1) / 2), 0, side - 1.001)
        y = np.clip(across * scale + np.float32((side - 1) / 2), 0, side - 1.001)
        left, top = x.astype(np.int64), y.astype(np.int64)
        x -= left
        y -= top
        index = crop[:, None, None] * (side * side) + top * side + left
        above = _bilinear(self._absorbing.above.reshape(-1), index, x, y, side)
        return above, _bilinear(self._absorbing.mask.reshape(-1), index, x, y, side)


def _bilinear(
    flat: Float[np.ndarray, " px"], index: Int[np.ndarray, "cell y x"], x: Patches, y: Patches, side: int
) -> Patches:
    upper: Patches = flat[index] * (1 - x) + flat[index + 1] * x
    lower: Patches = flat[index + side] * (1 - x) + flat[index + side + 1] * x
    mixed: Patches = upper * (1 - y) + lower * y
    return mixed


def _choose(
    available: Bool[np.ndarray, " crop"], wanted: Bool[np.ndarray, " cell"], rng: np.random.Generator
) -> Int[np.ndarray, " cell"]:
    """A crop of the right label for each object."""
    chosen = np.zeros(len(wanted), dtype=np.int64)
    for label in (False, True):
        pool, cells = np.flatnonzero(available == label), np.flatnonzero(wanted == label)
        if len(cells) and not len(pool):
            raise WrongFormat(
                f"There are no {'infected' if label else 'uninfected'} crops.", hint="give crops of both classes"
            )
        if len(cells):
            chosen[cells] = rng.choice(pool, len(cells))
    return chosen


@lru_cache(maxsize=4)
def _absorbances(crops: CellCrops) -> _Absorbing:
    """Of all crops at once; kept, because many smears are made of the same crops."""
    images = crops.images
    inside = images > GREY_OUTSIDE
    # resizing mixed the black outside into the last pixel of the rim
    core = binary_erosion(inside, structure=generate_binary_structure(2, 1)[None])
    brightest = np.array(
        [np.percentile(image[of], 99) if of.any() else 255 for image, of in zip(images, core, strict=True)]
    )
    weight = _blur(core)
    grey = _blur(np.where(core, images, 0)) / np.maximum(weight, 1e-3)
    relative = np.clip(grey / brightest[:, None, None].astype(np.float32), DARKEST, 1.0)
    mask = _blur(inside) * (weight > 0)
    rim = ((0, 0), (1, 1), (1, 1))
    return _Absorbing(np.pad(-np.log(relative) * mask, rim), np.pad(mask, rim))


def _blur(images: np.ndarray) -> Float[np.ndarray, "crop y x"]:
    blurred: Float[np.ndarray, "crop y x"] = gaussian_filter(images.astype(np.float32), BLUR_PX, axes=(1, 2))
    return blurred


def _column(values: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "cell 1 1"]:
    column: Float[np.ndarray, "cell 1 1"] = values.astype(np.float32)[:, None, None]
    return column
