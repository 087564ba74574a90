"""Anchors, boxes and their suppression."""

import math
from typing import Final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

BACKGROUND: Final = -1
NEITHER: Final = -2

_SPREAD = (0.1, 0.1, 0.2, 0.2)
_LARGEST_GROWTH = math.log(1000 / 16)


def assigned(
    anchors: Float[Tensor, "anchor 4"],
    objects: Float[Tensor, "object 4"],
    *,
    positive: float = 0.5,
    negative: float = 0.4,
) -> Int64[Tensor, " anchor"]:
    """The object of each anchor, or `BACKGROUND`, or `NEITHER` between the two overlaps.

    Every object has at least the anchor that overlaps it most, as in Liu et al., "SSD", ECCV 2016, section 2.2.
    """
    if len(objects) == 0:
        return torch.full((len(anchors),), BACKGROUND, device=anchors.device)
    overlap = box_iou(anchors, objects)
    best, found = overlap.max(dim=1)
    found = torch.where(best >= positive, found, NEITHER)
    found = torch.where(best < negative, BACKGROUND, found)
    found[overlap.argmax(dim=0)] = torch.arange(len(objects), device=anchors.device)
    return found


def encoded(anchors: Float[Tensor, "anchor 4"], boxes: Float[Tensor, "anchor 4"]) -> Float[Tensor, "anchor 4"]:
    """Offsets of the centre in sides of the anchor and logarithms of the growth, each in units of its usual spread."""
    middle, sides = _centred(anchors)
    goal, goal_sides = _centred(boxes)
    offsets = torch.cat([(goal - middle) / sides, torch.log(goal_sides / sides)], dim=1)
    return offsets / offsets.new_tensor(_SPREAD)


def decoded(anchors: Float[Tensor, "anchor 4"], offsets: Float[Tensor, "anchor 4"]) -> Float[Tensor, "anchor 4"]:
    """The inverse of `encoded`; a box is at most 62.5 times as long as its anchor."""
    middle, sides = _centred(anchors)
    moved = offsets * offsets.new_tensor(_SPREAD)
    middle = middle + moved[:, :2] * sides
    half = sides * moved[:, 2:].clamp(max=_LARGEST_GROWTH).exp() / 2
    return torch.cat([middle - half, middle + half], dim=1)


def fast_nms(boxes: Float[Tensor, "box 4"], scores: Float[Tensor, " box"], overlap: float) -> Bool[Tensor, " box"]:
    """Which boxes stay: those that no stronger one overlaps more, be that one dropped itself or not; section 4.

    A box that only dropped ones overlap is therefore dropped too, which the sequential rule would keep.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    between = box_iou(boxes[order], boxes[order]).triu(diagonal=1)
    stays = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    if len(boxes):
        stays[order] = between.amax(dim=0) <= overlap
    return stays


def _centred(boxes: Float[Tensor, "box 4"]) -> tuple[Float[Tensor, "box 2"], Float[Tensor, "box 2"]]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
