"""Derivatives of everything that is differentiated, against finite differences in float64."""

import torch

from lsm.illum import LedBoard
from lsm.optics import Camera, ImagingSystem, led_stack, pattern_image, zernike_pupil

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=2.0, distance_mm=50.0)
SYSTEM = ImagingSystem(sample_px=32, sample_pixel_um=0.6, camera_pixel_um=1.2)


def sample() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(32, 32, dtype=torch.complex128, generator=generator)


def test_gradient_of_the_sample():
    t = sample()[:2, :3].clone().requires_grad_()
    rest = sample()

    def images(corner: torch.Tensor) -> torch.Tensor:
        whole = rest.clone()
        whole[:2, :3] = corner
        return led_stack(whole, BOARD, SYSTEM)[:, ::5, ::5]

    assert torch.autograd.gradcheck(images, (t,))


def test_gradient_of_the_pupil():
    pupil = zernike_pupil(SYSTEM, {5: 0.05, 8: 0.1})
    middle = pupil[7:10, 7:10].clone().requires_grad_()

    def images(part: torch.Tensor) -> torch.Tensor:
        whole = pupil.clone()
        whole[7:10, 7:10] = part
        return led_stack(sample(), BOARD, SYSTEM, pupil=whole)[:, ::5, ::5]

    assert torch.autograd.gradcheck(images, (middle,))


def test_gradient_of_the_defocus():
    z = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: led_stack(sample(), BOARD, SYSTEM, defocus_um=z)[:, ::5, ::5], (z,))


def test_gradient_of_the_weights():
    stack = led_stack(sample(), BOARD, SYSTEM)[:, ::5, ::5]
    weights = torch.rand(2, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: pattern_image(stack, w), (weights,))


def test_gradients_pass_the_camera_noise_and_stay_finite_in_the_dark():
    rate = torch.tensor([[0.0, 3.0], [40.0, 90.0]], dtype=torch.float64, requires_grad=True)
    camera = Camera(dark_e_per_s=0.0, dsnu_e=0.0, prnu=0.0)

    def electrons(rate: torch.Tensor) -> torch.Tensor:
        return camera.electrons(rate, 10.0, torch.Generator().manual_seed(2))

    electrons(rate).sum().backward()
    assert rate.grad is not None
    assert bool(torch.isfinite(rate.grad).all())
    lit = rate.detach()[1:].clone().requires_grad_()
    assert torch.autograd.gradcheck(electrons, (lit,))
