"""Photons of a cell experiment: how long each capture is exposed, its noise, and what the network is given."""

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int
from torch import Tensor, nn

from lsm.config import Config
from lsm.optics import Camera

_PEAK_QUANTILE = 0.995
_FLOOR_E = 30.0
"""Spread in electrons below which an image is noise, not to be scaled up."""


class PhotonBudget(Config):
    """What all captures of a cell together may use, shared out equally among them.

    rule: "signal" exposes until the camera has collected `electrons` per pixel in the mean over a typical cell's
    field; "light" lets the board emit as much light as the empty bright field needs for `electrons` per pixel, so
    that dark-field captures are dark.
    peak: an exposure ends before the 99.5 % quantile of the pixels passes this fraction of the full well. What is
    then lacking in a capture is not made up for by another.
    flux_e_per_ms: electrons per ms and pixel in the empty bright field under the strongest lamp at full drive.
    exposure_max_ms: no capture is exposed longer.
    """

    rule: Literal["signal", "light"] = "signal"
    electrons: Annotated[float, Gt(0)] = 5000.0
    peak: Annotated[float, Gt(0), Le(1)] = 0.9
    flux_e_per_ms: Annotated[float, Gt(0)] = 100.0
    exposure_max_ms: Annotated[float, Gt(0)] = 1000.0


class CellCapture(nn.Module):
    """From images of unit light to noisy images in the units of the network.

    Exposures are set by the batch while training, and by the mean of all training cells once frozen: on the
    microscope they belong to the pattern, not to the cell.
    """

    exposure: Tensor

    def __init__(self, camera: Camera, budget: PhotonBudget, *, brightness_error: float = 0.0) -> None:
        super().__init__()
        self.camera = camera
        self.budget = budget
        self.brightness_error = brightness_error
        self.register_buffer("exposure", torch.zeros(0))

    def forward(
        self,
        images: Float[Tensor, "row part y x"],
        emitted: Float[Tensor, " part"],
        channel: Int[Tensor, " part"],
        sign: Float[Tensor, " part"],
        generator: torch.Generator,
    ) -> Float[Tensor, "row channel y x"]:
        """Electrons of every channel, signed where captures are subtracted.

        images: of unit exposure, an empty bright field under one lamp is its irradiance. emitted: light per unit
        exposure [part]. Noise enters every capture by itself, before anything is subtracted.
        """
        exposure = self.exposure if len(self.exposure) else self.exposures(images, emitted, channel)
        rate = self.budget.flux_e_per_ms * images
        if self.training and self.brightness_error:
            wobble = 1 + self.brightness_error * torch.randn(*images.shape[:2], 1, 1, generator=generator)
            rate = rate * wobble.clamp_min(0)
        exposure_ms = (exposure / self.budget.flux_e_per_ms)[:, None, None]
        electrons = self.camera.electrons(rate, exposure_ms, generator)
        n_channels = int(channel.max()) + 1
        if len(channel) == n_channels:
            return electrons
        total = torch.zeros(len(images), n_channels, *images.shape[2:])
        return total.index_add(1, channel, electrons * sign[:, None, None])

    def exposures(
        self, images: Float[Tensor, "row part y x"], emitted: Float[Tensor, " part"], channel: Int[Tensor, " part"]
    ) -> Float[Tensor, " part"]:
        """Electrons per unit of image for each capture; captures of one channel are exposed alike."""
        n_channels = int(channel.max()) + 1
        spent = emitted if self.budget.rule == "light" else images.mean(dim=(0, 2, 3))
        share = self.budget.electrons * torch.bincount(channel, minlength=n_channels) / len(channel)
        used = torch.zeros(n_channels).index_add(0, channel, spent)
        wanted = (share / used.clamp_min(1e-9))[channel]
        limit = self.budget.peak * self.camera.full_well_e / _peaks(images).clamp_min(1e-9)
        shortest = torch.full((n_channels,), torch.inf).scatter_reduce(0, channel, limit, "amin")[channel]
        longest = self.budget.exposure_max_ms * self.budget.flux_e_per_ms
        return torch.minimum(wanted, shortest).clamp_max(longest)

    @torch.no_grad()
    def freeze(self, exposures: list[Float[Tensor, " part"]]) -> None:
        """Fix the exposures at the mean over these batches."""
        self.exposure = torch.stack(exposures).mean(dim=0)

    def thaw(self) -> None:
        """Let every batch set its own exposures again."""
        self.exposure = torch.zeros(0)


def _peaks(images: Float[Tensor, "row part y x"]) -> Float[Tensor, " part"]:
    flat = images.detach().movedim(1, 0).flatten(1)[:, ::3]
    rank = max(1, round(_PEAK_QUANTILE * flat.shape[1]))
    return flat.kthvalue(rank, dim=1).values


def per_image(electrons: Float[Tensor, "row channel y x"]) -> Float[Tensor, "row channel y x"]:
    """Each image with its own mean at 0 and its own spread at about 1."""
    mean = electrons.mean(dim=(2, 3), keepdim=True)
    return (electrons - mean) / (electrons.std(dim=(2, 3), keepdim=True) + _FLOOR_E)


class Disturbance(Config):
    """What differs from capture to capture beyond noise, in training alone, for networks that survive it.

    brightness_error: relative standard deviation of the whole source. led_error: of each lamp, for one batch.
    """

    brightness_error: Annotated[float, Ge(0)] = 0.0
    led_error: Annotated[float, Ge(0)] = 0.0
