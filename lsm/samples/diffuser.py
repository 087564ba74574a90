"""A thin diffuser: light from every direction leaves it in every direction alike."""

from dataclasses import dataclass

import numpy as np

from lsm.errors import WrongFormat
from lsm.samples.table import ROW, CellTable
from lsm.types import Transmission


@dataclass(frozen=True)
class Diffuser:
    """A Smear without cells, whose phase is drawn anew for each pixel and each place, even over all values.

    Its spectrum is white up to the grid's limit, so that under any LED the mean image is the LED's irradiance at the
    sample times the share of the grid's frequencies that the pupil passes, but for speckle. Real opal glass comes near;
    how its light falls off with the angle has to be looked up.
    """

    extent_um: tuple[float, float]
    seed: int = 0

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        """exp(i phase), complex64 [n_px, n_px]; the same place gives the same phases."""
        if n_px < 1:
            raise WrongFormat(f"A grid of {n_px} pixels is impossible.", hint="give at least one")
        place = [round(1000 * value) % 2**32 for value in (x_um, y_um)]
        phase = np.random.default_rng([self.seed, *place]).uniform(0, 2 * np.pi, (n_px, n_px))
        screen: Transmission = np.exp(1j * phase).astype(np.complex64)
        return screen

    def truth(self) -> CellTable:
        """There are no cells."""
        return CellTable(np.zeros(0, dtype=ROW))
