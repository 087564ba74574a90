"""Outlines of many objects as pieces around their boxes: each costs its own pixels, never a whole image."""

from collections.abc import Callable, Mapping
from typing import Final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lsm.vision.data import Mask

Window = tuple[int, int, int, int]
"""Whole pixels around a box: left, top, right, bottom; never empty and inside the image."""

LEVEL: Final = 0.5
"""Least probability of a pixel inside an outline."""

WINDOWS, PIXELS = "mask_boxes", "mask_pixels"


def windows(boxes: Float[Tensor, "object 4"], size: tuple[int, int]) -> Int64[Tensor, "object 4"]:
    """The `Window` of each box in an image of this height and width."""
    last = torch.tensor([size[1], size[0]], device=boxes.device)
    first = torch.minimum(boxes[:, :2].floor().long().clamp(min=0), last - 1)
    end = torch.minimum(torch.maximum(boxes[:, 2:].ceil().long(), first + 1), last)
    return torch.cat([first, end], dim=1)


def packed(
    boxes: Float[Tensor, "object 4"], size: tuple[int, int], draw: Callable[[int, Window], Float[Tensor, "_y _x"]]
) -> dict[str, Tensor]:
    """What a network returns of the outlines of one image; see `ModelConfig`.

    draw: probabilities of the pixels in the window of one object. An outline too faint to have a pixel keeps its
    strongest one.
    """
    places = windows(boxes, size)
    pieces = [_inside(draw(k, (x0, y0, x1, y1))) for k, (x0, y0, x1, y1) in enumerate(places.tolist())]
    nothing = torch.zeros(0, dtype=torch.bool, device=boxes.device)
    return {WINDOWS: places, PIXELS: torch.cat([nothing, *pieces])}


def masks(found: Mapping[str, Tensor]) -> tuple[Mask, ...]:
    """The outlines in what a network returned of one image."""
    places, pixels = found[WINDOWS].tolist(), found[PIXELS].cpu().numpy()
    made, at = [], 0
    for x0, y0, x1, y1 in places:
        end = at + (y1 - y0) * (x1 - x0)
        # copied, so that one object that is kept does not keep those of the whole image
        made.append(Mask(y0, x0, pixels[at:end].reshape(y1 - y0, x1 - x0).copy()))
        at = end
    return tuple(made)


def _inside(odds: Float[Tensor, "y x"]) -> Bool[Tensor, " pixel"]:
    return (odds >= odds.amax().clamp(max=LEVEL)).flatten()
