"""Signs, directions and laws that do not depend on numbers."""

import pytest
import torch
from test_reference import random_sample

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_stack

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
SYSTEM = ImagingSystem(sample_px=128)
EXACT = {"rtol": 0.0, "atol": 1e-12}  # float64 FFTs of 16384 points on values near 1


def test_empty_field_is_one_in_bright_field_and_exactly_zero_in_dark_field():
    stack = led_stack(torch.ones(128, 128, dtype=torch.complex128), BOARD, SYSTEM)
    bright = torch.as_tensor(BOARD.na <= SYSTEM.na)
    assert 0 < int(bright.sum()) < BOARD.n_leds
    torch.testing.assert_close(stack[bright], torch.ones_like(stack[bright]), **EXACT)
    assert int(torch.count_nonzero(stack[~bright])) == 0


def test_a_global_phase_does_not_matter():
    t = random_sample(128)
    turned = t * torch.polar(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    torch.testing.assert_close(led_stack(turned, BOARD, SYSTEM), led_stack(t, BOARD, SYSTEM), **EXACT)


def test_a_real_object_looks_the_same_on_both_sides_of_focus_and_from_opposite_leds():
    real = random_sample(128).abs().to(torch.complex128)
    above = led_stack(real, BOARD, SYSTEM, defocus_um=12.0)
    below = led_stack(real, BOARD, SYSTEM, defocus_um=-12.0)
    torch.testing.assert_close(above, below.flip(0), **EXACT)
    focused = led_stack(real, BOARD, SYSTEM)
    torch.testing.assert_close(focused, focused.flip(0), **EXACT)


def test_turning_the_sample_by_half_a_turn_with_the_leds_turns_the_image():
    t = random_sample(128)
    turned = led_stack(t.flip((0, 1)), BOARD, SYSTEM, defocus_um=8.0)
    expected = led_stack(t, BOARD, SYSTEM, defocus_um=8.0).flip(0).flip((-1, -2))
    torch.testing.assert_close(turned, expected, **EXACT)


@pytest.mark.parametrize("axis", [0, 1])
def test_light_travelling_to_plus_x_moves_a_defocused_object_to_plus_x(axis: int):
    """By defocus * tan(angle); likewise for y. The LED itself then stands at minus x."""
    position = [-3.0, 0.0, -100.0] if axis == 0 else [0.0, -3.0, -100.0]
    board = LedBoard("one", torch.tensor([position], dtype=torch.float64).numpy(), torch.eye(3)[2:].double().numpy())
    system = ImagingSystem(sample_px=256)
    um = (torch.arange(256, dtype=torch.float64) - 127.5) * 0.3
    blob = 1 - 0.1 * torch.exp(-(um[:, None] ** 2 + um[None, :] ** 2) / (2 * 5**2))
    camera_um = torch.as_tensor(system.camera_axis_um)

    def centroid_um(defocus_um: float) -> float:
        dark = (1 - led_stack(blob.to(torch.complex128), board, system, defocus_um=defocus_um)[0]).sum(dim=axis)
        return float((dark * camera_um).sum() / dark.sum())

    assert centroid_um(0.0) == pytest.approx(0.0, abs=0.01)
    # a blob this wide stays inside the pupil to a per cent
    assert centroid_um(40.0) == pytest.approx(40 * 0.03, rel=0.03)


def test_a_prism_that_bends_light_to_plus_x_is_seen_from_dark_field_leds_at_plus_x():
    """An LED at +x sends light to -x, which the prism brings back into the pupil."""
    row = LedBoard.grid(rows=1, columns=3, pitch_mm=8.0, distance_mm=50.0)
    x = torch.arange(128, dtype=torch.float64) / 128
    prism = torch.polar(torch.ones(128, 128, dtype=torch.float64), (2 * torch.pi * 11 * x).expand(128, 128))
    brightness = led_stack(prism, row, SYSTEM).mean(dim=(-1, -2))
    torch.testing.assert_close(brightness, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), **EXACT)
