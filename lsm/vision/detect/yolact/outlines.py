"""Outlines as sums of prototypes; Bolya et al., ICCV 2019, section 3.3."""

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from lsm.vision.detect.pieces import Window


def assembled(
    prototypes: Float[Tensor, "prototype y x"], coefficients: Float[Tensor, "object prototype"]
) -> Float[Tensor, "object y x"]:
    """Odds of each object's outline, before the sigmoid of equation 1."""
    return torch.einsum("pyx,np->nyx", prototypes, coefficients)


def cropped(boxes: Float[Tensor, "object 4"], height: int, width: int) -> Bool[Tensor, "object y x"]:
    """Which entries each box touches; boxes in entries, the first lies between 0 and 1."""
    x, y = torch.arange(width, device=boxes.device), torch.arange(height, device=boxes.device)
    x0, y0 = boxes[:, 0].floor(), boxes[:, 1].floor()
    x1, y1 = boxes[:, 2].ceil(), boxes[:, 3].ceil()
    across = (x >= x0[:, None]) & (x < x1[:, None])
    down = (y >= y0[:, None]) & (y < y1[:, None])
    return down[:, :, None] & across[:, None, :]


def outline_loss(
    odds: Float[Tensor, "object y x"], wanted: Float[Tensor, "object y x"], boxes: Float[Tensor, "object 4"]
) -> Float[Tensor, ""]:
    """Binary cross entropy inside the true boxes, divided by their areas so that small objects count; section 3.3.

    The mean over the objects; zero without any. boxes: in entries.
    """
    if len(odds) == 0:
        return odds.sum()
    each = F.binary_cross_entropy_with_logits(odds, wanted, reduction="none")
    inside = (each * cropped(boxes, odds.shape[1], odds.shape[2])).sum(dim=(1, 2))
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0)
    return (inside / sides.prod(dim=1)).mean()


def coarse(masks: UInt8[Tensor, "object y x"], stride: int, size: tuple[int, int]) -> Float[Tensor, "object gy gx"]:
    """1 where at least half of an entry of stride x stride pixels is covered, on a grid of this size."""
    made = masks.new_zeros((len(masks), *size), dtype=torch.float32)
    for k, mask in enumerate(masks):
        fine = mask.new_zeros((size[0] * stride, size[1] * stride), dtype=torch.float32)
        fine[: mask.shape[0], : mask.shape[1]] = mask
        made[k] = (F.avg_pool2d(fine[None, None], stride)[0, 0] >= 0.5).float()
    return made


def drawn(
    prototypes: Float[Tensor, "prototype gy gx"],
    coefficients: Float[Tensor, " prototype"],
    window: Window,
    *,
    stride: tuple[float, float],
) -> Float[Tensor, "y x"]:
    """The outline of one object in the pixels of its window; nothing is computed elsewhere.

    stride: pixels of the image between prototype entries, down and across.
    """
    left, top, right, bottom = window
    gx, across = _read(left, right, stride[1], prototypes.shape[2], like=prototypes)
    gy, down = _read(top, bottom, stride[0], prototypes.shape[1], like=prototypes)
    odds = assembled(prototypes[:, gy, gx], coefficients[None])
    places = torch.stack([across.expand(len(down), -1), down[:, None].expand(-1, len(across))], dim=-1)
    read: Tensor = F.grid_sample(odds.sigmoid()[None], places[None], padding_mode="border", align_corners=True)
    return read[0, 0]


def _read(first: int, end: int, stride: float, entries: int, *, like: Tensor) -> tuple[slice, Float[Tensor, " pixel"]]:
    """The entries needed for these pixels, and each pixel's place among them, from -1 at the first to 1 at the last."""
    at = ((torch.arange(first, end, dtype=like.dtype, device=like.device) + 0.5) / stride - 0.5).clamp(0, entries - 1)
    low = min(int(at[0]), max(entries - 2, 0))
    high = min(max(math.ceil(float(at[-1])), low + 1), entries - 1)
    return slice(low, high + 1), (at - low) * (2 / max(high - low, 1)) - 1
