"""LED images by the compiled kernel, for CPUs."""

import ctypes
from functools import lru_cache

import torch
from torch import Tensor

from lsm.optics import _native
from lsm.optics.grid import ImagingSystem
from lsm.optics.image import axis_transfer
from lsm.optics.plan import Plan


def can_run(spectrum: Tensor, plan: Plan) -> bool:
    """Whether the kernel is there and knows the grid: its side has no factors but 2, 3, 5 and 7."""
    return spectrum.device.type == "cpu" and bool(_native.radices(plan.grid_px)) and _native.library() is not None


def forward(spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, images: Tensor) -> None:
    """Fills images [batch, group, camera_px, camera_px]; each sample's images lie side by side."""
    spectrum = spectrum.contiguous()
    call = _Call(spectrum, table, weight, plan, images.stride(0))
    if images.is_contiguous():
        call.library.lsm_will_fill(images.data_ptr(), images.nbytes)

    def work(_: int, first: int, end: int) -> int:
        failed: int = call.library.lsm_forward(
            call.is_double, call.geometry, spectrum.data_ptr(), images.data_ptr(), first, end
        )
        return failed

    _native.share_out(spectrum.shape[0] * plan.groups, work)


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
    spectrum = spectrum.contiguous()
    call = _Call(spectrum, table, weight, plan, grad.stride(0))
    jobs = spectrum.shape[0] * plan.groups
    # threads add into sums of their own
    threads = max(1, min(torch.get_num_threads(), jobs))
    to_spectrum = spectrum.new_zeros(threads, *spectrum.shape)
    to_table = spectrum.new_zeros(threads, *call.table.shape) if want_table and call.table is not None else None
    to_weight = spectrum.real.new_zeros(threads, len(plan.windows.rows)) if want_weight else None

    def work(thread: int, first: int, end: int) -> int:
        failed: int = call.library.lsm_backward(
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
        return failed

    _native.share_out(jobs, work)
    of_table, of_weight = (None if parts is None else _total(parts) for parts in (to_table, to_weight))
    return _total(to_spectrum), of_table, of_weight


def _total(parts: Tensor) -> Tensor:
    return parts[0] if len(parts) == 1 else parts.sum(0)


class _Call:
    """Arguments of the kernel; holds on to the memory that they point to."""

    def __init__(
        self, spectrum: Tensor, table: Tensor | None, weight: Tensor | None, plan: Plan, image_batch_stride: int
    ) -> None:
        found = _native.library()
        if found is None:
            raise RuntimeError("The optics kernel is not built; ask `can_run` first.")
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
