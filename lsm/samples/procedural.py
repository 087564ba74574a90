"""A blood smear computed from cell shapes, with known truth."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from lsm.samples._bodies import paint_platelet, paint_precipitate, paint_white_cell
from lsm.samples._canvas import Canvas
from lsm.samples._layout import lay_out
from lsm.samples._parasites import ParasitePainter
from lsm.samples._red_cells import paint_red_cells
from lsm.samples.smear import SmearConfig
from lsm.samples.table import CellTable, Kind, Stage
from lsm.types import Transmission

LARGEST_UM = 9.0

_Painter = Callable[[Canvas, float, float, float, np.random.Generator], None]
_BODIES: dict[int, _Painter] = {
    Kind.WHITE_CELL: paint_white_cell,
    Kind.PLATELET: paint_platelet,
    Kind.PRECIPITATE: paint_precipitate,
}


class ProceduralSmear:
    """A Smear of Evans-Fung red cells, parasites and look-alikes; the same seed gives the same slide.

    Everything is placed once for the whole slide, so windows agree wherever they overlap.
    """

    def __init__(self, config: SmearConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._layout = lay_out(config, seed)

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
        table = self._layout.table
        self._paint_cells(canvas, near[table.kind[near] == Kind.RED_CELL])
        for index in near[table.kind[near] != Kind.RED_CELL]:
            paint = _BODIES[int(table.kind[index])]
            paint(canvas, *self._place(int(index)), self._own_rng(int(index)))
        return canvas.transmission(self._layout.stain_exponent)

    def _near(self, canvas: Canvas) -> Int[np.ndarray, " cell"]:
        table, reach_um = self._layout.table, canvas.reach_um() + LARGEST_UM
        close = (np.abs(table.x_um - canvas.x_um) < reach_um) & (np.abs(table.y_um - canvas.y_um) < reach_um)
        return np.flatnonzero(close)

    def _paint_cells(self, canvas: Canvas, cells: Int[np.ndarray, " cell"]) -> None:
        paint_red_cells(canvas, self._layout, cells, self.config)
        table = self._layout.table
        for index in cells[table.infected[cells] | self._layout.howell_jolly[cells]]:
            painter = ParasitePainter(canvas, *self._place(int(index)), self._own_rng(int(index)))
            if table.infected[index]:
                painter.paint(Stage(int(table.stage[index])))
            else:
                painter.howell_jolly()

    def _place(self, index: int) -> tuple[float, float, float]:
        row = self._layout.table.rows[index]
        return float(row["x_um"]), float(row["y_um"]), float(row["radius_um"])

    def _own_rng(self, index: int) -> np.random.Generator:
        """Each object has its own stream, so that it looks the same in every window."""
        return np.random.default_rng([self.seed, 1, index])
