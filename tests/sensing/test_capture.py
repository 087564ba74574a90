"""Exposure, noise and the scale on which networks see images."""

import pytest
import torch

from lsm.optics import Camera
from lsm.sensing.capture import CaptureModel, ExposureConfig, normalise, signal_of

QUIET = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0, read_noise_e=0.0)


def rates(level: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return level * (1 + 0.05 * torch.randn(1, 1, 64, 64, generator=generator)).clamp_min(0)


def frozen(level: float, **changes: float) -> CaptureModel:
    model = CaptureModel(1, QUIET, ExposureConfig(**changes))
    model.freeze([rates(level)])
    return model


def test_the_exposure_brings_the_field_to_its_mean_signal():
    model = frozen(900.0, mean_signal=0.5)
    # 0.5 * 10,000 e- at 900 e-/ms, in steps of 0.1 ms
    assert float(model.exposures_ms) == pytest.approx(5000 / 900, abs=0.06)
    assert float(model.signal_mean) == pytest.approx(0.5, rel=0.02)


def test_bright_spots_shorten_the_exposure_before_they_saturate():
    spotted = rates(50.0)
    spotted[..., :8, :8] = 2000.0
    model = CaptureModel(1, QUIET, ExposureConfig(peak_signal=0.9))
    model.freeze([spotted])
    assert 2000.0 * float(model.exposures_ms) <= 0.91 * QUIET.full_well_e


def test_no_exposure_is_longer_than_allowed_however_dark_the_pattern():
    assert float(frozen(0.01, exposure_max_ms=150.0).exposures_ms) == 150.0


def test_the_followed_statistics_reach_those_of_steady_fields():
    model = CaptureModel(1, QUIET, ExposureConfig())
    for _ in range(5):
        model.follow(rates(300.0))
    assert float(model.exposures_ms) == pytest.approx(float(frozen(300.0).exposures_ms), abs=0.1)


def test_noise_is_that_of_the_electrons():
    model = frozen(900.0, brightness_error=0.0)
    flat = torch.full((1, 1, 128, 128), 900.0)
    seen = model(flat, torch.Generator().manual_seed(1))
    spread = float(seen.std() * model.signal_std) * QUIET.full_well_e
    # shot noise of 5,000 electrons; 16,384 pixels give the deviation to 0.6 %
    assert spread == pytest.approx((900 * float(model.exposures_ms)) ** 0.5, rel=0.03)


def test_gradients_reach_the_rates():
    model = frozen(900.0)
    some = rates(900.0, 3).requires_grad_()
    model(some, torch.Generator().manual_seed(1)).square().sum().backward()
    assert bool((some.grad != 0).any())


def test_the_design_field_has_zero_mean_and_unit_spread():
    seen = frozen(900.0, brightness_error=0.0)(rates(900.0), torch.Generator().manual_seed(0))
    # exposures are rounded to 0.1 ms of 5.6; noise adds 1.4 % to a spread of 5 %
    assert float(seen.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(seen.std()) == pytest.approx(1.0, abs=0.1)


def test_a_dark_field_image_without_cells_stays_dark():
    mean, std = torch.tensor([0.3]), torch.tensor([0.2])
    empty = normalise(torch.full((1, 1, 8, 8), 0.001), mean, std)
    assert torch.allclose(empty, torch.tensor(-1.495), atol=1e-5)


def test_digits_become_full_wells():
    camera = Camera()
    adu = camera.adu_float(torch.tensor([[0.0, camera.full_well_e]]))
    assert torch.allclose(signal_of(adu, camera), torch.tensor([[0.0, 1.0]]), atol=1e-5)
