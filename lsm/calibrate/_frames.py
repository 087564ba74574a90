"""What all calibrations share: taking frames with their price, and how far an image has moved."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.signal import windows
from skimage.registration import phase_cross_correlation

from lsm.devices import Frame, Microscope, Observe
from lsm.illum import dark
from lsm.types import Image

Plane = Float[np.ndarray, "y x"]
Part = Float[np.ndarray, "part_y part_x"]
Vector = Float[np.ndarray, "2"]

# of a pixel: finer than any sample of a few hundred cells allows
UPSAMPLING = 50
# the fine reading corrects the coarse one by less
NEAR_PX = 2.0
FEWEST_PX = 8
# share of each side over which an image fades to its edges
FADING = 0.25
# keeps cells and their edges; drops camera noise, and shading by lamps and optics
FINE_PX, COARSE_PX = 1.0, 8.0


class Taker:
    """Takes frames and keeps count. Positions are approached from below in x, y and z, against backlash."""

    def __init__(
        self, microscope: Microscope, exposure_ms: float, *, xy_backlash_um: float = 0.0, z_backlash_um: float = 0.0
    ) -> None:
        self.frames = 0
        self.dose_led_ms = 0.0
        self._microscope = microscope
        self._exposure_ms = exposure_ms
        self._back_um = (xy_backlash_um, z_backlash_um)

    def take(self, request: Observe) -> Frame:
        """One frame, counted."""
        frame = self._microscope.observe(request)
        self.frames += 1
        self.dose_led_ms += frame.light_dose
        return frame

    def approach(self, *, xy_um: tuple[float, float] | None = None, z_um: float | None = None) -> Frame:
        """Go there in the dark by way of a place lower in every axis; none where the backlash is 0."""
        here = Observe(dark(self._microscope.board), self._exposure_ms, xy_um, z_um)
        xy_back_um, z_back_um = self._back_um
        before = replace(
            here,
            xy_um=None if xy_um is None else (xy_um[0] - xy_back_um, xy_um[1] - xy_back_um),
            z_um=None if z_um is None else z_um - z_back_um,
        )
        if before != here:
            self.take(before)
        return self.take(here)


@dataclass(frozen=True)
class Shift:
    """How far `moving` lies from `reference`, along columns and rows in pixels, and how alike they are then.

    likeness: correlation coefficient of what both show; 1 for the same, about 0 for images of nothing.
    """

    px: Vector
    likeness: float


def shift_between(reference: Plane, moving: Plane) -> Shift:
    """The shift of one image's content against another's: the peak of their cross-correlation, finer than a pixel.

    Cross-correlation, not the phase alone: where illumination is coherent, high frequencies of the two images
    differ in sign, and the phase would weigh them as much as the rest. It is read twice, first to the pixel, then
    finely in what both images show, fading to its edges: what only one of them shows, and what meets its own other
    side, draws the peak towards no shift.
    Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156 (2008), as in scikit-image.
    """
    a, b = features(reference), features(moving)
    rows, columns = (round(value) for value in _peak(a, b, upsampling=1))
    seen_a, seen_b = _overlap(a, rows, columns), _overlap(b, -rows, -columns)
    if min(seen_a.shape) < FEWEST_PX or not (seen_a.std() > 0 and seen_b.std() > 0):
        return Shift(np.array([float(columns), float(rows)]), 0.0)
    window = np.outer(*(windows.tukey(side, FADING) for side in seen_a.shape))
    fine_rows, fine_columns = _peak(seen_a * window, seen_b * window, upsampling=UPSAMPLING)
    if max(abs(fine_rows), abs(fine_columns)) > NEAR_PX:
        # another peak: the two do not show the same
        fine_rows = fine_columns = 0.0
    likeness = float(np.corrcoef(seen_a.ravel(), seen_b.ravel())[0, 1])
    return Shift(np.array([columns + fine_columns, rows + fine_rows]), likeness)


def features(image: Plane) -> Plane:
    """An image relative to its mean, of which only details from one to eight pixels are left."""
    mean = float(image.mean())
    relative = image / mean if mean > 0 else image
    plane: Plane = ndimage.gaussian_filter(relative, FINE_PX) - ndimage.gaussian_filter(relative, COARSE_PX)
    return plane


def as_plane(image: Image) -> Plane:
    """ADU as floating-point numbers."""
    return image.astype(np.float64)


def _peak(a: Part, b: Part, *, upsampling: int) -> tuple[float, float]:
    """Rows and columns by which `b` lies further than `a`."""
    correlate: Any = phase_cross_correlation
    found, _, _ = correlate(a, b, upsample_factor=upsampling, normalization=None)
    return -float(found[0]), -float(found[1])


def _overlap(plane: Plane, rows: int, columns: int) -> Part:
    """What of the first image both show, when the second lies (rows, columns) further, and the other way round."""
    height, width = plane.shape
    return plane[max(0, -rows) : height - max(0, rows), max(0, -columns) : width - max(0, columns)]
