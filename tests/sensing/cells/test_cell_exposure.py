"""Photons of a cell: equal budgets, shares of captures, noise after the exposure of each capture."""

import pytest
import torch

from lsm.optics import Camera
from lsm.sensing.cells.exposure import CellCapture, PhotonBudget, per_image

QUIET = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0)


def flat(level: float, parts: int = 1, rows: int = 64) -> torch.Tensor:
    return torch.full((rows, parts, 16, 16), level)


def expose(images: torch.Tensor, budget: PhotonBudget, channel: list[int], sign: list[float], emitted: list[float]):
    capture = CellCapture(QUIET, budget)
    generator = torch.Generator().manual_seed(0)
    return capture(images, torch.tensor(emitted), torch.tensor(channel), torch.tensor(sign), generator)


@pytest.mark.parametrize("level", [1.0, 0.03])
def test_equal_signal_is_the_same_mean_under_any_light(level: float):
    budget = PhotonBudget(electrons=2000.0)
    found = expose(flat(level), budget, [0], [1.0], [1.0])
    # 16384 pixels of spread sqrt(2009) e: a standard error of 0.35 e
    assert float(found.mean()) == pytest.approx(2000, abs=2)


def test_noise_is_that_of_photons_and_read_out():
    found = expose(flat(1.0), PhotonBudget(electrons=2000.0), [0], [1.0], [1.0])
    # shot noise 2000 and read noise 3^2; the variance of 16384 samples is good to 1.1 %
    assert float(found.var()) == pytest.approx(2009, rel=0.04)


def test_two_captures_share_the_photons_of_one():
    found = expose(flat(1.0, parts=2), PhotonBudget(electrons=2000.0), [0, 1], [1.0, 1.0], [1.0, 1.0])
    assert found.mean(dim=(0, 2, 3)).tolist() == pytest.approx([1000, 1000], abs=2)


def test_a_difference_is_exposed_alike_and_keeps_the_noise_of_both():
    images = torch.cat([flat(1.0), flat(0.5)], dim=1)
    found = expose(images, PhotonBudget(electrons=3000.0), [0, 0], [1.0, -1.0], [1.0, 1.0])
    assert float(found.mean()) == pytest.approx(1000, abs=2)
    assert float(found.var()) == pytest.approx(3000 + 2 * 9, rel=0.04)


def test_equal_light_leaves_a_dark_field_dark():
    budget = PhotonBudget(rule="light", electrons=2000.0)
    bright = expose(flat(9.0), budget, [0], [1.0], [9.0])
    dark = expose(flat(0.36), budget, [0], [1.0], [72.0])
    assert float(bright.mean()) == pytest.approx(2000, abs=2)
    assert float(dark.mean()) == pytest.approx(10, abs=0.5)


def test_no_exposure_passes_the_peak():
    images = flat(0.1)
    images[:, :, 4:12, 4:12] = 1.0
    found = expose(images, PhotonBudget(electrons=8000.0, peak=0.5), [0], [1.0], [1.0])
    assert float(found[:, :, 4:12, 4:12].mean()) == pytest.approx(0.5 * QUIET.full_well_e, rel=0.01)


def test_frozen_exposures_do_not_follow_the_cell():
    capture = CellCapture(QUIET, PhotonBudget(electrons=2000.0))
    one, nothing = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    capture.freeze([capture.exposures(flat(1.0), one, nothing)])
    dim = capture(flat(0.5), one, nothing, one, torch.Generator().manual_seed(0))
    assert float(dim.mean()) == pytest.approx(1000, abs=2)


def test_an_image_of_noise_is_not_scaled_up():
    noise = 3 * torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(per_image(noise).std()) < 0.15
    assert float(per_image(1000 * noise).std()) == pytest.approx(1.0, abs=0.05)


def test_no_capture_is_longer_than_the_rig_allows_and_dark_current_grows_with_it():
    dark = QUIET.model_copy(update={"dark_e_per_s": 100.0})
    budget = PhotonBudget(electrons=2000.0, flux_e_per_ms=100.0, exposure_max_ms=500.0)
    capture = CellCapture(dark, budget)
    one, nothing = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    assert capture.exposures(flat(1e-3), one, nothing).tolist() == [50000.0]
    found = capture(flat(1e-3), one, nothing, one, torch.Generator().manual_seed(0))
    # 50 e of light and 50 e of dark current in half a second; a standard error of 0.1 e
    assert float(found.mean()) == pytest.approx(100, abs=0.5)


def test_the_source_flickers_in_training_alone():
    capture = CellCapture(QUIET, PhotonBudget(electrons=2000.0), brightness_error=0.3)
    one, nothing = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    assert float(capture(flat(1.0), one, nothing, one, generator).mean(dim=(1, 2, 3)).std()) > 300
    capture.eval()
    assert float(capture(flat(1.0), one, nothing, one, generator).mean(dim=(1, 2, 3)).std()) < 10
