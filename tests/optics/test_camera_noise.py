"""The camera measured as EMVA Standard 1288 (release 4.0) measures one, and its gradients."""

import math

import numpy as np
import pytest
import torch

from lsm.errors import WrongFormat
from lsm.optics import Camera

PX = 256
UNIFORM = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0, bits=14, full_well_e=10_000.0, read_noise_e=6.0)


def flat(electrons: float, px: int = PX) -> torch.Tensor:
    return torch.full((px, px), electrons)


def mean_and_variance(camera: Camera, electrons: float, generator: torch.Generator) -> tuple[float, float]:
    """Mean and temporal variance in ADU from two images, as EMVA 1288 section 6.6 takes them."""
    a, b = (camera.expose(flat(electrons), 1.0, generator).double() for _ in range(2))
    return float((a + b).mean() / 2), float((a - b).square().mean() / 2)


def test_photon_transfer_is_a_line_of_slope_one_over_gain_from_the_read_noise():
    generator = torch.Generator().manual_seed(1)
    points = [
        mean_and_variance(UNIFORM, e, generator) for e in (0.0, 50.0, 200.0, 600.0, 1500.0, 3000.0, 5000.0, 8000.0)
    ]
    mean, variance = np.array(points).T
    # a variance from 65536 differences is known to sqrt(2 / 65536) = 0.55 % of itself
    slope, intercept = np.polyfit(mean - UNIFORM.offset_adu, variance, 1, w=1 / variance)
    # eight such points: four sigma of the slope
    assert slope * UNIFORM.gain_e_per_adu == pytest.approx(1.0, abs=0.01)
    # rounding adds 1/12 ADU^2; the dark point has the most weight: four sigma
    assert intercept == pytest.approx((6.0 / UNIFORM.gain_e_per_adu) ** 2 + 1 / 12, rel=0.025)


def test_at_full_well_the_mean_stays_and_the_shot_noise_is_gone():
    generator = torch.Generator().manual_seed(2)
    mean, variance = mean_and_variance(UNIFORM, 20_000.0, generator)
    # read noise of 2.4 ADU over 131072 pixels: 0.007 ADU; four sigma
    assert mean == pytest.approx(10_000 / 2.5 + 20, abs=0.03)
    assert variance == pytest.approx(2.4**2 + 1 / 12, rel=0.025)
    below = mean_and_variance(UNIFORM, 8_000.0, generator)[1]
    assert variance < 0.01 * below


def test_digits_end_at_the_bits():
    camera = Camera(bits=8, full_well_e=1e6)
    image = camera.expose(flat(1e5, 8), 1.0, torch.Generator().manual_seed(0))
    assert int(image.to(torch.int32).min()) == 255


def test_response_and_dark_signal_come_back_from_averages():
    """EMVA 1288 section 8: PRNU from the mean of bright minus dark images, DSNU from the mean of dark ones."""
    camera = Camera(prnu=0.01, dsnu_e=2.0, dark_e_per_s=0.0, read_noise_e=1.0, bits=16, gain_e_per_adu=0.5)
    generator = torch.Generator().manual_seed(3)
    count, light_e = 64, 5000.0

    def average(electrons: float) -> torch.Tensor:
        images = (camera.expose(flat(electrons, 128), 1.0, generator).double() for _ in range(count))
        return sum(images, torch.zeros(128, 128, dtype=torch.float64)) / count * camera.gain_e_per_adu

    dark, bright = average(0.0), average(light_e)
    # what averaging leaves of the temporal noise is taken off, as the standard does
    dsnu_e = math.sqrt(float(dark.var()) - 1.0 / count)
    signal = bright - dark
    prnu = math.sqrt(float(signal.var()) - (light_e + 2.0) / count) / float(signal.mean())
    # a spread of 16384 pixels is known to 0.55 %; four sigma. 78 of 2500 e^2 are shot noise
    assert dsnu_e == pytest.approx(2.0, rel=0.025)
    assert prnu == pytest.approx(0.01, rel=0.025)
    # mean of 16384 pixels of 2 e: 0.016 e; four sigma
    assert float(dark.mean()) - 20.0 * camera.gain_e_per_adu == pytest.approx(0.0, abs=0.065)


def test_dark_current_brings_its_own_shot_noise():
    camera = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=400.0, read_noise_e=0.0, gain_e_per_adu=1.0, offset_adu=0.0)
    generator = torch.Generator().manual_seed(4)
    a, b = (camera.expose(flat(0.0), 1000.0, generator).double() for _ in range(2))
    # 0.55 % of the variance; four sigma
    assert float((a - b).square().mean() / 2) == pytest.approx(400 + 1 / 12, rel=0.025)
    assert float(a.mean()) == pytest.approx(400, abs=0.4)


@pytest.mark.parametrize("signed", [False, True])
def test_the_same_seed_gives_the_same_bytes(signed: bool):
    def run(seed: int) -> bytes:
        generator = torch.Generator().manual_seed(seed)
        if signed:
            return Camera().expose_signed(flat(90.0, 16), flat(40.0, 16), 3.0, generator).numpy().tobytes()
        return Camera().expose(flat(90.0, 16), 3.0, generator).numpy().tobytes()

    assert run(5) == run(5) != run(6)


def test_the_two_images_of_a_signed_pattern_have_two_noises():
    camera = Camera(prnu=0.0, dsnu_e=4.0, dark_e_per_s=0.0, bits=14, read_noise_e=6.0)
    generator = torch.Generator().manual_seed(6)
    difference = camera.expose_signed(flat(3000.0), flat(1000.0), 1.0, generator).double() * camera.gain_e_per_adu
    # 65536 pixels of 63.8 e: 0.25 e; four sigma
    assert float(difference.mean()) == pytest.approx(2000.0, abs=1.0)
    # both shot noises, both read noises, both roundings; the dark signal's spread has gone
    expected = 3000 + 1000 + 2 * 36 + 2 * camera.gain_e_per_adu**2 / 12
    assert float(difference.var()) == pytest.approx(expected, rel=0.025)
    smooth = camera.electrons_signed(flat(3000.0), flat(1000.0), 1.0, generator)
    assert float(smooth.mean()) == pytest.approx(2000.0, abs=1.0)
    assert float(smooth.var()) == pytest.approx(4072.0, rel=0.025)


@pytest.mark.parametrize("electrons", [20.0, 200.0, 4000.0])
def test_gaussian_shot_noise_has_the_mean_and_variance_of_poisson(electrons: float):
    generator = torch.Generator().manual_seed(7)
    smooth = UNIFORM.electrons(flat(electrons), 1.0, generator).double()
    counted = UNIFORM.expose(flat(electrons), 1.0, generator).double()
    counted = (counted - UNIFORM.offset_adu) * UNIFORM.gain_e_per_adu
    variance = electrons + 36
    # four sigma of a mean of 65536 pixels
    assert float(smooth.mean()) == pytest.approx(electrons, abs=4 * math.sqrt(variance) / PX)
    assert float(smooth.var()) == pytest.approx(variance, rel=0.025)
    rounding = UNIFORM.gain_e_per_adu**2 / 12
    assert float(counted.var()) == pytest.approx(variance + rounding, rel=0.025)


def test_gradient_of_electrons_is_the_slope_of_their_mean():
    """d mean / d rate is exposure times response; the noise's own gradient averages out."""
    camera = Camera(prnu=0.05, dsnu_e=1.0)
    rate = torch.full((4000, 4, 4), 30.0, dtype=torch.float64, requires_grad=True)
    camera.electrons(rate, 20.0, torch.Generator().manual_seed(8)).sum().backward()
    assert rate.grad is not None
    step = 0.5
    here = rate.detach()[0]
    slope = (camera.mean_electrons(here + step, 20.0) - camera.mean_electrons(here - step, 20.0)) / (2 * step)
    # d sqrt(mean) / d rate = 20 / (2 sqrt(600)) = 0.41 a draw; 4000 draws, four sigma of 16 pixels
    torch.testing.assert_close(rate.grad.mean(dim=0), slope, rtol=0, atol=4 * 0.41 / math.sqrt(4000))


def test_gradient_of_the_spread_is_the_slope_of_the_spread():
    """Variance grows by one per electron: both images see the same normals."""
    camera = UNIFORM.model_copy(update={"read_noise_e": 0.0})
    rate = torch.tensor(400.0, dtype=torch.float64, requires_grad=True)
    electrons = camera.electrons(rate.expand(PX, PX), 1.0, torch.Generator().manual_seed(9))
    electrons.var().backward()
    # a variance of 65536 pixels: 0.55 %; four sigma
    assert float(rate.grad) == pytest.approx(1.0, rel=0.025)


def test_straight_through_digits_are_the_digits_and_keep_the_gradient():
    electrons = torch.tensor([[-200.0, 3.0], [1234.5, 1e6]], requires_grad=True)
    camera = Camera()
    digits = camera.adu_straight_through(electrons)
    assert torch.equal(digits.detach(), camera.adu(electrons.detach()).to(torch.float32))
    digits.sum().backward()
    # clipped digits do not answer
    torch.testing.assert_close(electrons.grad, torch.tensor([[0.0, 0.4], [0.4, 0.0]]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -3.0])
def test_rates_that_cannot_be_are_refused(bad: float):
    rate = flat(10.0, 4)
    rate[1, 2] = bad
    generator = torch.Generator().manual_seed(0)
    for use in (Camera().expose, Camera().electrons):
        with pytest.raises(WrongFormat, match="electrons per ms") as caught:
            use(rate, 1.0, generator)
        assert "not negative" in caught.value.hint


def test_rounding_of_an_image_filter_below_zero_is_no_light():
    rate = flat(1000.0, 4)
    rate[0, 0] = -1e-3
    assert bool(torch.isfinite(Camera().electrons(rate, 1.0, torch.Generator().manual_seed(0))).all())


@pytest.mark.parametrize("exposure_ms", [0.0, -1.0, math.nan, math.inf])
def test_exposures_that_cannot_be_are_refused(exposure_ms: float):
    with pytest.raises(WrongFormat, match="exposure") as caught:
        Camera().expose(flat(10.0, 4), exposure_ms, torch.Generator().manual_seed(0))
    assert "above 0" in caught.value.hint
    one_bad = torch.tensor([5.0, exposure_ms])[:, None, None]
    with pytest.raises(WrongFormat, match="exposure"):
        Camera().mean_electrons(torch.ones(2, 4, 4), one_bad)


def test_the_default_camera_keeps_its_identity():
    """Shipped models name the camera they were designed for by this digest."""
    assert Camera().digest() == "de8874d6f9a3a82b"
