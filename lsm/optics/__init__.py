"""Light from LEDs through a sample and an objective to camera pixels; differentiable and batched.

Conventions, which tests/physics and tests/optics hold:

- Lengths at the sample are micrometres, at the board millimetres; frequencies are cycles/um. Axes of
  images and spectra are [..., y, x], row 0 at the smallest y, frequencies in torch.fft order.
- Light travels towards +z. The sample is at z = 0, LEDs at negative z. s is the unit vector of an LED's
  light at the sample, from LED to sample; its plane wave there is exp(+2 pi i u.r) with u = s_xy /
  wavelength. So an LED at negative x lights towards plus x, and without a sample its light arrives in
  the pupil at +u. Glass between board and sample changes u by Snell's law; u is that of air.
- Field at the camera: F^-1{ P(f) T(f - u) }, T the Fourier transform (sign exp(-2 pi i f.r)) of the
  transmission t = exp(i phase - absorption / 2). P is 1 inside NA / wavelength, times the factor given as
  `pupil`, times exp(+2 pi i z sqrt((n / wavelength)^2 - f^2)) for the plane z = defocus_um behind the
  sample: with positive defocus the camera sees a plane that the light reaches after the sample.
- Zernike terms have Noll's order and norm, angle from +x towards +y, coefficients in waves RMS: a
  positive one delays light like thickness.
- The sample repeats beyond its grid. Camera pixel i covers sample pixels i * decimation to
  (i + 1) * decimation - 1; point samples are at its centre. There is no magnification and no flip.
- Intensity 1 is the empty field under one bright-field LED; dark field without a sample is exactly 0.
  An LED's irradiance enters as a weight (`effective_weights`), wavelengths and emitters as sums.

Others differ. fpm-py takes u in radians per pixel of the sample and centred spectra; torchoptics has x
first and pads; waveorder divides by the background and has absorption positive where light is gained;
poppy agrees in its Zernike terms. tests/physics/test_against_other_programs.py converts. In
fpm_blood_smear the lateral components are those of the direction from sample to LED, so their sign is
turned.
"""

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
