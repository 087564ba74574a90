"""A smear whose red cells look like real ones: crops placed, turned and overlapped."""

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.errors import WrongFormat
from lsm.samples._absorbing import PATH_UM_PER_ABSORBANCE, absorbing
from lsm.samples._canvas import Canvas, Patches, PatchGrids
from lsm.samples._placed import Cells, PlacedSmear
from lsm.samples._red_cells import EVANS_FUNG_UM
from lsm.samples.crops import CellCrops
from lsm.samples.smear import SmearConfig
from lsm.samples.stain import Stain
from lsm.samples.table import Stage

# corner of a turned crop around the largest cell: 1.25 * 3.91 um * 1.03 * sqrt(2)
PATCH_HALF_UM = 7.2


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
        self._absorbing = absorbing(crops, "own")

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
        above, mask = self._absorbing.read(along, across, self._crop[cells])
        absorbance = np.float32(middle_absorbance(config)) * mask + above
        return absorbance, np.float32(PATH_UM_PER_ABSORBANCE * layout.thickness_factor) * absorbance


def middle_absorbance(config: SmearConfig) -> float:
    """Green absorbance of the middle of a normal red cell."""
    return config.base_absorbance + config.absorbance_per_um * EVANS_FUNG_UM[0]


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


def _column(values: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "cell 1 1"]:
    column: Float[np.ndarray, "cell 1 1"] = values.astype(np.float32)[:, None, None]
    return column
