"""The whole way from a thin sample to one image per LED."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem
from lsm.optics.image import average_over_pixel, cut_margin
from lsm.optics.propagate import Windows, crop, illumination_frequencies, intensity, pupil_windows, sample_spectrum
from lsm.optics.pupil import PupilFactor, Scalar, aperture, defocus_factor, sample_pupil

# about eight 224 x 224 complex64 fields: what stays in a 2 MB level-2 cache
CHUNK_POINTS = 8 * 224 * 224


def led_stack(
    transmission: Complex[Tensor, "*batch y x"],
    board: LedBoard,
    system: ImagingSystem,
    *,
    leds: Int[Tensor, " led"] | None = None,
    defocus_um: float | Scalar = 0.0,
    pupil: PupilFactor | None = None,
    pixel: Literal["area", "point"] = "area",
    tilt: Literal["exact", "bin"] = "exact",
) -> Float[Tensor, "*batch led cy cx"]:
    """One intensity image per LED [..., led, camera_px, camera_px]; 1.0 is the empty bright field.

    transmission: complex amplitude [..., sample_px, sample_px], taken as periodic; row 0 at smallest y.
    leds: indices in board order, all when None. The LED's relative irradiance is not included.
    defocus_um: distance from the sample to the plane in focus, along the light.
    pupil: factor [computed_px, computed_px] on `frequency_axis`, times aperture and defocus.
    pixel: "area" averages over the camera pixel, "point" samples at its centre; they differ by about
    9 % of the peak, so compare only like with like. `integrate_pixels` turns summed points into area.
    tilt: "exact" puts the pupil at each LED's true frequency; "bin" moves the LED to the nearest
    frequency bin, off by up to wavelength / (2 field_um) in NA (0.001 at 0.53 um and 269 um).
    Differentiable in transmission, defocus_um and pupil; without gradients nothing but the result is kept.
    Raises WrongFormat for a sample of another size, ConfigError where the grid is too coarse.
    """
    n = system.sample_px
    if transmission.shape[-2:] != (n, n):
        raise WrongFormat(
            f"The sample is {tuple(transmission.shape[-2:])}, not {(n, n)} px.",
            hint="render it with sample_px and sample_pixel_um of the imaging system",
        )
    chosen = torch.arange(board.n_leds) if leds is None else leds.cpu()
    if chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < board.n_leds:
        raise WrongFormat(
            f"LEDs {int(chosen.min())} to {int(chosen.max())} do not all exist on board '{board.name}'.",
            hint=f"LEDs are 0 to {board.n_leds - 1}",
        )
    frequencies = illumination_frequencies(board, system)[chosen.numpy()]
    windows = pupil_windows(frequencies, system, snap=tilt == "bin", dtype=transmission.real.dtype)
    spectrum = sample_spectrum(transmission.reshape(-1, n, n), system)
    images = _stack(spectrum, windows, system, defocus_um, pupil, area=pixel == "area")
    return images.reshape(*transmission.shape[:-2], *images.shape[1:])


def _stack(
    spectrum: Complex[Tensor, "batch bins"],
    windows: Windows,
    system: ImagingSystem,
    defocus_um: float | Scalar,
    pupil: PupilFactor | None,
    *,
    area: bool,
) -> Float[Tensor, "batch led cy cx"]:
    batch, leds, side = spectrum.shape[0], windows.rows.shape[0], system.camera_px
    chunk = max(1, CHUNK_POINTS // (system.intensity_px**2 * batch))
    images = (
        _to_camera(
            intensity(
                crop(spectrum, part, system.sample_px) * _pupil(part, system, defocus_um, pupil, spectrum),
                system.intensity_px,
            ),
            system,
            area=area,
        )
        for part in _chunks(windows, chunk)
    )
    inputs = (spectrum, defocus_um, pupil)
    if any(isinstance(tensor, Tensor) and tensor.requires_grad for tensor in inputs):
        return torch.cat(list(images), dim=1)
    stack = spectrum.real.new_empty(batch, leds, side, side)
    for start, image in zip(range(0, leds, chunk), images, strict=True):
        stack[:, start : start + chunk] = image
    return stack


def _to_camera(
    image: Float[Tensor, "batch led n n"], system: ImagingSystem, *, area: bool
) -> Float[Tensor, "batch led cy cx"]:
    step = system.intensity_px // system.computed_px
    averaged = average_over_pixel(image, system) if area else image
    return cut_margin(averaged[..., ::step, ::step], system)


def _pupil(
    part: Windows,
    system: ImagingSystem,
    defocus_um: float | Scalar,
    pupil: PupilFactor | None,
    spectrum: Complex[Tensor, "batch bins"],
) -> Tensor:
    fx, fy = part.fx.to(spectrum.device), part.fy.to(spectrum.device)
    passed: Tensor = aperture(fx, fy, system)
    if isinstance(defocus_um, Tensor) or defocus_um != 0.0:
        passed = passed * defocus_factor(fx, fy, system, defocus_um)
    if pupil is not None:
        passed = passed * sample_pupil(pupil, fx, fy, system)
    return passed


def _chunks(windows: Windows, size: int) -> Iterator[Windows]:
    for start in range(0, windows.rows.shape[0], size):
        part = slice(start, start + size)
        yield Windows(windows.columns[part], windows.rows[part], windows.fx[part], windows.fy[part])
