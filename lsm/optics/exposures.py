"""Exposures of many small frames at once, with noise that depends on a key and a number alone.

The model is that of `Camera.electrons` followed by `Camera.adu`: Gaussian shot noise, the full well, dark signal,
read noise, digits. What differs from `Camera.expose` (and so from the twin) is the shot noise, which is Poisson
there; above about ten electrons the two are alike. Normal numbers are quantiles of a 16-bit random number, so none
is beyond 4.3 standard deviations.

Random bits come from Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a
frame's noise is the same alone, in a batch and in any order. On CPUs the compiled kernel (expose.h) does both in one
pass; elsewhere torch does, with the same random bits.
"""

from functools import lru_cache
from typing import Final

import torch
from jaxtyping import Float, Float32, Int, Int32
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.optics import _native
from lsm.optics.camera import Camera, fixed_pattern

NOISE: Final = 0
"""Third word of the counter where bits become noise; other uses of a key take other words."""

_ROUNDS: Final = 10
_MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
_WEYL: Final = (0x9E3779B9, 0xBB67AE85)
_MASK: Final = 0xFFFFFFFF
_PIXELS_PER_BLOCK: Final = 4
_LEAST_E: Final = 1e-3


def philox(counter: Int[Tensor, "*any 4"], key: Int[Tensor, "*any 2"]) -> Int[Tensor, "*any 4"]:
    """Four random 32-bit words for each counter of four and key of two words, all held in int64."""
    a, b, c, d = counter.unbind(-1)
    first, second = key.unbind(-1)
    for _ in range(_ROUNDS):
        # products wrap beyond 63 bits, which leaves both halves right
        left, right = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            ((right >> 32) & _MASK) ^ b ^ first,
            right & _MASK,
            ((left >> 32) & _MASK) ^ d ^ second,
            left & _MASK,
        )
        first, second = (first + _WEYL[0]) & _MASK, (second + _WEYL[1]) & _MASK
    return torch.stack([a, b, c, d], -1)


def expose_rows(
    rate_e_per_ms: Float32[Tensor, "row y x"],
    exposure_ms: Float[Tensor, " row"],
    camera: Camera,
    key: Int[Tensor, "row 2"],
    number: Int[Tensor, " row"],
) -> Int32[Tensor, "row y x"]:
    """Frames in ADU, one per row, with its own exposure and noise.

    key: two 32-bit words per row. number: of the exposure under that key, below 2^32.
    Raises WrongFormat for a rate or exposure that is negative or not finite.
    """
    _check(rate_e_per_ms, exposure_ms)
    library = _native.library() if rate_e_per_ms.device.type == "cpu" else None
    if library is None:
        return _by_torch(rate_e_per_ms, exposure_ms.float(), camera, key, number)
    rate = rate_e_per_ms.contiguous()
    response, dark = _pixels(camera, *rate.shape[1:])
    # words of 32 bits as torch holds them: the lower half of an int64
    exposures = exposure_ms.float().contiguous()
    keys, numbers = (words.to(torch.int32).contiguous() for words in (key, number))
    adu = torch.empty(rate.shape, dtype=torch.int32)
    exposure = _native.Exposure(
        pixels=rate[0].numel() if len(rate) else 0,
        dark_e_per_ms=camera.dark_e_per_s / 1000,
        full_well_e=camera.full_well_e,
        read_noise_e=camera.read_noise_e,
        gain_e_per_adu=camera.gain_e_per_adu,
        offset_adu=camera.offset_adu,
        most_adu=2**camera.bits - 1,
        response=response.data_ptr(),
        dark_e=dark.data_ptr(),
        normal=quantiles().data_ptr(),
        exposure_ms=exposures.data_ptr(),
        key=keys.data_ptr(),
        number=numbers.data_ptr(),
    )

    def work(_: int, first: int, end: int) -> int:
        library.lsm_expose(exposure, rate.data_ptr(), adu.data_ptr(), first, end)
        return 0

    _native.share_out(len(rate), work)
    return adu


@lru_cache(maxsize=1)
def quantiles() -> Float32[Tensor, " word"]:
    """Standard normal numbers for each of 65,536 equally likely words, in ascending order, of variance 1."""
    middle = (torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16
    normal = torch.special.ndtri(middle)
    scaled: Tensor = normal / normal.square().mean().sqrt()
    return scaled.float()


def _by_torch(
    rate: Float32[Tensor, "row y x"],
    exposure_ms: Float32[Tensor, " row"],
    camera: Camera,
    key: Int[Tensor, "row 2"],
    number: Int[Tensor, " row"],
) -> Int32[Tensor, "row y x"]:
    response, dark = (part.to(rate.device) for part in _pixels(camera, *rate.shape[1:]))
    shot, read = (_normals(key, number, rate[0].numel() if len(rate) else 0, half) for half in (0, 16))
    exposure = exposure_ms[:, None, None]
    dark_e_per_ms = torch.tensor(camera.dark_e_per_s / 1000, device=rate.device)
    mean = (rate * exposure * response + dark_e_per_ms * exposure).clamp_min(0)
    charge = mean + torch.sqrt(mean.clamp_min(_LEAST_E)) * shot.reshape(rate.shape)
    charge = charge.clamp_max(camera.full_well_e) + (dark + camera.read_noise_e * read.reshape(rate.shape))
    return camera.adu_float(charge).round().to(torch.int32)


def _normals(
    key: Int[Tensor, "row 2"], number: Int[Tensor, " row"], pixels: int, half: int
) -> Float32[Tensor, "row pixel"]:
    blocks = torch.arange(-(-pixels // _PIXELS_PER_BLOCK), device=key.device)
    zero = torch.zeros_like(number[:, None] + blocks)
    counter = torch.stack([zero + blocks, zero + number[:, None], zero + NOISE, zero], -1)
    words = philox(counter, key[:, None].expand(-1, len(blocks), -1)).flatten(1)[:, :pixels]
    return quantiles().to(key.device)[(words >> half) & 0xFFFF]


@lru_cache(maxsize=8)
def _pixels(camera: Camera, rows: int, columns: int) -> tuple[Float32[Tensor, "y x"], Float32[Tensor, "y x"]]:
    """Response of each pixel, and its offset in electrons."""
    response, dark = (part.float() for part in fixed_pattern(camera.fixed_pattern_seed, rows, columns))
    return (1 + camera.prnu * response).clamp_min(0.0), camera.dsnu_e * dark


def _check(rate: Float32[Tensor, "row y x"], exposure_ms: Float[Tensor, " row"]) -> None:
    if rate.numel() == 0:
        return
    low, high = (float(end) for end in torch.aminmax(rate))
    shortest, longest = (float(end) for end in torch.aminmax(exposure_ms))
    if not (low >= 0 and high < torch.inf and shortest > 0 and longest < torch.inf):
        raise WrongFormat(
            f"Rates of {low:g} to {high:g} electrons per ms for {shortest:g} to {longest:g} ms cannot be exposed.",
            hint="rates are finite and not negative, exposures finite and above 0",
        )
