"""What all computed smears share: objects placed once for the slide, painted window by window."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from lsm.samples._bodies import paint_platelet, paint_precipitate, paint_white_cell
from lsm.samples._canvas import Canvas
from lsm.samples._layout import Layout, lay_out
from lsm.samples.film import UNIFORM, InfectionConfig
from lsm.samples.smear import SmearConfig
from lsm.samples.table import CellTable, Kind
from lsm.types import Transmission

# half of the largest object's patch
LARGEST_UM = 9.0

Cells = Int[np.ndarray, " cell"]
_Painter = Callable[[Canvas, float, float, float, np.random.Generator], None]
_BODIES: dict[int, _Painter] = {
    Kind.WHITE_CELL: paint_white_cell,
    Kind.PLATELET: paint_platelet,
    Kind.PRECIPITATE: paint_precipitate,
}


class PlacedSmear(ABC):
    """A Smear whose red cells a subclass paints; windows agree wherever they overlap."""

    def __init__(self, config: SmearConfig, seed: int, infection: InfectionConfig = UNIFORM) -> None:
        self.config = config
        self.seed = seed
        self._layout: Layout = lay_out(config, seed, infection)

    @property
    def extent_um(self) -> tuple[float, float]:
        return (self.config.width_um, self.config.height_um)

    def truth(self) -> CellTable:
        return self._layout.table

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        """Complex amplitude of the thin film, objects multiplied; see Smear."""
        canvas = Canvas(x_um, y_um, n_px, pixel_um, wavelength_um)
        near = self._near(canvas)
        kinds = self._layout.table.kind[near]
        self._paint_cells(canvas, near[kinds == Kind.RED_CELL])
        for index in near[kinds != Kind.RED_CELL]:
            paint = _BODIES[int(self._layout.table.kind[index])]
            paint(canvas, *self._place(int(index)), self._own_rng(int(index)))
        return canvas.transmission(self._layout.stain_exponent)

    @abstractmethod
    def _paint_cells(self, canvas: Canvas, cells: Cells) -> None:
        """Add the red cells with these row indices."""

    def _near(self, canvas: Canvas) -> Cells:
        table, reach_um = self._layout.table, canvas.reach_um() + LARGEST_UM
        close = (np.abs(table.x_um - canvas.x_um) < reach_um) & (np.abs(table.y_um - canvas.y_um) < reach_um)
        return np.flatnonzero(close)

    def _place(self, index: int) -> tuple[float, float, float]:
        row = self._layout.table.rows[index]
        return float(row["x_um"]), float(row["y_um"]), float(row["radius_um"])

    def _own_rng(self, index: int) -> np.random.Generator:
        """Each object has its own stream, so that it looks the same in every window."""
        return np.random.default_rng([self.seed, 1, index])
