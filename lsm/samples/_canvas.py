"""Absorbance and optical path of overlapping objects, summed on one pixel grid."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from lsm.samples.stain import Stain
from lsm.types import Transmission

Patch = Float[np.ndarray, "y x"]
Patches = Float[np.ndarray, "cell y x"]
Offsets = Float[np.ndarray, "cell 1 x"]


@dataclass(frozen=True)
class PatchGrid:
    """Pixel positions around one object, in um from its centre: dx [1, x], dy [y, 1]; where it lies on the canvas."""

    dx: Float[np.ndarray, "1 x"]
    dy: Float[np.ndarray, "y 1"]
    row: int
    column: int


@dataclass(frozen=True)
class PatchGrids:
    """The same for many objects at once: dx [cell, 1, x], dy [cell, y, 1], rows and columns [cell]."""

    dx: Float[np.ndarray, "cell 1 x"]
    dy: Float[np.ndarray, "cell y 1"]
    rows: Int[np.ndarray, " cell"]
    columns: Int[np.ndarray, " cell"]


@dataclass
class Canvas:
    """A window of the slide at one wavelength; amplitudes multiply, so absorbances and paths add.

    absorbance: natural absorbance of intensity. path_um: optical path difference to the empty slide.
    """

    x_um: float
    y_um: float
    n_px: int
    pixel_um: float
    wavelength_um: float
    absorbance: Patch = field(init=False)
    path_um: Patch = field(init=False)

    def __post_init__(self) -> None:
        self.absorbance = np.zeros((self.n_px, self.n_px), dtype=np.float32)
        self.path_um = np.zeros((self.n_px, self.n_px), dtype=np.float32)

    def reach_um(self) -> float:
        """Half of the window's side."""
        return self.n_px * self.pixel_um / 2

    def grids(self, x_um: Float[np.ndarray, " cell"], y_um: Float[np.ndarray, " cell"], half_um: float) -> PatchGrids:
        """Square patches of at least `half_um` around each object."""
        side = 2 * int(np.ceil(half_um / self.pixel_um)) + 1
        columns, dx = self._axis(x_um - self.x_um, side)
        rows, dy = self._axis(y_um - self.y_um, side)
        return PatchGrids(dx[:, None, :], dy[:, :, None], rows, columns)

    def grid(self, x_um: float, y_um: float, half_um: float) -> PatchGrid:
        """A square patch of at least `half_um` around one object."""
        many = self.grids(np.array([x_um]), np.array([y_um]), half_um)
        return PatchGrid(many.dx[0], many.dy[0], int(many.rows[0]), int(many.columns[0]))

    def _axis(
        self, relative_um: Float[np.ndarray, " cell"], side: int
    ) -> tuple[Int[np.ndarray, " cell"], Float[np.ndarray, "cell x"]]:
        centre_px = relative_um / self.pixel_um + (self.n_px - 1) / 2
        first = np.floor(centre_px + 0.5).astype(np.int64) - side // 2
        offset = (first[:, None] + np.arange(side) - centre_px[:, None]) * self.pixel_um
        return first, offset.astype(np.float32)

    def add(self, row: int, column: int, absorbance: Patch, path_um: Patch, stain: Stain) -> None:
        """Add one object's patch, clipped to the window; its absorbance is that in green."""
        side_y, side_x = absorbance.shape
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + side_y, self.n_px), min(column + side_x, self.n_px)
        if top >= bottom or left >= right:
            return
        there = (slice(top, bottom), slice(left, right))
        here = (slice(top - row, bottom - row), slice(left - column, right - column))
        self.absorbance[there] += stain.relative_absorbance(self.wavelength_um) * absorbance[here]
        self.path_um[there] += path_um[here]

    def transmission(self, stain_exponent: float) -> Transmission:
        """Complex amplitude exp(-exponent * absorbance / 2 + 2 pi i path / wavelength), complex64."""
        amplitude = np.exp(self.absorbance * np.float32(-stain_exponent / 2))
        phase = self.path_um * np.float32(2 * np.pi / self.wavelength_um)
        field_ = np.empty(amplitude.shape, dtype=np.complex64)
        np.multiply(amplitude, np.cos(phase), out=field_.real)
        np.multiply(amplitude, np.sin(phase), out=field_.imag)
        return field_
