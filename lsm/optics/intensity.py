"""From the sample's spectrum to one intensity image per group of light sources, and back for gradients.

The camera samples only what the pupil passes, so the part of the spectrum under the pupil is
transformed back at camera size; the result equals the full-size computation at the sampled points.
Forward and backward keep nothing but the spectrum and the pupil: the fields are computed again.
Two programs do the same: the compiled kernel (CPU), and torch in chunks of sources (any device).
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float, Int32
from torch import Tensor
from torch.autograd.function import once_differentiable

from lsm.optics import _native
from lsm.optics.grid import ImagingSystem
from lsm.optics.image import average_over_pixel, axis_transfer
from lsm.optics.windows import Windows

# about four 224 x 224 complex64 fields: what stays in a 1 MB level-2 cache beside its transform
CHUNK_POINTS = 4 * 224 * 224
GPU_CHUNK_POINTS = 256 * CHUNK_POINTS

Spectrum = Complex[Tensor, "batch fy fx"]
Table = Complex[Tensor, "samples source k k"]
Images = Float[Tensor, "batch group cy cx"]


@dataclass(frozen=True, eq=False)
class Plan:
    """What to compute: windows, and how sources are summed into groups and sampled.

    group_start: sources group_start[g] to group_start[g + 1] - 1 add up to image g.
    area: average over the camera pixel; otherwise sample at its centre.
    """

    windows: Windows
    group_start: Int32[np.ndarray, " edges"]
    system: ImagingSystem
    area: bool

    @property
    def groups(self) -> int:
        return len(self.group_start) - 1

    @property
    def grid_px(self) -> int:
        """Side of the transform: free of aliasing where pixels are integrated, else just enough for the field."""
        needed = self.system.intensity_px if self.area else 1
        return self.system.grid_px(max(needed, self.windows.window_px))

    @property
    def step(self) -> int:
        return self.grid_px // self.system.computed_px

    @cached_property
    def single(self) -> bool:
        """Whether each group holds exactly one source."""
        return bool((np.diff(self.group_start) == 1).all())

    def part(self, first: int, end: int) -> "Plan":
        """The groups from `first` up to but not including `end`."""
        starts = self.group_start[first : end + 1]
        windows = self.windows.part(slice(int(starts[0]), int(starts[-1])))
        return Plan(windows, np.ascontiguousarray(starts - starts[0]), self.system, self.area)


def intensity_images(
    spectrum: Spectrum,
    table: Table | None,
    weight: Float[Tensor, " source"] | None,
    plan: Plan,
    *,
    out: Images | None = None,
) -> Images:
    """Images of all groups; differentiable in spectrum, table and weight, once.

    out: where to write them if no gradient is needed; each sample's images lie side by side in it.
    """
    inputs = (spectrum, table, weight)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in inputs):
        images: Tensor = _Intensity.apply(*inputs, plan)
        return images
    return _forward(*inputs, plan, out)


class _Intensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan) -> Tensor:
        ctx.save_for_backward(spectrum, table, weight)
        ctx.plan = plan
        return _forward(spectrum, table, weight, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spectrum, table, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        run = _native_backward if runs_native(spectrum, ctx.plan) else _torch_backward
        grads = run(spectrum, table, weight, ctx.plan, grad.contiguous(), wanted[1], wanted[2])
        return *(g if need else None for g, need in zip(grads, wanted, strict=False)), None


def runs_native(spectrum: Tensor, plan: Plan) -> bool:
    """Whether the compiled kernel can do it: on the CPU, for sides with the factors 2, 3, 5 and 7 only."""
    return spectrum.device.type == "cpu" and bool(_native.radices(plan.grid_px)) and _native.library() is not None


def _forward(
    spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, out: Tensor | None = None
) -> Tensor:
    side = plan.system.camera_px
    images = spectrum.real.new_empty(spectrum.shape[0], plan.groups, side, side) if out is None else out
    if runs_native(spectrum, plan):
        spectrum = spectrum.contiguous()
        call = _NativeCall(spectrum, table, weight, plan, images.stride(0))
        if out is None:
            call.library.lsm_will_fill(images.data_ptr(), images.nbytes)
        _native.share_out(
            spectrum.shape[0] * plan.groups,
            lambda _, first, end: call.library.lsm_forward(
                call.is_double, call.geometry, spectrum.data_ptr(), images.data_ptr(), first, end
            ),
        )
        return images
    if not plan.single:
        images.zero_()
    for part in _chunks(spectrum, table, weight, plan):
        light = part.sampled(part.weighted(_squared(part.fields())))
        if plan.single:
            images[:, part.groups] = light
        else:
            images.index_add_(1, part.groups, light)
    return images


class _NativeCall:
    """Arguments of the kernel; holds on to the memory that they point to."""

    def __init__(
        self, spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, image_batch_stride: int
    ) -> None:
        found = _native.library()
        if found is None:
            raise RuntimeError("The optics kernel is not built.")
        real, windows, system = spectrum.real.dtype, plan.windows, plan.system
        n, side = plan.grid_px, system.camera_px
        self.library, self.is_double = found, int(real == torch.float64)
        self.table = None if table is None else table.contiguous()
        self.weight = None if weight is None else weight.detach().to(real).contiguous()
        transfer = _scaled_transfer(n, system, real) if plan.area else None
        twiddles, radices = _native.twiddles(n, real), _native.radices(n)
        self._kept = (transfer, twiddles, windows, plan.group_start)
        shared = self.table is None or self.table.shape[0] == 1
        self.geometry = _native.Geometry(
            sample_px=system.sample_px,
            window_px=windows.window_px,
            grid_px=n,
            step=plan.step,
            first=plan.step * system.margin_px,
            camera_px=side,
            groups=plan.groups,
            image_batch_stride=image_batch_stride,
            table_batch_stride=0 if shared else len(windows.rows) * windows.window_px**2,
            stages=len(radices),
            radix=(ctypes.c_int64 * 16)(*radices),
            row=windows.rows.ctypes.data,
            column=windows.columns.ctypes.data,
            extent=windows.extent.ctypes.data,
            group_start=plan.group_start.ctypes.data,
            table=_address(self.table),
            weight=_address(self.weight),
            transfer=_address(transfer),
            twiddle=twiddles.data_ptr(),
        )


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@lru_cache(maxsize=32)
def _scaled_transfer(n: int, system: ImagingSystem, dtype: torch.dtype) -> Tensor:
    # the kernel's transforms are not normalised: forward and inverse multiply by n
    return axis_transfer(n, system, dtype=dtype) / n


def _native_backward(
    spectrum: Tensor,
    table: Tensor | None,
    weight: Tensor | None,
    plan: Plan,
    grad: Tensor,
    want_table: bool,
    want_weight: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    spectrum = spectrum.contiguous()
    call = _NativeCall(spectrum, table, weight, plan, grad.stride(0))
    jobs = spectrum.shape[0] * plan.groups
    # threads add into sums of their own
    threads = max(1, min(torch.get_num_threads(), jobs))
    to_spectrum = spectrum.new_zeros(threads, *spectrum.shape)
    to_table = spectrum.new_zeros(threads, *call.table.shape) if want_table and call.table is not None else None
    to_weight = spectrum.real.new_zeros(threads, len(plan.windows.rows)) if want_weight else None

    def work(thread: int, first: int, end: int) -> int:
        done: int = call.library.lsm_backward(
            call.is_double,
            call.geometry,
            spectrum.data_ptr(),
            grad.data_ptr(),
            to_spectrum[thread].data_ptr(),
            None if to_table is None else to_table[thread].data_ptr(),
            None if to_weight is None else to_weight[thread].data_ptr(),
            first,
            end,
        )
        return done

    _native.share_out(jobs, work)
    return to_spectrum.sum(0), _total(to_table), _total(to_weight)


def _total(parts: Tensor | None) -> Tensor | None:
    return None if parts is None else parts.sum(0)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some sources, computed with torch."""

    plan: Plan
    sources: slice
    groups: Tensor
    spectrum: Tensor
    table: Tensor | None
    weight: Tensor | None
    inside: Tensor
    bins: Tensor

    def crop(self) -> Tensor:
        """The spectrum in each window [batch, source, k, k]."""
        batch, k = self.spectrum.shape[0], self.plan.windows.window_px
        return self.spectrum.reshape(batch, -1).index_select(1, self.bins).reshape(batch, -1, k, k)

    def pupil(self) -> Tensor:
        return self.inside if self.table is None else self.inside * self.table

    def fields(self) -> Tensor:
        """The field on the grid; the window starts at bin 0, a shift in frequency that the magnitude does not see."""
        n = self.plan.grid_px
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


def _squared(field: Tensor) -> Tensor:
    return field.real**2 + field.imag**2


def _chunks(spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan) -> Iterator[_Chunk]:
    windows, n = plan.windows, plan.system.sample_px
    device, k = spectrum.device, plan.windows.window_px
    points = CHUNK_POINTS if device.type == "cpu" else GPU_CHUNK_POINTS
    size = max(1, points // (plan.grid_px**2 * spectrum.shape[0]))
    group_of = np.repeat(np.arange(plan.groups), np.diff(plan.group_start))
    span = torch.arange(k, device=device)
    for start in range(0, len(windows.rows), size):
        sources = slice(start, start + size)
        rows = (torch.from_numpy(windows.rows[sources]).to(device)[:, None] + span) % n
        columns = (torch.from_numpy(windows.columns[sources]).to(device)[:, None] + span) % n
        extent = torch.from_numpy(windows.extent[sources]).to(device)
        yield _Chunk(
            plan,
            sources,
            torch.from_numpy(group_of[sources]).to(device),
            spectrum,
            None if table is None else table[:, sources],
            None if weight is None else weight[sources],
            ((span >= extent[..., :1]) & (span < extent[..., 1:])).to(spectrum.real.dtype),
            (rows[:, :, None] * n + columns[:, None, :]).reshape(-1),
        )


def _torch_backward(
    spectrum: Tensor,
    table: Tensor | None,
    weight: Tensor | None,
    plan: Plan,
    grad: Tensor,
    want_table: bool,
    want_weight: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
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
    return to_spectrum.reshape(spectrum.shape), to_table, to_weight
