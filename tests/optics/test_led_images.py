"""Stacks in every form, and images as weighted sums."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.optics import (
    ImagingSystem,
    effective_weights,
    frequency_axis,
    integrate_pixels,
    led_stack,
    pattern_image,
    zernike_pupil,
)
from lsm.optics.pupil import noll_to_nm

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
SYSTEM = ImagingSystem(sample_px=128)


def samples(*batch: int) -> torch.Tensor:
    return torch.randn(*batch, 128, 128, dtype=torch.complex128, generator=torch.Generator().manual_seed(3))


def test_batches_and_chosen_leds_are_parts_of_the_whole():
    t = samples(2, 3)
    stack = led_stack(t, BOARD, SYSTEM)
    assert stack.shape == (2, 3, 25, 32, 32)
    alone = led_stack(t[1, 2], BOARD, SYSTEM, leds=torch.tensor([7, 0]))
    # the same FFTs in another grouping: a few ulp
    torch.testing.assert_close(alone, stack[1, 2, [7, 0]], rtol=1e-13, atol=1e-13)
    assert led_stack(t[0, 0], BOARD, SYSTEM, leds=torch.tensor([], dtype=torch.int64)).shape == (0, 32, 32)


def test_single_precision_is_good_to_five_digits():
    t = samples()
    double = led_stack(t, BOARD, SYSTEM, defocus_um=10.0)
    single = led_stack(t.to(torch.complex64), BOARD, SYSTEM, defocus_um=10.0)
    assert single.dtype == torch.float32
    # float32 FFT of 16384 points: about 1e-6 of the largest value
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5 * float(double.max()))


def test_without_gradients_the_same_images_come_out():
    t = samples()
    with torch.no_grad():
        plain = led_stack(t, BOARD, SYSTEM)
    tracked = led_stack(t.requires_grad_(), BOARD, SYSTEM)
    assert tracked.requires_grad
    torch.testing.assert_close(plain, tracked.detach(), rtol=1e-13, atol=1e-13)


def test_integrating_pixels_after_the_sum_equals_summing_area_images():
    system = ImagingSystem(sample_px=128, margin_px=3)
    weights = torch.rand(4, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first = pattern_image(led_stack(samples(), BOARD, system), weights)
    points = led_stack(samples(), BOARD, system.without_margin(), pixel="point")
    # linear operations in another order, sums of 25 terms
    torch.testing.assert_close(integrate_pixels(pattern_image(points, weights), system), first, rtol=0, atol=1e-13)


def test_point_samples_of_an_undersampled_image_cannot_be_integrated():
    blue = ImagingSystem(sample_px=128, wavelength_um=0.4)
    with pytest.raises(WrongFormat, match="64 are needed"):
        integrate_pixels(torch.ones(32, 32), blue)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 10), st.floats(0, 10), st.integers(0, 2**31))
def test_light_adds(a: float, b: float, seed: int):
    generator = torch.Generator().manual_seed(seed)
    stack = torch.rand(6, 4, 4, dtype=torch.float64, generator=generator)
    one, two = torch.rand(2, 1, 6, dtype=torch.float64, generator=generator)
    together = pattern_image(stack, a * one + b * two)
    # sums of six terms below 60
    torch.testing.assert_close(
        together, a * pattern_image(stack, one) + b * pattern_image(stack, two), rtol=0, atol=1e-12
    )


def test_weights_carry_the_fall_off_of_the_board():
    weights = effective_weights(BOARD, torch.ones(2, 25, dtype=torch.float64))
    np.testing.assert_allclose(weights[1].numpy(), BOARD.directions[:, 2] ** 4, rtol=1e-12)


def test_weights_for_another_number_of_leds_are_refused():
    with pytest.raises(WrongFormat):
        effective_weights(BOARD, torch.ones(24))
    with pytest.raises(WrongFormat):
        pattern_image(torch.ones(25, 4, 4), torch.ones(1, 24))


def test_zernike_defocus_acts_like_a_small_distance():
    """Noll 4 in the paraxial limit: a4 = -z NA^2 / (4 sqrt(3) wavelength)."""
    system = ImagingSystem(sample_px=512)
    leds = torch.tensor([6, 12, 13])
    generator = torch.Generator().manual_seed(0)
    phase = torch.nn.functional.interpolate(torch.randn(1, 1, 64, 64, generator=generator), 512, mode="bicubic")[0, 0]
    t = torch.polar(torch.ones(512, 512), phase)
    z_um = 10.0
    waves = -z_um * 0.1**2 / (4 * np.sqrt(3) * 0.53)
    by_pupil = led_stack(t, BOARD, system, leds=leds, pupil=zernike_pupil(system, {4: waves}))
    by_distance = led_stack(t, BOARD, system, leds=leds, defocus_um=z_um)
    change = float((by_distance - led_stack(t, BOARD, system, leds=leds)).norm())
    # the paraxial limit is off by NA^2 / 4, and reading a pupil of 29 bins radius bilinearly by 0.1 %
    assert float((by_pupil - by_distance).norm()) < 0.01 * change


def test_zernike_terms_are_orthonormal_over_the_aperture():
    system = ImagingSystem(sample_px=1024)
    axis = frequency_axis(system) * system.wavelength_um / system.na
    inside = torch.hypot(axis[:, None], axis[None, :]) <= 1
    # piston is left out of the angle by keeping each term well below half a wave
    terms = torch.stack([zernike_pupil(system, {k: 0.02}).angle()[inside] for k in range(2, 12)]) / (0.04 * np.pi)
    gram = terms @ terms.T / int(inside.sum())
    # 10,500 bins in the disc: its edge is known to a few parts in a thousand
    torch.testing.assert_close(gram, torch.eye(10, dtype=torch.float64), rtol=0, atol=0.02)
    assert [noll_to_nm(k) for k in (1, 2, 3, 4, 5, 6, 11)] == [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (4, 0)]
