"""A blood smear computed from cell shapes, with known truth."""

from lsm.samples._canvas import Canvas
from lsm.samples._parasites import ParasitePainter
from lsm.samples._placed import Cells, PlacedSmear
from lsm.samples._red_cells import paint_red_cells
from lsm.samples.table import Stage


class ProceduralSmear(PlacedSmear):
    """A Smear of Evans-Fung red cells, parasites and look-alikes, from (config, seed, infection).

    infection: how uneven infection is over the slide; every red cell has the same chance by default.
    The same configuration and seed give the same slide, and any window of it the same bytes.
    """

    def _paint_cells(self, canvas: Canvas, cells: Cells) -> None:
        paint_red_cells(canvas, self._layout, cells, self.config)
        table = self._layout.table
        for index in cells[table.infected[cells] | self._layout.howell_jolly[cells]]:
            painter = ParasitePainter(canvas, *self._place(int(index)), self._own_rng(int(index)))
            if table.infected[index]:
                painter.paint(Stage(int(table.stage[index])))
            else:
                painter.howell_jolly()
