"""Published packages that compute one image per LED, where they are installed."""

import io
import math
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.bench.cases import Case
from lsm.bench.contenders import Contender, Images, Leds, PerLed, Sample

TORCHOPTICS, FPM_PY = "torchoptics", "fpm-py"
MODULES = {TORCHOPTICS: "torchoptics", FPM_PY: "fpm_py"}


def installed() -> tuple[Contender, ...]:
    """The packages that can be imported."""
    makers: dict[str, type[TorchOptics] | type[FpmPy]] = {TORCHOPTICS: TorchOptics, FPM_PY: FpmPy}
    return tuple(make() for name, make in makers.items() if find_spec(MODULES[name]) is not None)


class TorchOptics(PerLed):
    """torchoptics: a tilted `Field` through a transfer function, the pupil, without the padding it adds by default.

    In single precision like the others; by default it is in double, at half the speed.
    """

    name = TORCHOPTICS

    def __init__(self) -> None:
        self._package = import_module("torchoptics")
        self._through = import_module("torchoptics.propagation.angular_spectrum_method").apply_transfer_function

    def image(self, case: Case, sample: Sample, led: int) -> Float[Tensor, "batch cy cx"]:
        before = self._package.get_default_dtype()
        self._package.set_default_dtype(torch.float32)
        try:
            return self._image(case, sample, led)
        finally:
            self._package.set_default_dtype(before)

    def _image(self, case: Case, sample: Sample, led: int) -> Float[Tensor, "batch cy cx"]:
        system, step = case.system, case.system.decimation
        x, y = (bins / system.field_um * system.wavelength_um for bins in case.bins[led].tolist())
        shape = (system.sample_px, system.sample_px)
        # its x runs along rows
        phase = self._package.profiles.plane_wave_phase(
            shape,
            theta=math.asin(math.hypot(x, y)),
            phi=math.atan2(x, y),
            wavelength=system.wavelength_um,
            spacing=system.sample_pixel_um,
        )
        field = self._package.Field(sample, wavelength=system.wavelength_um, spacing=system.sample_pixel_um)
        tilted = field.modulate(torch.exp(1j * phase))
        passed = self._through(torch.fft.fftshift(case.mask), tilted, torch.tensor([0, 0]))
        seen: Tensor = field.copy(data=passed).intensity()[..., ::step, ::step]
        return seen


class FpmPy:
    """fpm-py: `kvectors_to_image_series` with the pupil given. It has no gradients and no batches."""

    name, full_size, differentiable = FPM_PY, True, False

    def __init__(self) -> None:
        self._simulate = import_module("fpm_py").kvectors_to_image_series

    def images(self, case: Case, sample: Sample, leds: Leds) -> Images:
        return torch.stack([self._series(case, one, leds) for one in sample])

    def gradient(self, case: Case, sample: Sample, leds: Leds) -> Sample:
        raise NotImplementedError("fpm-py transforms without gradients.")

    def _series(self, case: Case, sample: Tensor, leds: Leds) -> Tensor:
        step = case.system.decimation
        per_pixel = 2 * math.pi / case.system.sample_px
        with redirect_stdout(io.StringIO()):
            series = self._simulate(
                sample, case.bins[leds].to(torch.float32) * per_pixel, pupil=torch.fft.fftshift(case.mask)
            )
        return torch.stack([capture.image[::step, ::step] for capture in series.captures])
