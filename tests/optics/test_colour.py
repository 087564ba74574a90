"""Several colours and finite bandwidth."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics import Band, ImagingSystem, band_lines, band_stack, colour_stack, led_stack

SYSTEM = ImagingSystem(sample_px=128, camera_pixel_um=0.6)


def board(pitch_mm: float) -> LedBoard:
    return LedBoard.grid(rows=5, columns=5, pitch_mm=pitch_mm, distance_mm=60)


def sample(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(128, 0.3, dtype=torch.float64)
    smooth = torch.exp(-(frequency[:, None] ** 2 + frequency**2) / 0.5)
    noise = torch.randn(*shape, 128, 128, dtype=torch.float64, generator=generator)
    phase = torch.fft.ifft2(torch.fft.fft2(noise) * smooth).real
    return torch.polar(torch.ones_like(phase), 0.6 * phase / phase.std())


def test_lines_stand_for_equal_parts_of_the_light():
    band = Band(0.53, 0.03)
    lines = band.lines(1001)
    assert lines.mean() == pytest.approx(0.53, abs=1e-12)
    # half of the light of a Gaussian lies within 0.6745 standard deviations; its width at half maximum is 2.3548
    inside = np.abs(lines - 0.53) < 0.6745 * 0.03 / 2.3548
    assert inside.mean() == pytest.approx(0.5, abs=2e-3)  # two of 1001 lines
    np.testing.assert_array_equal(Band(0.53).lines(4), [0.53] * 4)


def test_a_band_is_the_mean_of_its_lines():
    t, leds = sample(), torch.tensor([12, 3])
    first, second = (
        led_stack(t, board(4), SYSTEM.at_wavelength(float(w)), leds=leds) for w in Band(0.53, 0.03).lines(2)
    )
    made = band_stack(t, board(4), SYSTEM, Band(0.53, 0.03), lines=2, leds=leds)
    torch.testing.assert_close(made, (first + second) / 2, rtol=1e-13, atol=0)


@pytest.mark.parametrize("pitch_mm", [1.2, 6.0])
@pytest.mark.parametrize(("fwhm_um", "at_least"), [(0.015, 1), (0.03, 2)])
def test_lines_suffice(pitch_mm: float, fwhm_um: float, at_least: int):
    band, leds = Band(0.53, fwhm_um), board(pitch_mm)
    fine = band_stack(sample(), leds, SYSTEM, band, lines=60)
    count = band_lines(band, leds, SYSTEM)
    assert count >= at_least
    error = (band_stack(sample(), leds, SYSTEM, band) - fine).square().mean((-1, -2)).sqrt().median()
    # the promise of band_lines: 1 to 2 %
    assert float(error / fine[12].mean()) < 0.02


def test_each_colour_has_its_own_wavelength_and_sample():
    t = sample(2, 3)
    made = colour_stack(t, board(4), SYSTEM, leds=torch.tensor([7]), defocus_um=2.0)
    assert made.shape == (2, 3, 1, SYSTEM.camera_px, SYSTEM.camera_px)
    blue = led_stack(t[1, 2], board(4), SYSTEM.at_wavelength(0.47), leds=torch.tensor([7]), defocus_um=2.0)
    assert torch.equal(made[1, 2], blue)


def test_a_wrong_number_of_colours_is_refused():
    with pytest.raises(WrongFormat, match=r"has 2 colours, board 'grid' 3"):
        colour_stack(sample(2), board(4), SYSTEM)


@pytest.mark.parametrize("values", [(0.0, 0.0), (0.53, -0.01), (0.53, 0.3), (math.nan, 0.01)])
def test_impossible_lines_are_refused(values: tuple[float, float]):
    with pytest.raises(ConfigError, match="impossible"):
        Band(*values)
