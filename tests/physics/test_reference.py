"""Spectrum cropping against the plain full-size computation, in float64."""

import numpy as np
import pytest
import torch

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=6.0, distance_mm=50.0)


def random_sample(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    amplitude = 1 - 0.5 * torch.rand(n, n, generator=generator, dtype=torch.float64)
    return torch.polar(amplitude, torch.randn(n, n, generator=generator, dtype=torch.float64))


def full_size_fields(t: torch.Tensor, system: ImagingSystem, defocus_um: float = 0.0) -> torch.Tensor:
    """Fields on the sample grid, moved by half a camera pixel so that every `decimation`-th is a pixel centre."""
    f = torch.fft.fftfreq(system.sample_px, system.sample_pixel_um, dtype=torch.float64)
    spectrum = torch.fft.fft2(t)
    centre_um = (system.decimation - 1) / 2 * system.sample_pixel_um
    shift = torch.exp(2j * np.pi * centre_um * (f[None, :] + f[:, None]))
    fields = []
    for ux, uy in BOARD.directions[:, :2] / system.wavelength_um:
        square = (f[None, :] + ux) ** 2 + (f[:, None] + uy) ** 2
        inside = square <= (system.na / system.wavelength_um) ** 2
        axial = torch.sqrt((1 / system.wavelength_um**2 - square).clamp_min(0))
        fields.append(torch.fft.ifft2(spectrum * shift * inside * torch.exp(2j * np.pi * defocus_um * axial)))
    return torch.stack(fields)


@pytest.mark.parametrize("defocus_um", [0.0, 17.0])
def test_cropped_spectrum_equals_the_full_computation_at_the_camera_pixels(defocus_um: float):
    system = ImagingSystem(sample_px=128)
    t = random_sample(128)
    expected = full_size_fields(t, system, defocus_um).abs()[:, ::4, ::4] ** 2
    stack = led_stack(t, BOARD, system, pixel="point", defocus_um=defocus_um)
    # two float64 FFTs of 16384 points: some hundred ulp
    torch.testing.assert_close(stack, expected, rtol=0, atol=1e-12 * float(expected.max()))


@pytest.mark.filterwarnings("ignore::lsm.optics.AliasingWarning")
@pytest.mark.parametrize("wavelength_um", [0.53, 0.40])
def test_area_pixels_equal_the_full_computation_even_where_the_camera_undersamples(wavelength_um: float):
    system = ImagingSystem(sample_px=128, wavelength_um=wavelength_um)
    t = random_sample(128)
    intensity = full_size_fields(t, system).abs() ** 2
    f = torch.fft.fftfreq(128, system.sample_pixel_um, dtype=torch.float64) * system.camera_pixel_um
    pixel = torch.sinc(f)[:, None] * torch.sinc(f)
    expected = torch.fft.ifft2(torch.fft.fft2(intensity) * pixel).real[:, ::4, ::4]
    assert (system.intensity_px > system.computed_px) == (wavelength_um == 0.40)
    # four float64 FFTs of 16384 points: some hundred ulp
    torch.testing.assert_close(led_stack(t, BOARD, system), expected, rtol=0, atol=1e-12 * float(expected.max()))


def test_energy_on_the_camera_is_what_the_pupil_lets_pass():
    """Parseval: the mean intensity is the sum of |P T|^2."""
    system = ImagingSystem(sample_px=128)
    t = random_sample(128, seed=1)
    f = np.fft.fftfreq(128, 0.3)
    power = np.abs(np.fft.fft2(t.numpy()) / 128**2) ** 2
    stack = led_stack(t, BOARD, system, pixel="point")
    for led, (ux, uy) in enumerate(BOARD.directions[:, :2] / 0.53):
        inside = (f[None, :] + ux) ** 2 + (f[:, None] + uy) ** 2 <= (0.1 / 0.53) ** 2
        # sums of 16384 float64 terms
        np.testing.assert_allclose(float(stack[led].mean()), power[inside].sum(), rtol=1e-12)


def test_snapping_leds_to_bins_changes_images_by_no_more_than_a_bin_of_tilt():
    """With tilt="bin" every LED acts as if it stood on the nearest frequency bin."""
    system = ImagingSystem(sample_px=128)
    t = random_sample(128)
    bins = np.round(BOARD.directions[:, :2] / 0.53 * system.field_um)
    sine = bins / system.field_um * 0.53
    cosine = np.sqrt(1 - (sine**2).sum(axis=1, keepdims=True))
    moved = LedBoard("moved", -50 * np.hstack([sine, cosine]), BOARD.normals)
    snapped = led_stack(t, BOARD, system, tilt="bin")
    # the pupil sees the same bins up to float64 rounding of the LED positions
    torch.testing.assert_close(snapped, led_stack(t, moved, system), rtol=0, atol=1e-9)
    assert not torch.allclose(snapped, led_stack(t, BOARD, system), atol=1e-3)
