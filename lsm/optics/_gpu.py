"""Gather and magnitude of LED images for GPUs, one pass each around cuFFT, written in Triton.

With torch's own operations a window is copied by index, multiplied, padded and squared in a pass
each, and the passes through the GPU's memory are what limits it.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024


@triton.jit
def _gather(
    spectrum: Any,
    rows: Any,
    columns: Any,
    extent: Any,
    table: Any,
    padded: Any,
    sources: Any,
    sample_px: Any,
    window_px: Any,
    grid_px: Any,
    table_batch_stride: Any,
    HAS_TABLE: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    line = tl.program_id(0).to(tl.int64)
    y = line % grid_px
    source = (line // grid_px) % sources
    sample = line // grid_px // sources
    x = tl.arange(0, BLOCK)
    of_row = extent + 2 * (source * window_px + y)
    begin = tl.load(of_row, mask=y < window_px, other=0)
    end = tl.load(of_row + 1, mask=y < window_px, other=0)
    inside = (x >= begin) & (x < end)
    row = (tl.load(rows + source) + y) % sample_px
    column = (tl.load(columns + source) + x) % sample_px
    bins = spectrum + 2 * ((sample * sample_px + row) * sample_px + column)
    re = tl.load(bins, mask=inside, other=0.0)
    im = tl.load(bins + 1, mask=inside, other=0.0)
    if HAS_TABLE:
        pupil = table + 2 * (sample * table_batch_stride + (source * window_px + y) * window_px + x)
        p_re = tl.load(pupil, mask=inside, other=0.0)
        p_im = tl.load(pupil + 1, mask=inside, other=0.0)
        re, im = re * p_re - im * p_im, re * p_im + im * p_re
    to = padded + 2 * (line * grid_px + x)
    tl.store(to, re, mask=x < grid_px)
    tl.store(to + 1, im, mask=x < grid_px)


@triton.jit
def _squared(field: Any, light: Any, points: Any, BLOCK: tl.constexpr) -> None:
    point = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = point < points
    re = tl.load(field + 2 * point, mask=inside, other=0.0)
    im = tl.load(field + 2 * point + 1, mask=inside, other=0.0)
    tl.store(light + point, re * re + im * im, mask=inside)


def fields(
    spectrum: Tensor, rows: Tensor, columns: Tensor, extent: Tensor, table: Tensor | None, grid_px: int
) -> Tensor:
    """Fields [batch, source, grid_px, grid_px] behind the pupil; arguments as in the kernel's lsm_geometry."""
    batch, sample_px = spectrum.shape[:2]
    sources, window_px = extent.shape[:2]
    padded = torch.empty(batch, sources, grid_px, grid_px, dtype=spectrum.dtype, device=spectrum.device)
    pupil = spectrum if table is None else table.contiguous()
    _gather[(batch * sources * grid_px,)](
        torch.view_as_real(spectrum.contiguous()),
        rows,
        columns,
        extent,
        torch.view_as_real(pupil),
        torch.view_as_real(padded),
        sources,
        sample_px,
        window_px,
        grid_px,
        0 if table is None or table.shape[0] == 1 else sources * window_px**2,
        HAS_TABLE=table is not None,
        BLOCK=triton.next_power_of_2(grid_px),
    )
    field: Tensor = torch.fft.ifft2(padded, norm="forward")
    return field


def squared(field: Tensor) -> Tensor:
    """Squared magnitude."""
    light = torch.empty(field.shape, dtype=field.real.dtype, device=field.device)
    _squared[(triton.cdiv(light.numel(), _BLOCK),)](torch.view_as_real(field), light, light.numel(), BLOCK=_BLOCK)
    return light
