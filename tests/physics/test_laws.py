"""Laws that hold for any sample, light and system of a small size."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, led_stack, pattern_image, pattern_stack

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=7.0, distance_mm=60.0)
quickly = settings(max_examples=15, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)
systems = st.builds(
    ImagingSystem,
    na=st.sampled_from([0.06, 0.1, 0.13]),
    wavelength_um=st.sampled_from([0.47, 0.53, 0.63]),
    sample_pixel_um=st.just(0.4),
    camera_pixel_um=st.sampled_from([0.4, 0.8]),
    sample_px=st.sampled_from([48, 56, 60]),
)
pixels = st.sampled_from(["area", "point"])


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@quickly
@given(systems, pixels, seeds, st.floats(-30, 30))
def test_intensity_goes_with_the_square_of_the_amplitude(system: ImagingSystem, pixel: str, seed: int, z_um: float):
    t = noise(seed, system.sample_px, system.sample_px)
    once, twice = (led_stack(a * t, BOARD, system, pixel=pixel, defocus_um=z_um) for a in (1, 2j))
    # a few roundings of sums of 3000 terms
    torch.testing.assert_close(twice, 4 * once, rtol=1e-10, atol=1e-12)


@quickly
@given(systems, pixels, seeds, st.integers(0, 11), st.integers(0, 11))
def test_a_moved_sample_gives_a_moved_image(system: ImagingSystem, pixel: str, seed: int, dx: int, dy: int):
    t = noise(seed, system.sample_px, system.sample_px)
    d = system.decimation
    image = led_stack(t, BOARD, system, pixel=pixel, defocus_um=7.0)
    moved = led_stack(t.roll((d * dy, d * dx), (0, 1)), BOARD, system, pixel=pixel, defocus_um=7.0)
    torch.testing.assert_close(moved, image.roll((dy, dx), (-2, -1)), rtol=1e-10, atol=1e-12)


@quickly
@given(systems, seeds)
def test_aberrations_and_defocus_keep_the_energy(system: ImagingSystem, seed: int):
    t = noise(seed, system.sample_px, system.sample_px)
    plain = led_stack(t, BOARD, system).mean((-1, -2))
    bent = led_stack(t, BOARD, system, defocus_um=20.0, pupil=ZernikePupil({5: 0.3, 11: -0.2})).mean((-1, -2))
    torch.testing.assert_close(bent, plain, rtol=1e-10, atol=0)


@quickly
@given(systems, pixels, seeds)
def test_light_is_not_negative_and_does_not_interfere_between_leds(system: ImagingSystem, pixel: str, seed: int):
    t = noise(seed, system.sample_px, system.sample_px)
    weights = torch.rand(4, BOARD.n_leds, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    stack = led_stack(t, BOARD, system, pixel=pixel)
    assert float(stack.min()) >= -1e-12 * float(stack.max())  # the pixel's average: rounding of its two transforms
    together = pattern_stack(t, BOARD, system, weights, pixel=pixel)
    torch.testing.assert_close(together, pattern_image(stack, weights), rtol=1e-10, atol=1e-12)


@quickly
@given(seeds)
def test_patterns_and_their_adjoint_agree(seed: int):
    """<A x, y> = <x, A* y>, with A* from autograd."""
    generator = torch.Generator().manual_seed(seed)
    stack = torch.randn(9, 6, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    weights, y = (torch.randn(*s, dtype=torch.float64, generator=generator) for s in ((4, 9), (4, 6, 6)))
    image = pattern_image(stack, weights)
    (back,) = torch.autograd.grad(image, stack, y)
    torch.testing.assert_close((image * y).sum(), (stack * back).sum(), rtol=1e-12, atol=1e-12)


@quickly
@given(systems, pixels, seeds)
def test_derivative_and_its_adjoint_agree(system: ImagingSystem, pixel: str, seed: int):
    """<J v, y> by a central difference, which is exact for a quadratic, against <v, J* y> by autograd."""
    n, side = system.sample_px, system.camera_px
    t, v = noise(seed, n, n).requires_grad_(), noise(seed + 1, n, n)
    y = noise(seed + 2, BOARD.n_leds, side, side).real

    def images(sample: Tensor) -> Tensor:
        return led_stack(sample, BOARD, system, pixel=pixel, defocus_um=4.0, edge="soft")

    with torch.no_grad():
        along = (images(t + v) - images(t - v)) / 2
    (back,) = torch.autograd.grad(images(t), t, y)
    # sums of 20,000 terms of both signs
    assert math.isclose(
        float((along * y).sum()), float((back.conj() * v).real.sum()), rel_tol=1e-8, abs_tol=1e-6 * float(y.norm())
    )


@quickly
@given(systems, st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_a_field_tile_is_lit_as_by_a_board_moved_the_other_way(system: ImagingSystem, x_um: float, y_um: float):
    board = LedBoard.grid(rows=3, columns=3, pitch_mm=7.0, distance_mm=60.0, glass=Glass(1.0))
    t = noise(1, system.sample_px, system.sample_px)
    moved = torch.from_numpy(board.positions_mm) - torch.tensor([x_um / 1000, y_um / 1000, 0.0], dtype=torch.float64)
    tile = led_stack(t, board, system, tile_um=(x_um, y_um), edge="soft")
    torch.testing.assert_close(tile, led_stack(t, board, system, positions_mm=moved, edge="soft"), rtol=0, atol=1e-9)


@pytest.mark.parametrize("edge", ["hard", "soft"])
def test_frequencies_scale_with_the_wavelength(edge: str):
    """All lengths doubled: the same image on the same pixels."""
    small = ImagingSystem(sample_px=64, sample_pixel_um=0.3, camera_pixel_um=0.6, wavelength_um=0.4)
    large = ImagingSystem(sample_px=64, sample_pixel_um=0.6, camera_pixel_um=1.2, wavelength_um=0.8)
    t = noise(0, 64, 64)
    torch.testing.assert_close(
        led_stack(t, BOARD, small, defocus_um=5.0, edge=edge),
        led_stack(t, BOARD, large, defocus_um=10.0, edge=edge),
        rtol=1e-10,
        atol=1e-12,
    )
