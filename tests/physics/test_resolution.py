"""What a circular pupil resolves: Airy pattern, cut-off frequencies and transfer functions."""

import numpy as np
import pytest
import torch

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack

AXIS = LedBoard.grid(rows=1, columns=1, pitch_mm=1.0, distance_mm=50.0)


def cosine_gratings(n: int, cycles: list[int], modulation: complex) -> torch.Tensor:
    """Gratings 1 + modulation * cos along x with whole numbers of cycles [grating, n, n]."""
    x = torch.arange(n, dtype=torch.float64) / n
    rows = [1 + modulation * torch.cos(2 * np.pi * m * x).to(torch.complex128) for m in cycles]
    return torch.stack([row.expand(n, n) for row in rows])


def modulation_at(image: torch.Tensor, cycles: int) -> float:
    spectrum = torch.fft.rfft(image.mean(dim=-2))
    return float(2 * spectrum[cycles].abs() / spectrum[0].abs())


def led_at_sine(sine_x: float) -> LedBoard:
    cosine = np.sqrt(1 - sine_x**2)
    return LedBoard("one", -50.0 * np.array([[sine_x, 0.0, cosine]]), np.array([[0.0, 0.0, 1.0]]))


# a binary pupil of 58 bins radius is off by about 0.3 %, an edge that counts the part of a bin inside by 0.1 %
@pytest.mark.parametrize(("edge", "close"), [("hard", 0.005), ("soft", 0.001)])
def test_airy_pattern_has_its_first_zero_at_0_6098_wavelengths_over_na(edge: str, close: float):
    system = ImagingSystem(sample_px=1024, camera_pixel_um=0.3)
    pinhole = torch.zeros(1024, 1024, dtype=torch.complex128)
    pinhole[512, 512] = 1
    image = led_stack(pinhole, AXIS, system, pixel="point", edge=edge)[0]
    axis_um = (torch.arange(1024, dtype=torch.float64) - 512) * 0.3
    radius_um = torch.hypot(axis_um[:, None], axis_um[None, :])
    expected_um = 0.60983 * 0.53 / 0.10
    near = (radius_um > 0.8 * expected_um) & (radius_um < 1.2 * expected_um)
    amplitude = torch.sqrt(image[near]) * torch.sign(expected_um - radius_um[near])
    fit = np.polynomial.Polynomial.fit(radius_um[near].numpy(), amplitude.numpy(), 3)
    roots = fit.roots()
    zero_um = float(roots[np.argmin(np.abs(roots - expected_um))].real)
    assert zero_um == pytest.approx(expected_um, rel=close)


@pytest.mark.parametrize("sine", [0.0, 0.06, -0.09])
def test_grating_disappears_at_the_sum_of_objective_and_illumination_na(sine: float):
    system = ImagingSystem(sample_px=512)
    cutoff = (0.1 + abs(sine)) / 0.53 * system.field_um
    cycles = list(range(round(cutoff) - 4, round(cutoff) + 4))
    stack = led_stack(cosine_gratings(512, cycles, 0.2), led_at_sine(sine), system)
    seen = [m for m, image in zip(cycles, stack[:, 0], strict=True) if modulation_at(image, m) > 1e-6]
    # a grating lies on a whole bin
    assert abs(max(seen) - cutoff) <= 1


def test_weak_grating_under_a_matched_disc_follows_the_incoherent_mtf():
    """sigma = 1: contrast is 2 m (2/pi)(acos v - v sqrt(1 - v^2)), zero from 2 NA on. Goodman, eq. 7-31."""
    sines = np.linspace(-0.1, 0.1, 41)
    x, y = (axis.ravel() for axis in np.meshgrid(sines, sines))
    inside = np.hypot(x, y) <= 0.1
    x, y = x[inside], y[inside]
    rays = np.column_stack([x, y, np.sqrt(1 - x**2 - y**2)])
    disc = LedBoard("disc", -50.0 * rays, np.tile([0.0, 0.0, 1.0], (len(rays), 1)))
    system = ImagingSystem(sample_px=128)
    cycles = [2, 5, 8, 11, 14, 15]
    images = led_stack(cosine_gratings(128, cycles, 0.005), disc, system, pixel="point").mean(dim=1)
    v = np.clip(np.array(cycles) / (2 * system.pupil_radius_bins), 0, 1)
    expected = 2 / np.pi * (np.arccos(v) - v * np.sqrt(1 - v**2))
    measured = [modulation_at(image, m) / 0.01 for m, image in zip(cycles, images, strict=True)]
    # 1250 LEDs stand for a continuous disc: the area on its edge is counted to about 1 %
    np.testing.assert_allclose(measured, expected, atol=0.015)
    assert measured[-1] < 1e-4


def test_phase_contrast_of_a_half_disc_is_linear_for_weak_objects():
    """The image is linear in a small phase; what is left falls to a quarter when the phase is halved."""
    board = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
    system = ImagingSystem(sample_px=128)
    generator = torch.Generator().manual_seed(4)
    smooth = torch.fft.irfft2(
        torch.fft.rfft2(torch.randn(8, 8, generator=generator, dtype=torch.float64)), s=(128, 128)
    )
    smooth = smooth / smooth.abs().max()
    right = torch.as_tensor(board.positions_mm[:, 0] > 0).nonzero()[:, 0]

    def image(scale: float) -> torch.Tensor:
        t = torch.polar(torch.ones_like(smooth), scale * smooth)
        return led_stack(t, board, system, leds=right).mean(dim=0)

    slope = (image(1e-4) - image(-1e-4)) / 2e-4
    assert float(slope.abs().max()) > 0.01
    residuals = [float((image(scale) - image(0.0) - scale * slope).norm()) for scale in (0.1, 0.05)]
    # the cubic term is a few per cent of the quadratic at 0.1 rad
    assert residuals[0] / residuals[1] == pytest.approx(4.0, rel=0.05)
