"""LED images by torch, on any device, in chunks of sources that stay in the cache.

Gradients are written out, so that nothing but the spectrum is kept for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsm.optics.image import average_over_pixel
from lsm.optics.plan import Plan

# about four 224 x 224 complex64 fields: what stays in a 1 MB level-2 cache beside its transform
CHUNK_POINTS = 4 * 224 * 224
GPU_CHUNK_POINTS = 256 * CHUNK_POINTS


def forward(spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, images: Tensor) -> None:
    """Fills images [batch, group, camera_px, camera_px]."""
    if not plan.single:
        images.zero_()
    for part in _chunks(spectrum, table, weight, plan):
        light = part.sampled(part.weighted(_squared(part.fields())))
        if plan.single:
            images[:, part.groups] = light
        else:
            images.index_add_(1, part.groups, light)


def backward(
    spectrum: Tensor,
    table: Tensor | None,
    weight: Tensor | None,
    plan: Plan,
    grad: Tensor,
    want_table: bool,
    want_weight: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of spectrum, table and weight from those of the images."""
    batch, k = spectrum.shape[0], plan.windows.window_px
    to_spectrum = torch.zeros_like(spectrum).reshape(batch, -1)
    to_table = torch.zeros_like(table) if want_table and table is not None else None
    to_weight = spectrum.real.new_zeros(len(plan.windows.rows)) if want_weight else None
    for part in _chunks(spectrum, table, weight, plan):
        field = part.fields()
        light = part.spread(grad[:, part.groups])
        if to_weight is not None:
            to_weight[part.sources] = (light * _squared(field)).sum((0, 2, 3))
        along_y = torch.fft.fft(2 * part.weighted(light) * field, dim=-2)[..., :k, :]
        passed = torch.fft.fft(along_y, dim=-1)[..., :k]
        to_spectrum.index_add_(1, part.bins, (passed * part.pupil().conj()).reshape(batch, -1))
        if to_table is not None:
            change = passed * part.crop().conj() * part.inside
            to_table[:, part.sources] = change if to_table.shape[0] == batch else change.sum(0, keepdim=True)
    gradient: Tensor = to_spectrum.reshape(spectrum.shape)
    return gradient, to_table, to_weight


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some sources, computed with torch."""

    plan: Plan
    sources: slice
    groups: Tensor
    spectrum: Tensor
    table: Tensor | None
    weight: Tensor | None
    rows: Tensor
    columns: Tensor
    extent: Tensor

    @cached_property
    def inside(self) -> Tensor:
        """1 inside the aperture, else 0 [source, k, k]."""
        span = torch.arange(self.plan.windows.window_px, device=self.extent.device)
        inside = (span >= self.extent[..., :1]) & (span < self.extent[..., 1:])
        return inside.to(self.spectrum.real.dtype)

    @cached_property
    def bins(self) -> Tensor:
        """Flat index of each window's bins, all sources one after another."""
        n, span = self.plan.system.sample_px, torch.arange(self.plan.windows.window_px, device=self.rows.device)
        rows, columns = (self.rows[:, None] + span) % n, (self.columns[:, None] + span) % n
        return (rows[:, :, None] * n + columns[:, None, :]).reshape(-1)

    def crop(self) -> Tensor:
        """The spectrum in each window [batch, source, k, k]."""
        batch, k = self.spectrum.shape[0], self.plan.windows.window_px
        return self.spectrum.reshape(batch, -1).index_select(1, self.bins).reshape(batch, -1, k, k)

    def pupil(self) -> Tensor:
        return self.inside if self.table is None else self.inside * self.table

    def fields(self) -> Tensor:
        """The field on the grid; the window starts at bin 0, a shift in frequency that the magnitude does not see."""
        n = self.plan.grid_px
        if fuses_on_gpu(self.spectrum):
            fused: Tensor = _gpu().fields(self.spectrum, self.rows, self.columns, self.extent, self.table, n)
            return fused
        along_x = torch.fft.ifft(self.crop() * self.pupil(), n=n, dim=-1, norm="forward")
        field: Tensor = torch.fft.ifft(along_x, n=n, dim=-2, norm="forward")
        return field

    def weighted(self, light: Tensor) -> Tensor:
        return light if self.weight is None else light * self.weight[:, None, None]

    def sampled(self, light: Tensor) -> Tensor:
        """From the grid to camera pixels."""
        margin = self.plan.step * self.plan.system.margin_px
        end = light.shape[-1] - margin
        return self._filtered(light)[..., margin : end : self.plan.step, margin : end : self.plan.step]

    def spread(self, grad: Tensor) -> Tensor:
        """The adjoint of `sampled`."""
        n, step = self.plan.grid_px, self.plan.step
        margin = step * self.plan.system.margin_px
        light = grad.new_zeros(*grad.shape[:-2], n, n)
        light[..., margin : n - margin : step, margin : n - margin : step] = grad
        return self._filtered(light)

    def _filtered(self, light: Tensor) -> Tensor:
        return average_over_pixel(light, self.plan.system) if self.plan.area else light


def fuses_on_gpu(tensor: Tensor) -> bool:
    """Whether gather and magnitude run as Triton programs: on NVIDIA GPUs where Triton is installed."""
    return tensor.is_cuda and find_spec("triton") is not None


def _gpu() -> Any:
    # Triton takes a while to import and looks for a GPU
    return import_module("lsm.optics._gpu")


def _squared(field: Tensor) -> Tensor:
    light: Tensor = _gpu().squared(field) if fuses_on_gpu(field) else field.real**2 + field.imag**2
    return light


def _chunks(spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan) -> Iterator[_Chunk]:
    windows, device = plan.windows, spectrum.device
    points = CHUNK_POINTS if device.type == "cpu" else GPU_CHUNK_POINTS
    size = max(1, points // (plan.grid_px**2 * spectrum.shape[0]))
    group_of = np.repeat(np.arange(plan.groups), np.diff(plan.group_start))
    for start in range(0, len(windows.rows), size):
        sources = slice(start, start + size)
        yield _Chunk(
            plan,
            sources,
            torch.from_numpy(group_of[sources]).to(device),
            spectrum,
            None if table is None else table[:, sources],
            None if weight is None else weight[sources],
            *(torch.from_numpy(a[sources]).to(device) for a in (windows.rows, windows.columns, windows.extent)),
        )
