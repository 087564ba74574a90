"""Programs that compute one image per LED: lsm's own, and what people write and use instead.

All but lsm's are given the sample shifted onto the camera's pixel centres, and sample the intensity
there: integrating over pixels, which lsm does by default, is more work than is asked of them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from lsm.bench.cases import Case
from lsm.optics import _native, led_stack

# full-size images computed together where memory is reused: larger chunks were slower
CHUNK = 4
DEFAULT, POINT, TORCH_PROGRAM = "lsm", "lsm, point pixels", "lsm, torch program"
NAIVE, SHORT_TILTS = "torch, full size", "torch, short tilts"
REUSED, FFT_ALONE = "torch, memory reused", "inverse FFT alone"

Sample = Complex[Tensor, "batch y x"]
Leds = Int[Tensor, " led"]
Images = Float[Tensor, "batch led cy cx"]


@runtime_checkable
class Contender(Protocol):
    """name: in tables. full_size: it takes the shifted sample and is slow. differentiable: it has a gradient."""

    name: str
    full_size: bool
    differentiable: bool

    def images(self, case: Case, sample: Sample, leds: Leds) -> Images: ...

    def gradient(self, case: Case, sample: Sample, leds: Leds) -> Sample:
        """Gradient in the sample of the sum of the squares of all images."""
        ...


class Lsm:
    """`led_stack` as it is called by default, or with other settings, or without its kernel."""

    full_size, differentiable = False, True

    def __init__(self, name: str, *, native: bool = True, settings: Mapping[str, Any] | None = None) -> None:
        self.name, self._native, self._settings = name, native, dict(settings or {})

    def images(self, case: Case, sample: Sample, leds: Leds) -> Images:
        with kernel(on=self._native):
            return led_stack(sample, case.board, case.system, leds=leds, **self._settings)

    def gradient(self, case: Case, sample: Sample, leds: Leds) -> Sample:
        leaf = sample.detach().requires_grad_()
        with kernel(on=self._native):
            images = led_stack(leaf, case.board, case.system, leds=leds, **self._settings)
            return torch.autograd.grad(images.square().sum(), leaf)[0]


class PerLed:
    """One LED after the other, and its gradient before the next: that needs the least memory and time."""

    full_size, differentiable = True, True
    name: str

    def image(self, case: Case, sample: Sample, led: int) -> Float[Tensor, "batch cy cx"]:
        raise NotImplementedError

    def images(self, case: Case, sample: Sample, leds: Leds) -> Images:
        return torch.stack([self.image(case, sample, led) for led in leds.tolist()], dim=1)

    def gradient(self, case: Case, sample: Sample, leds: Leds) -> Sample:
        leaf, total = sample.detach().requires_grad_(), torch.zeros_like(sample)
        for led in leds.tolist():
            total += torch.autograd.grad(self.image(case, leaf, led).square().sum(), leaf)[0]
        return total


class Naive(PerLed):
    """As a user of torch would write it: tilt, transform, pupil, transform back, magnitude, camera pixels.

    short_tilts: make the tilt as a product of one along x and one along y. The exponentials of a whole
    image take most of the time otherwise.
    """

    def __init__(self, *, short_tilts: bool = False) -> None:
        self.name, self._short = SHORT_TILTS if short_tilts else NAIVE, short_tilts

    def image(self, case: Case, sample: Sample, led: int) -> Float[Tensor, "batch cy cx"]:
        n, step = case.system.sample_px, case.system.decimation
        x, y = (2j * torch.pi * bins * torch.arange(n) / n for bins in case.bins[led].tolist())
        tilt = torch.exp(y)[:, None] * torch.exp(x) if self._short else torch.exp(y[:, None] + x)
        field = torch.fft.ifft2(torch.fft.fft2(sample * tilt) * case.mask)
        intensity: Tensor = field.abs() ** 2
        return intensity[..., ::step, ::step]


class Reused:
    """The best at full size: one transform per LED, of a spectrum computed once, into memory used again.

    Its pupils are computed outside of the timing.
    """

    name, full_size, differentiable = REUSED, True, True

    def __init__(self) -> None:
        self._masks: dict[tuple[Case, int], Tensor] = {}

    def images(self, case: Case, sample: Sample, leds: Leds) -> Images:
        batch, n, step = case.batch, case.system.sample_px, case.system.decimation
        spectrum = torch.fft.fft2(sample)[:, None]
        images = torch.empty(batch, len(leds), n // step, n // step)
        passed = torch.empty(batch, CHUNK, n, n, dtype=sample.dtype)
        field = torch.empty_like(passed)
        for first, masks in self._chunks(case, leds):
            count = len(masks)
            torch.mul(spectrum, masks, out=passed[:, :count])
            torch.fft.ifft2(passed[:, :count], out=field[:, :count])
            seen = field[:, :count, ::step, ::step]
            torch.add(seen.real.square(), seen.imag.square(), out=images[:, first : first + count])
        return images

    def gradient(self, case: Case, sample: Sample, leds: Leds) -> Sample:
        step = case.system.decimation
        leaf = sample.detach().requires_grad_()
        spectrum = torch.fft.fft2(leaf)
        shared, total = spectrum.detach().requires_grad_(), torch.zeros_like(sample)
        for _, masks in self._chunks(case, leds):
            seen = torch.fft.ifft2(shared[:, None] * masks)[..., ::step, ::step]
            energy = (seen.real.square() + seen.imag.square()).square().sum()
            total += torch.autograd.grad(energy, shared)[0]
        return torch.autograd.grad(spectrum, leaf, total)[0]

    def _chunks(self, case: Case, leds: Leds) -> Iterator[tuple[int, Tensor]]:
        key = (case, len(leds))
        if key not in self._masks:
            self._masks = {key: torch.stack([case.mask_under(led) for led in leds.tolist()])}
        yield from ((i * CHUNK, part) for i, part in enumerate(torch.split(self._masks[key], CHUNK)))


@contextmanager
def kernel(*, on: bool) -> Iterator[None]:
    """Runs lsm.optics with or without its compiled kernel, whatever the environment says."""
    if on:
        yield
        return
    before = os.environ.get("LSM_NATIVE")
    os.environ["LSM_NATIVE"] = "0"
    _native.library.cache_clear()
    try:
        yield
    finally:
        del os.environ["LSM_NATIVE"]
        if before is not None:
            os.environ["LSM_NATIVE"] = before
        _native.library.cache_clear()


def lsm_contenders() -> tuple[Lsm, ...]:
    """The contenders of lsm, the default settings first."""
    return (
        Lsm(DEFAULT),
        Lsm(POINT, settings={"pixel": "point"}),
        Lsm(TORCH_PROGRAM, native=False),
    )
