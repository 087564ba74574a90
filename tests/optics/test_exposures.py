"""Frames with noise by key and number: the bits, the statistics, and both ways of computing them."""

import pytest
import torch

from lsm.errors import WrongFormat
from lsm.optics import Camera, _native
from lsm.optics.exposures import expose_rows, philox, quantiles

CAMERA = Camera()
ALL = 0xFFFFFFFF
FRAMES = 400


def words(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


@pytest.fixture
def rate() -> torch.Tensor:
    return 200 * torch.rand(6, 7, 9, generator=torch.Generator().manual_seed(1))


def keys(n: int, seed: int = 0) -> torch.Tensor:
    return torch.stack([torch.full((n,), ALL - seed), torch.arange(n)], 1)


@pytest.mark.parametrize(
    ("counter", "key", "wanted"),
    [
        # kat_vectors of Random123 1.14 (Salmon et al.), philox4x32 with 10 rounds
        (words(0, 0, 0, 0), words(0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (words(ALL, ALL, ALL, ALL), words(ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            words(0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            words(0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_random_words_are_those_of_the_paper(counter: torch.Tensor, key: torch.Tensor, wanted: tuple[int, ...]):
    assert tuple(philox(counter, key).tolist()) == wanted


def test_quantiles_are_of_a_standard_normal():
    normal = quantiles().double()
    assert len(normal) == 2**16
    # float32 quantiles of variance 1 that lie symmetrically
    assert float(normal.mean()) == pytest.approx(0, abs=1e-8)
    assert float(normal.square().mean()) == pytest.approx(1, abs=1e-6)
    # a normal has 3; the tails end at 4.3
    assert float(normal.pow(4).mean()) == pytest.approx(3, abs=0.01)


def test_the_kernel_and_torch_agree(rate: torch.Tensor, monkeypatch: pytest.MonkeyPatch):
    if _native.library() is None:
        pytest.skip("the optics kernel was not built")
    exposure_ms = torch.tensor([1.0, 5.0, 20.0, 40.0, 80.0, 900.0])
    numbers = torch.tensor([0, 1, 2, 3, ALL, 5])
    fast = expose_rows(rate, exposure_ms, CAMERA, keys(6), numbers)
    monkeypatch.setattr(_native, "library", lambda: None)
    plain = expose_rows(rate, exposure_ms, CAMERA, keys(6), numbers)
    # the same float32 operations in the same order; a square root or division at half a digit may still differ
    assert int((fast - plain).abs().max()) <= 1
    assert float((fast != plain).double().mean()) < 0.01


def test_a_frame_is_the_same_alone_and_in_a_batch(rate: torch.Tensor):
    exposure_ms = torch.linspace(1, 50, 6)
    numbers = torch.arange(6)
    together = expose_rows(rate, exposure_ms, CAMERA, keys(6), numbers)
    for row in range(6):
        one = slice(row, row + 1)
        alone = expose_rows(rate[one], exposure_ms[one], CAMERA, keys(6)[one], numbers[one])
        assert torch.equal(alone, together[one])
    other = expose_rows(rate, exposure_ms, CAMERA, keys(6), numbers + 1)
    assert float((other != together).double().mean()) > 0.9
    assert not torch.equal(expose_rows(rate, exposure_ms, CAMERA, keys(6, seed=1), numbers), together)


def test_mean_and_spread_are_those_of_the_camera(rate: torch.Tensor):
    one = rate[:1]
    exposure_ms = torch.full((FRAMES,), 30.0)
    frames = expose_rows(
        one.expand(FRAMES, -1, -1).contiguous(), exposure_ms, CAMERA, keys(1).expand(FRAMES, -1), torch.arange(FRAMES)
    ).double()
    mean_e = CAMERA.mean_electrons(one.double(), 30.0)[0]
    light_e = mean_e.clamp_min(0)
    wanted = mean_e / CAMERA.gain_e_per_adu + CAMERA.offset_adu
    variance = (light_e + CAMERA.read_noise_e**2) / CAMERA.gain_e_per_adu**2 + 1 / 12  # rounding
    # 63 means of 400 frames: five standard errors
    assert float(((frames.mean(0) - wanted).abs() / torch.sqrt(variance / FRAMES)).max()) < 5
    # the variance of 400 frames has a relative standard error of sqrt(2 / 400); five of them
    assert float((frames.var(0) / variance - 1).abs().max()) < 5 * (2 / FRAMES) ** 0.5
    centred = frames - frames.mean(0)
    neighbours = (centred[:, :, 1:] * centred[:, :, :-1]).mean() / variance.mean()
    following = (centred[1:] * centred[:-1]).mean() / variance.mean()
    # products of 20,000 pairs: five standard errors
    assert max(abs(float(neighbours)), abs(float(following))) < 5 * 20_000**-0.5


def test_bright_pixels_saturate(rate: torch.Tensor):
    frame = expose_rows(rate[:1] + 1, torch.tensor([1e6]), CAMERA, keys(1), torch.zeros(1, dtype=torch.int64))
    top = CAMERA.full_well_e / CAMERA.gain_e_per_adu + CAMERA.offset_adu
    # read noise of 1.2 ADU, at most 4.3 standard deviations, and the pixels' offsets
    assert int((frame - top).abs().max()) <= 7


def test_nothing_gives_nothing():
    none = torch.zeros(0, dtype=torch.int64)
    assert expose_rows(torch.zeros(0, 4, 4), torch.zeros(0), CAMERA, none.reshape(0, 2), none).shape == (0, 4, 4)


@pytest.mark.parametrize(("light", "exposure_ms"), [(-1.0, 1.0), (float("nan"), 1.0), (1.0, 0.0), (1.0, float("inf"))])
def test_what_no_camera_can_expose_is_refused(light: float, exposure_ms: float):
    rate = torch.full((1, 4, 4), light)
    with pytest.raises(WrongFormat, match=r"cannot be exposed.* Hint: rates are finite"):
        expose_rows(rate, torch.tensor([exposure_ms]), CAMERA, keys(1), torch.zeros(1, dtype=torch.int64))
