"""Images of many samples under the same lamps, kept in half precision, summed without being widened first.

On CPUs by the compiled kernel (lamps.h says what it computes), which reads each image once and leaves out lamps of
weight 0; elsewhere by torch, a few samples at a time. Both sum in float32.
"""

import ctypes
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Int64
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.optics import _native

# what torch widens at a time: a few megabytes, which stay in the cache
ROWS_AT_A_TIME = 8

Images = Float16[np.ndarray, "stored lamp pixel"]
Rows = Int64[np.ndarray, " row"]


def widen_rows(images: Images, rows: Rows) -> Float32[Tensor, "row lamp pixel"]:
    """The chosen samples' images in float32. Raises WrongFormat for a row that is not there."""
    _check(images, rows)
    wide = torch.empty(len(rows), *images.shape[1:])
    library = _kernel(images)
    if library is None:
        return wide.copy_(_halves(images, rows))
    chosen = np.ascontiguousarray(rows)
    lamps = _lamps(images, chosen, captures=0, weight_stride=0)
    library.lsm_will_fill(wide.data_ptr(), wide.nbytes)

    def work(_: int, first: int, end: int) -> int:
        library.lsm_widen(lamps, wide.data_ptr(), first, end)
        return 0

    _native.share_out(len(rows), work)
    return wide


def mix_rows(
    images: Images, rows: Rows, weights: Float[Tensor, "capture weight"] | Float[Tensor, "each capture weight"]
) -> Float32[Tensor, "row capture pixel"]:
    """Sums of the chosen samples' images over lamps, with weights for all rows or for each its own.

    Differentiable, once, in the weights. Raises WrongFormat for numbers of lamps or rows that do not fit.
    """
    _check(images, rows)
    if weights.shape[-1] != images.shape[1] or (weights.ndim == 3 and len(weights) != len(rows)):
        raise WrongFormat(
            f"Weights {tuple(weights.shape)} do not fit {len(rows)} rows of {images.shape[1]} lamps.",
            hint="give [capture, lamp], or [row, capture, lamp] with one set for each row",
        )
    mixed: Tensor = _Mix.apply(weights, images, np.ascontiguousarray(rows))
    return mixed


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, images: Images, rows: Rows) -> Tensor:
        ctx.images, ctx.rows, ctx.like = images, rows, weights
        return _mixed(images, rows, weights.detach().to(torch.float32).contiguous())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        each = _products(ctx.images, ctx.rows, grads[0].detach().to(torch.float32).contiguous())
        grad = each if ctx.like.ndim == 3 else each.sum(0)
        return grad.to(ctx.like.dtype), None, None


def _mixed(images: Images, rows: Rows, weights: Tensor) -> Tensor:
    captures, shared = weights.shape[-2], weights.ndim == 2
    mixed = torch.empty(len(rows), captures, images.shape[2])
    library = _kernel(images)
    if library is None:
        for part in _parts(rows):
            wide = _halves(images, rows[part]).to(torch.float32)
            torch.matmul(weights if shared else weights[part], wide, out=mixed[part])
        return mixed
    lamps = _lamps(images, rows, captures, 0 if shared else captures * images.shape[1])

    def work(_: int, first: int, end: int) -> int:
        library.lsm_mix(lamps, weights.data_ptr(), mixed.data_ptr(), first, end)
        return 0

    _native.share_out(len(rows), work)
    return mixed


def _products(images: Images, rows: Rows, grad: Tensor) -> Tensor:
    """Gradient in the weights of each row [row, capture, lamp]."""
    captures = grad.shape[1]
    products = torch.empty(len(rows), captures, images.shape[1])
    library = _kernel(images)
    if library is None:
        for part in _parts(rows):
            wide = _halves(images, rows[part]).to(torch.float32)
            torch.matmul(grad[part], wide.transpose(1, 2), out=products[part])
        return products
    lamps = _lamps(images, rows, captures, 0)

    def work(_: int, first: int, end: int) -> int:
        library.lsm_mix_back(lamps, grad.data_ptr(), products.data_ptr(), first, end)
        return 0

    _native.share_out(len(rows), work)
    return products


def _check(images: Images, rows: Rows) -> None:
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(images):
        raise WrongFormat(
            f"Rows {int(rows.min())} to {int(rows.max())} are not all there.", hint=f"rows are 0 to {len(images) - 1}"
        )


def _kernel(images: Images) -> ctypes.CDLL | None:
    return _native.library() if images.flags.c_contiguous else None


def _lamps(images: Images, rows: Rows, captures: int, weight_stride: int) -> _native.Lamps:
    return _native.Lamps(
        lamps=images.shape[1],
        pixels=images.shape[2],
        captures=captures,
        weight_stride=weight_stride,
        images=images.ctypes.data,
        rows=rows.ctypes.data,
    )


def _halves(images: Images, rows: Rows) -> Tensor:
    return torch.from_numpy(np.take(images, rows, axis=0))


def _parts(rows: Rows) -> list[slice]:
    return [slice(start, start + ROWS_AT_A_TIME) for start in range(0, len(rows), ROWS_AT_A_TIME)]
