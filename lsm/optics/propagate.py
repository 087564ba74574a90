"""From the sample's spectrum to one intensity image per LED.

The camera samples only what the pupil passes, so the part of the spectrum under the pupil is
cropped around -u (u: transverse frequency of the LED) and transformed back at camera size. The
result equals the full-size computation at the sampled points.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from lsm.errors import ConfigError
from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem, window_half_width


@dataclass(frozen=True)
class Windows:
    """The bins under the pupil for some LEDs.

    columns, rows: index of each bin in the sample's spectrum [led, k].
    fx, fy: frequency in the pupil of each bin, cycles/um, as [led, 1, k] and [led, k, 1].
    """

    columns: Int[Tensor, "led k"]
    rows: Int[Tensor, "led k"]
    fx: Float[Tensor, "led 1 k"]
    fy: Float[Tensor, "led k 1"]


def illumination_frequencies(board: LedBoard, system: ImagingSystem) -> Float[np.ndarray, "led 2"]:
    """Transverse frequency (x, y) in cycles/um of each LED's plane wave at the sample.

    Raises ConfigError where an LED would need frequencies that the sample grid does not hold.
    """
    frequencies: Float[np.ndarray, "led 2"] = board.directions[:, :2] / system.wavelength_um
    reach = float(np.abs(frequencies).max()) + system.na / system.wavelength_um
    if 2 * reach * system.sample_pixel_um > 1:
        raise ConfigError(
            f"Board '{board.name}' reaches NA {board.na.max():.3f}, beyond sample pixels of "
            f"{system.sample_pixel_um} um.",
            hint=f"use sample_pixel_um below {1 / (2 * reach):.3f}, or a board of smaller NA",
        )
    return frequencies


def pupil_windows(
    frequencies: Float[np.ndarray, "led 2"], system: ImagingSystem, *, snap: bool, dtype: torch.dtype
) -> Windows:
    """Bins of the sample's spectrum that can pass the pupil under each LED.

    snap: move each LED to the nearest bin, an error of up to 1 / (2 field_um) in frequency.
    """
    half = window_half_width(system)
    bins = frequencies * system.field_um
    centre = -np.round(bins).astype(np.int64)
    span = np.arange(-half, half + 1)
    index = centre[:, :, None] + span
    shift = -centre if snap else bins
    pupil_frequency = (index + shift[:, :, None]) / system.field_um
    return Windows(
        columns=torch.from_numpy(index[:, 0] % system.sample_px),
        rows=torch.from_numpy(index[:, 1] % system.sample_px),
        fx=torch.from_numpy(pupil_frequency[:, 0][:, None, :]).to(dtype),
        fy=torch.from_numpy(pupil_frequency[:, 1][:, :, None]).to(dtype),
    )


def sample_spectrum(transmission: Complex[Tensor, "batch y x"], system: ImagingSystem) -> Complex[Tensor, "batch bins"]:
    """Fourier coefficients of the sample, flattened row by row, with the origin at the first camera pixel's centre."""
    n = system.sample_px
    spectrum: Tensor = torch.fft.fft2(transmission, norm="forward")
    # the first camera pixel is centred between sample pixels when the decimation is even
    cycles = torch.fft.fftfreq(n, dtype=torch.float64, device=transmission.device) * (system.decimation - 1) / 2
    ramp = torch.polar(torch.ones_like(cycles), 2 * torch.pi * cycles).to(spectrum.dtype)
    return (spectrum * ramp * ramp[:, None]).reshape(-1, n * n)


def crop(spectrum: Complex[Tensor, "batch bins"], windows: Windows, sample_px: int) -> Complex[Tensor, "batch led k k"]:
    """The part of the spectrum in each LED's window."""
    flat = (windows.rows[:, :, None] * sample_px + windows.columns[:, None, :]).reshape(-1)
    leds, k = windows.rows.shape
    return spectrum.index_select(1, flat.to(spectrum.device)).reshape(-1, leds, k, k)


def intensity(passed: Complex[Tensor, "batch led k k"], n: int) -> Float[Tensor, "batch led n n"]:
    """Squared magnitude of the field on an n x n grid, from the coefficients that passed the pupil.

    The window starts at bin 0 instead of its true place: a shift in frequency, which the magnitude does not see.
    """
    along_x = torch.fft.ifft(passed, n=n, dim=-1, norm="forward")
    field: Tensor = torch.fft.ifft(along_x, n=n, dim=-2, norm="forward")
    return field.real**2 + field.imag**2
