"""P. falciparum in stained red cells, stage by stage.

Sizes after CDC DPDx, Malaria, and Garcia, Diagnostic Medical Parasitology: rings 1.2-2.5 um with chromatin
dots of 0.3-0.6 um, trophozoites 4-8 um when late, schizonts of 8-24 merozoites, gametocytes 8-12 x 3-6 um.
Absorbances are natural, in green; a ring's cytoplasm is faint on purpose.
"""

import numpy as np
from jaxtyping import Float

from lsm.samples._canvas import Canvas, Patch
from lsm.samples.stain import Stain
from lsm.samples.table import Stage

# Optical path in um per unit of green absorbance of stained structures. Bounds: a dye's own dispersion gives about
# 0.04 (a refractive change as large as its extinction coefficient); stained cytoplasm, which binds less dye per
# dry mass, has 0.4 (0.12 um of path and 0.3 of absorbance in the middle of a cell).
PATH_UM_PER_ABSORBANCE = 0.15

# Refractive contrast of an infected cell's cytosol relative to a healthy one's, by Stage: haemoglobin is used up.
# Indices 1.399, 1.395, 1.383, 1.373 over 1.337: Park et al., PNAS 105, 13730 (2008); a gametocyte is taken as late.
CYTOSOL_CONTRAST = (1.0, 0.935, 0.742, 0.581, 0.581)


class ParasitePainter:
    """Draws one parasite around its cell; everything it chooses comes from `rng`."""

    def __init__(self, canvas: Canvas, x_um: float, y_um: float, radius_um: float, rng: np.random.Generator) -> None:
        self._canvas = canvas
        self._grid = canvas.grid(x_um, y_um, 7.5)
        self._radius_um = radius_um
        self._rng = rng

    def paint(self, stage: Stage) -> None:
        """Add the parasite of this stage to the canvas."""
        draw = {
            Stage.RING: self._rings,
            Stage.TROPHOZOITE: self._trophozoite,
            Stage.SCHIZONT: self._schizont,
            Stage.GAMETOCYTE: self._gametocyte,
        }
        draw[stage]()

    def howell_jolly(self) -> None:
        """A round, dark nuclear remnant of 0.4-0.9 um, without cytoplasm: a look-alike."""
        x, y = self._inside(0.6)
        self._add(self._spot(x, y, self._rng.uniform(0.4, 0.9)) * self._rng.uniform(0.5, 0.9), Stain.CHROMATIN)

    def _rings(self) -> None:
        for _ in range(1 + int(self._rng.random() < 0.1)):
            self._ring()

    def _ring(self) -> None:
        rng = self._rng
        x, y = self._inside(0.62)
        outer_um = rng.uniform(1.2, 2.5) / 2
        mid_um, width_um = outer_um * 0.78, outer_um * 0.22 + 0.06
        dx, dy = self._grid.dx - np.float32(x), self._grid.dy - np.float32(y)
        r = np.hypot(dx, dy)
        thick_side = rng.uniform(0, 2 * np.pi)
        uneven = 1 + 0.5 * np.cos(np.arctan2(dy, dx) - np.float32(thick_side))
        band = np.exp(-(((r - np.float32(mid_um)) / np.float32(width_um)) ** 2)) * uneven
        vacuole = self._spot(x, y, outer_um) * -0.04
        self._add(band * rng.uniform(0.06, 0.15) + vacuole, Stain.CYTOPLASM)
        for _ in range(1 + int(rng.random() < 0.2)):
            angle = rng.uniform(0, 2 * np.pi)
            dot = self._spot(x + mid_um * np.cos(angle), y + mid_um * np.sin(angle), rng.uniform(0.3, 0.6))
            self._add(dot * rng.uniform(0.5, 0.9), Stain.CHROMATIN)

    def _trophozoite(self) -> None:
        rng = self._rng
        x, y = self._inside(0.3)
        diameter_um = rng.uniform(3.0, 5.5)
        blob = self._blob(x, y, diameter_um, roughness=0.25)
        hole = self._spot(*self._near(x, y, diameter_um / 6), diameter_um * 0.3)
        self._add(blob * rng.uniform(0.15, 0.3) * (1 - 0.7 * hole), Stain.CYTOPLASM)
        self._add(self._spot(*self._near(x, y, diameter_um / 4), rng.uniform(0.8, 1.3)) * 0.6, Stain.CHROMATIN)
        self._pigment(x, y, diameter_um / 5, count=int(rng.integers(2, 6)))

    def _schizont(self) -> None:
        rng = self._rng
        x, y = self._inside(0.15)
        reach_um = rng.uniform(2.2, 3.0)
        self._add(self._blob(x, y, 2.2 * reach_um, roughness=0.1) * 0.12, Stain.CYTOPLASM)
        count = int(rng.integers(8, 25))
        for k in range(count):
            # a sunflower spiral fills the disc evenly
            r, angle = reach_um * np.sqrt((k + 0.7) / count), 2.39996 * k
            nucleus = self._spot(*self._near(x + r * np.cos(angle), y + r * np.sin(angle), 0.15), rng.uniform(0.6, 0.9))
            self._add(nucleus * rng.uniform(0.3, 0.5), Stain.CHROMATIN)
        self._pigment(x, y, 0.3, count=4)

    def _gametocyte(self) -> None:
        rng = self._rng
        length_um, width_um = rng.uniform(8.0, 11.5), rng.uniform(2.4, 3.4)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.8) / length_um
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along = self._grid.dx * cos + self._grid.dy * sin
        across = self._grid.dy * cos - self._grid.dx * sin + np.float32(bend) * (along**2 - 4)
        body = np.clip(2.5 * (1 - (2 * along / length_um) ** 2 - (2 * across / width_um) ** 2), 0, 1)
        self._add(body * rng.uniform(0.2, 0.35), Stain.CYTOPLASM)
        core = np.exp(-((along / 1.3) ** 2) - (across / 0.8) ** 2)
        self._add(core * rng.uniform(0.3, 0.5), Stain.CHROMATIN)
        self._pigment(0.0, 0.0, 0.7, count=int(rng.integers(4, 9)))

    def _pigment(self, x: float, y: float, spread_um: float, *, count: int) -> None:
        for _ in range(count):
            grain = self._spot(*self._near(x, y, spread_um), self._rng.uniform(0.3, 0.6))
            self._add(grain * self._rng.uniform(0.3, 0.7), Stain.PIGMENT)

    def _inside(self, fraction: float) -> tuple[float, float]:
        r = fraction * self._radius_um * np.sqrt(self._rng.random())
        angle = self._rng.uniform(0, 2 * np.pi)
        return float(r * np.cos(angle)), float(r * np.sin(angle))

    def _near(self, x: float, y: float, spread_um: float) -> tuple[float, float]:
        step = self._rng.normal(0.0, spread_um, 2)
        return x + float(step[0]), y + float(step[1])

    def _spot(self, x: float, y: float, diameter_um: float) -> Patch:
        """A Gaussian of this full width at half maximum and height 1."""
        return spot(self._grid.dx, self._grid.dy, x, y, diameter_um)

    def _blob(self, x: float, y: float, diameter_um: float, *, roughness: float) -> Patch:
        dx, dy = self._grid.dx - np.float32(x), self._grid.dy - np.float32(y)
        theta = np.arctan2(dy, dx)
        rim = np.ones_like(theta)
        for lobes in (2, 3, 5):
            rim += np.float32(roughness / lobes) * np.cos(lobes * theta + np.float32(self._rng.uniform(0, 2 * np.pi)))
        inside: Patch = np.clip(3 * (1 - np.hypot(dx, dy) / (np.float32(diameter_um / 2) * rim)), 0, 1)
        return inside

    def _add(self, absorbance: Float[np.ndarray, "y x"], stain: Stain) -> None:
        absorbance = absorbance.astype(np.float32)
        self._canvas.add(self._grid.row, self._grid.column, absorbance, absorbance * PATH_UM_PER_ABSORBANCE, stain)


def spot(dx: Float[np.ndarray, "1 x"], dy: Float[np.ndarray, "y 1"], x: float, y: float, diameter_um: float) -> Patch:
    """A Gaussian of height 1 and full width at half maximum `diameter_um`, centred at x, y."""
    rate = np.float32(4 * np.log(2) / diameter_um**2)
    gaussian: Patch = np.exp(-rate * (dx - np.float32(x)) ** 2) * np.exp(-rate * (dy - np.float32(y)) ** 2)
    return gaussian
