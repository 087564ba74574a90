"""Light from LEDs through a thin sample and an objective to camera pixels; differentiable and batched."""

from lsm.optics.camera import Camera
from lsm.optics.colour import Band, band_lines, band_stack, colour_stack
from lsm.optics.forward import AliasingWarning, led_stack, pattern_stack
from lsm.optics.grid import ImagingSystem
from lsm.optics.illumination import die_points, led_directions
from lsm.optics.image import effective_weights, integrate_pixels, pattern_image
from lsm.optics.multislice import slice_transmissions, thick_stack
from lsm.optics.pupil import PupilFunction, ZernikePupil, frequency_axis, zernike_pupil
from lsm.optics.stage import AxisErrors, StageErrors, StageState
from lsm.optics.tiles import Tile, field_tiles

__all__ = [
    "AliasingWarning",
    "AxisErrors",
    "Band",
    "Camera",
    "ImagingSystem",
    "PupilFunction",
    "StageErrors",
    "StageState",
    "Tile",
    "ZernikePupil",
    "band_lines",
    "band_stack",
    "colour_stack",
    "die_points",
    "effective_weights",
    "field_tiles",
    "frequency_axis",
    "integrate_pixels",
    "led_directions",
    "led_stack",
    "pattern_image",
    "pattern_stack",
    "slice_transmissions",
    "thick_stack",
    "zernike_pupil",
]
