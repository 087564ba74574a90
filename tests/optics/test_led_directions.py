"""Directions as the simulator differentiates them, and emitters of finite size."""

import dataclasses

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError
from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem, die_points, led_directions, led_stack, pattern_stack

BOARD = LedBoard.grid(rows=5, columns=4, pitch_mm=9, distance_mm=60, glass=Glass(3.0, 1.6))
SYSTEM = ImagingSystem(sample_px=128)


def test_directions_equal_the_boards():
    for tile_um in ((0.0, 0.0), (700.0, -1200.0)):
        # two ways of solving Snell's law: a few float64 roundings
        np.testing.assert_allclose(
            led_directions(BOARD, tile_um=tile_um).numpy(), BOARD.directions_at(*tile_um), rtol=1e-13, atol=1e-15
        )


def test_directions_have_the_right_derivative_through_glass():
    positions = torch.from_numpy(BOARD.positions_mm.copy()).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: led_directions(BOARD, positions_mm=p, tile_um=(300.0, 100.0)), positions)


def test_an_led_on_the_axis_has_a_derivative():
    board = LedBoard.grid(rows=1, columns=1, pitch_mm=1, distance_mm=60, glass=Glass(1.0))
    positions = torch.from_numpy(board.positions_mm.copy()).requires_grad_()
    led_directions(board, positions_mm=positions)[0, 0].backward()
    # a shift along x turns the light by shift / apparent distance
    assert float(positions.grad[0, 0]) == pytest.approx(-1 / (59 + 1 / 1.52), rel=1e-12)


def test_leds_moved_behind_the_sample_are_refused():
    positions = torch.from_numpy(BOARD.positions_mm.copy())
    positions[3, 2] = 1.0
    with pytest.raises(ConfigError, match=r"LED 3 .* 1\) mm"):
        led_directions(BOARD, positions_mm=positions)


def sample() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    frequency = torch.fft.fftfreq(128, 0.3, dtype=torch.float64)
    smooth = torch.exp(-(frequency[:, None] ** 2 + frequency**2) / 0.5)
    noise = torch.randn(128, 128, dtype=torch.float64, generator=generator)
    phase = torch.fft.ifft2(torch.fft.fft2(noise) * smooth).real
    return torch.polar(torch.ones_like(phase), 0.6 * phase / phase.std())


def rms_error(board: LedBoard, points: int) -> float:
    """Of the images of bright-field LEDs that are wholly inside the pupil, relative to their mean."""
    inside = torch.from_numpy(np.flatnonzero(board.na < 0.06))

    def stack(points: int) -> torch.Tensor:
        return led_stack(sample(), dataclasses.replace(board, die_points=points), SYSTEM, leds=inside)

    fine = stack(20)
    deviation = (stack(points) - fine).square().mean((-1, -2)).sqrt() / fine.mean((-1, -2))
    return float(deviation.median())


@pytest.mark.parametrize(("die_mm", "expected"), [(0.3, 1), (1.0, 2), (3.0, 4)])
def test_points_of_an_emitter_suffice(die_mm: float, expected: int):
    board = LedBoard.grid(rows=5, columns=5, pitch_mm=3.3, distance_mm=68, die_mm=die_mm)
    points = die_points(board, SYSTEM)
    assert points == expected
    # the promise of die_points: 1 to 2 %
    assert rms_error(board, points) < 0.02


def test_a_finite_emitter_is_the_mean_of_its_points():
    board = LedBoard.grid(rows=2, columns=2, pitch_mm=9, distance_mm=60, die_mm=2.0)
    board = dataclasses.replace(board, die_points=2)
    # the middles of four squares of 1 mm
    shifts = [(a, b, 0.0) for a in (-0.5, 0.5) for b in (-0.5, 0.5)]
    small = LedBoard.grid(rows=2, columns=2, pitch_mm=9, distance_mm=60)
    each = [
        led_stack(sample(), small, SYSTEM, positions_mm=torch.from_numpy(small.positions_mm + shift))
        for shift in shifts
    ]
    # sums of four float64 terms
    torch.testing.assert_close(led_stack(sample(), board, SYSTEM), torch.stack(each).mean(0), rtol=0, atol=1e-12)


def test_patterns_of_finite_emitters_add_up():
    board = LedBoard.grid(rows=3, columns=2, pitch_mm=9, distance_mm=60, die_mm=2.0)
    weights = torch.tensor([[1.0, 0, 0.5, 0, 0, 2], [0, 1, 0, 0, 0, 0]], dtype=torch.float64)
    expected = torch.einsum("cl,lyx->cyx", weights, led_stack(sample(), board, SYSTEM))
    torch.testing.assert_close(pattern_stack(sample(), board, SYSTEM, weights), expected, rtol=1e-12, atol=1e-14)


def test_light_through_a_slide_is_that_of_a_nearer_board():
    """On a 1 mm slide the LEDs seem t (1 - 1/n) nearer; what is left is the slide's spherical aberration."""
    near = LedBoard.grid(rows=3, columns=3, pitch_mm=5, distance_mm=60 - (1 - 1 / 1.52))
    on_slide = LedBoard.grid(rows=3, columns=3, pitch_mm=5, distance_mm=60, glass=Glass(1.0))
    # t tan^3(a) (1 - 1/n^2) / 2n / distance, with tan(a) = 0.12: 5e-6 of the sine
    np.testing.assert_allclose(on_slide.na, near.na, atol=1e-5)
    assert not np.allclose(on_slide.na, near.na, atol=1e-6)
