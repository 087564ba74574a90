"""The camera against EMVA Standard 1288."""

import numpy as np
import torch

from lsm.optics import Camera

CAMERA = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0, bits=16, read_noise_e=8.0, full_well_e=1e6)


def two_images(camera: Camera, electrons: float, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    rate = torch.full((256, 256), electrons)
    first, second = (camera.expose(rate, 1.0, generator).numpy().astype(np.float64) for _ in range(2))
    return first, second


def test_variance_grows_with_the_mean_by_one_over_gain_from_the_read_noise():
    generator = torch.Generator().manual_seed(0)
    means, variances = [], []
    for electrons in (0.0, 100.0, 1000.0, 4000.0, 9000.0):
        a, b = two_images(CAMERA, electrons, generator)
        means.append((a.mean() + b.mean()) / 2 - CAMERA.offset_adu)
        variances.append((a - b).var() / 2)
    slope = (variances[-1] - variances[1]) / (means[-1] - means[1])
    # relative error of a variance from 65536 pixels is sqrt(2 / 65536) = 0.6 %; five sigma
    assert abs(slope * CAMERA.gain_e_per_adu - 1) < 0.03
    # rounding adds 1/12 ADU^2
    expected = (CAMERA.read_noise_e / CAMERA.gain_e_per_adu) ** 2 + 1 / 12
    assert abs(variances[0] / expected - 1) < 0.03


def test_differentiable_electrons_have_the_mean_and_variance_of_the_true_exposure():
    rate = torch.full((256, 256), 50.0)
    electrons = CAMERA.electrons(rate, 20.0, torch.Generator().manual_seed(1))
    # mean of 65536 pixels: 1032 / 256 / 1000 = 0.01 %; variance 0.6 %; five sigma
    assert abs(float(electrons.mean()) / 1000 - 1) < 1e-3
    assert abs(float(electrons.var()) / (1000 + 64) - 1) < 0.03


def test_response_is_not_uniform_in_the_same_way_in_every_image():
    camera = Camera(prnu=0.02, read_noise_e=0.0)
    rate = torch.full((64, 64), 8000.0)
    response = [camera.mean_electrons(rate, 1.0) for _ in range(2)]
    assert torch.equal(*response)
    # spread of 4096 samples: 1.1 %; five sigma
    assert abs(float(response[0].std() / response[0].mean()) / 0.02 - 1) < 0.06


def test_light_beyond_the_full_well_saturates():
    camera = Camera()
    image = camera.expose(torch.full((32, 32), 1e5), 1.0, torch.Generator().manual_seed(0))
    full_adu = camera.full_well_e / camera.gain_e_per_adu + camera.offset_adu
    # only read noise of 3 e is left, 1.2 ADU
    assert abs(float(image.to(torch.float64).mean()) - full_adu) < 1
    assert int(image.to(torch.int32).max()) < 2**camera.bits


def test_dark_current_fills_the_pixels_without_light():
    camera = Camera(dark_e_per_s=500.0, dsnu_e=0.0)
    mean = camera.mean_electrons(torch.zeros(4, 4), 2000.0)
    torch.testing.assert_close(mean, torch.full((4, 4), 1000.0))
