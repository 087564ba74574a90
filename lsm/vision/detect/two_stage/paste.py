"""Outlines of boxes put into their image."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def paste(
    masks: Float[Tensor, "object 1 my mx"], boxes: Float[Tensor, "object 4"], size: tuple[int, int]
) -> Float[Tensor, "object 1 y x"]:
    """Outlines in images of this size, read at the centres of the pixels.

    masks: over each box, whose edges are the outer edges of the first and last entry; outside a box there is nothing.
    boxes: as in `lsm.vision.data.Boxes`.
    """
    height, width = size
    whole = masks.new_zeros((len(masks), 1, height, width))
    for k, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        left, right = max(math.floor(x0), 0), min(math.ceil(x1), width)
        top, bottom = max(math.floor(y0), 0), min(math.ceil(y1), height)
        if left >= right or top >= bottom or x1 <= x0 or y1 <= y0:
            continue
        across = _between(left, right, x0, x1, like=masks)
        down = _between(top, bottom, y0, y1, like=masks)
        places = torch.stack([across.expand(len(down), -1), down[:, None].expand(-1, len(across))], dim=-1)
        piece = F.grid_sample(masks[k : k + 1], places[None], mode="bilinear", align_corners=False)
        whole[k, 0, top:bottom, left:right] = piece[0, 0]
    return whole


def _between(first: int, end: int, low: float, high: float, *, like: Tensor) -> Float[Tensor, " pixel"]:
    """Centres of the pixels, -1 at the low edge of a box and 1 at its high edge."""
    centres = torch.arange(first, end, dtype=like.dtype, device=like.device) + 0.5
    return (centres - low) * (2 / (high - low)) - 1
