"""From light on the sensor to what the networks see: exposure, noise, and a fixed scale per pattern."""

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor, nn

from lsm.config import Config
from lsm.optics import Camera

_PEAK_QUANTILE = 0.995


class ExposureConfig(Config):
    """How long each pattern is exposed, and what may go wrong in a capture.

    mean_signal: mean over a typical field, in full wells, that the exposure aims at.
    peak_signal: its 99.5 % quantile stays below this.
    exposure_max_ms: no pattern is exposed longer, however dark it is.
    brightness_error, led_error: relative standard deviation of the whole source and of each LED.
    """

    mean_signal: Annotated[float, Gt(0), Le(1)] = 0.5
    peak_signal: Annotated[float, Gt(0), Le(1)] = 0.9
    exposure_min_ms: Annotated[float, Gt(0)] = 1.0
    exposure_max_ms: Annotated[float, Gt(0)] = 200.0
    brightness_error: Annotated[float, Ge(0)] = 0.04
    led_error: Annotated[float, Ge(0)] = 0.05


class CaptureModel(nn.Module):
    """Exposures [capture] and the scale of each pattern's signal, followed while the light is learned, then frozen.

    The exposure is one number per pattern, not per field: on the microscope it is part of the codebook.
    """

    rate_mean: Tensor
    rate_peak: Tensor
    rate_std: Tensor
    seen: Tensor

    def __init__(self, n_captures: int, camera: Camera, config: ExposureConfig) -> None:
        super().__init__()
        self.camera = camera
        self.config = config
        for name in ("rate_mean", "rate_peak", "rate_std"):
            self.register_buffer(name, torch.zeros(n_captures))
        self.register_buffer("seen", torch.zeros(()))

    @torch.no_grad()
    def follow(self, rates: Float[Tensor, "field capture y x"], *, pace: float = 0.05) -> None:
        """Move the running statistics (electrons per ms) towards those of these fields."""
        pace = max(pace, 1.0 / (1.0 + float(self.seen)))
        for name, value in _statistics(rates).items():
            buffer = getattr(self, name)
            buffer.lerp_(value, pace)
        self.seen += 1

    @torch.no_grad()
    def freeze(self, rates: Iterable[Float[Tensor, "field capture y x"]]) -> None:
        """Set the statistics to the mean over these fields."""
        each = [_statistics(some) for some in rates]
        for name in each[0]:
            getattr(self, name).copy_(torch.stack([statistics[name] for statistics in each]).mean(dim=0))

    @property
    def exposures_ms(self) -> Float[Tensor, " capture"]:
        """Exposure per pattern in steps of 0.1 ms."""
        well_e, config = self.camera.full_well_e, self.config
        by_mean = config.mean_signal * well_e / self.rate_mean.clamp_min(1e-6)
        by_peak = config.peak_signal * well_e / self.rate_peak.clamp_min(1e-6)
        wanted = torch.minimum(by_mean, by_peak).clamp(config.exposure_min_ms, config.exposure_max_ms)
        return (wanted * 10).round() / 10

    @property
    def signal_mean(self) -> Float[Tensor, " capture"]:
        """Mean signal over a typical field, in full wells."""
        return self.rate_mean * self.exposures_ms / self.camera.full_well_e

    @property
    def signal_std(self) -> Float[Tensor, " capture"]:
        """Standard deviation of the signal within a field, in full wells."""
        return (self.rate_std * self.exposures_ms / self.camera.full_well_e).clamp_min(1e-4)

    def forward(
        self, rates: Float[Tensor, "field capture y x"], generator: torch.Generator
    ) -> Float[Tensor, "field capture y x"]:
        """Normalised noisy images; differentiable in the rates."""
        exposure = self.exposures_ms[:, None, None]
        wobble = torch.randn(*rates.shape[:2], 1, 1, generator=generator) * self.config.brightness_error
        electrons = self.camera.electrons(rates * (1 + wobble), exposure, generator)
        return normalise(electrons / self.camera.full_well_e, self.signal_mean, self.signal_std)


def normalise(
    signal: Float[Tensor, "*batch capture y x"], mean: Float[Tensor, " capture"], std: Float[Tensor, " capture"]
) -> Float[Tensor, "*batch capture y x"]:
    """Signal in full wells on the scale of the design fields: zero mean, unit spread in a typical field.

    The scale does not follow the field: a dark-field image of few cells is dark, and must stay so.
    """
    return (signal - mean[:, None, None]) / std[:, None, None]


def signal_of(adu: Float[Tensor, "*batch y x"], camera: Camera) -> Float[Tensor, "*batch y x"]:
    """Signal in full wells from digital numbers."""
    return (adu - camera.offset_adu) * (camera.gain_e_per_adu / camera.full_well_e)


def _statistics(rates: Float[Tensor, "field capture y x"]) -> dict[str, Float[Tensor, " capture"]]:
    flat = rates.movedim(1, 0).flatten(1)
    # Every fourth pixel is enough for a quantile that only sets an exposure.
    peak = torch.quantile(flat[:, ::4], _PEAK_QUANTILE, dim=1)
    return {
        "rate_mean": flat.mean(dim=1),
        "rate_peak": peak,
        "rate_std": rates.std(dim=(2, 3)).mean(dim=0),
    }
