"""Outlines over boxes put into the pixels of their image, one at a time."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks

from lsm.vision.detect.pieces import Window


def paste(mask: Float[Tensor, "my mx"], box: Float[Tensor, " 4"], window: Window) -> Float[Tensor, "y x"]:
    """An outline in the pixels of a window, read at their centres.

    mask: over the box, whose edges are the outer edges of the first and last entry; outside it there is nothing.
    box: as in `lsm.vision.data.Boxes`.
    """
    left, top, right, bottom = window
    x0, y0, x1, y1 = box.tolist()
    if x1 <= x0 or y1 <= y0:
        return mask.new_zeros(bottom - top, right - left)
    across = _between(left, right, x0, x1, like=mask)
    down = _between(top, bottom, y0, y1, like=mask)
    places = torch.stack([across.expand(len(down), -1), down[:, None].expand(-1, len(across))], dim=-1)
    read: Tensor = F.grid_sample(mask[None, None], places[None], mode="bilinear", align_corners=False)
    return read[0, 0]


def paste_at_whole_pixels(
    mask: Float[Tensor, "my mx"], box: Float[Tensor, " 4"], window: Window
) -> Float[Tensor, "y x"]:
    """An outline in the pixels of a window, as torchvision's `paste_masks_in_image` puts it into a whole image."""
    left, top, right, bottom = window
    wider, scale = expand_masks(mask[None, None], padding=1)
    x0, y0, x1, y1 = expand_boxes(box[None], scale).long()[0].tolist()
    # the last pixel belongs to the box
    size = (max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1))
    read = F.interpolate(wider, size=size, mode="bilinear", align_corners=False)[0, 0]
    y, last_y = (min(max(edge, top), bottom) for edge in (y0, y0 + size[0]))
    x, last_x = (min(max(edge, left), right) for edge in (x0, x0 + size[1]))
    piece = mask.new_zeros(bottom - top, right - left)
    piece[y - top : last_y - top, x - left : last_x - left] = read[y - y0 : last_y - y0, x - x0 : last_x - x0]
    return piece


def _between(first: int, end: int, low: float, high: float, *, like: Tensor) -> Float[Tensor, " pixel"]:
    """Centres of the pixels, -1 at the low edge of a box and 1 at its high edge."""
    centres = torch.arange(first, end, dtype=like.dtype, device=like.device) + 0.5
    return (centres - low) * (2 / (high - low)) - 1
