"""Derivatives of everything that is differentiated, against finite differences in float64."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics import (
    Camera,
    ImagingSystem,
    ZernikePupil,
    _native,
    led_stack,
    pattern_image,
    pattern_stack,
    zernike_pupil,
)

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=2.0, distance_mm=50.0)
SYSTEM = ImagingSystem(sample_px=32, sample_pixel_um=0.6, camera_pixel_um=1.2)


@pytest.fixture(params=["kernel", "torch"], autouse=True)
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each derivative is written twice: in the kernel and in torch."""
    if request.param == "torch":
        monkeypatch.setattr(_native, "library", lambda: None)
    elif _native.library() is None:
        pytest.skip("the optics kernel is not built")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # thousands of tiny images: threads would only wait for each other
    yield
    torch.set_num_threads(before)


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


def test_gradient_of_one_defocus_for_each_sample():
    z = torch.tensor([3.0, -5.0], dtype=torch.float64, requires_grad=True)
    both = torch.stack([sample(), sample().flip(0)])
    assert torch.autograd.gradcheck(lambda z: led_stack(both, BOARD, SYSTEM, defocus_um=z)[..., ::5, ::5], (z,))


@pytest.mark.parametrize("pixel", ["area", "point"])
def test_gradient_of_led_positions(pixel: str):
    """Through the soft edge of the aperture and through the aberrations that each LED meets."""
    positions = torch.from_numpy(BOARD.positions_mm.copy()).requires_grad_()

    def images(where: Tensor) -> Tensor:
        view = {"defocus_um": 8.0, "pupil": ZernikePupil({7: 0.1}), "edge": "soft", "pixel": pixel}
        return led_stack(sample(), BOARD, SYSTEM, positions_mm=where, **view)[:, ::5, ::5]

    assert torch.autograd.gradcheck(images, (positions,))


def test_gradient_of_zernike_coefficients():
    phase, amplitude = (torch.tensor([0.1, -0.05], dtype=torch.float64, requires_grad=True) for _ in range(2))

    def images(waves_rms: Tensor, log_amplitude: Tensor) -> Tensor:
        pupil = ZernikePupil({6: waves_rms[0], 11: waves_rms[1]}, {4: log_amplitude[0], 5: log_amplitude[1]})
        return led_stack(sample(), BOARD, SYSTEM, pupil=pupil)[:, ::5, ::5]

    assert torch.autograd.gradcheck(images, (phase, amplitude))


def test_gradient_of_pattern_weights_without_a_stack():
    weights = torch.rand(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: pattern_stack(sample(), BOARD, SYSTEM, w)[:, ::5, ::5], (weights,))


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
