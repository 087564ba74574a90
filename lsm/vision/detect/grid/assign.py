"""Which grid point learns which object."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import box_iou

POINTS: Final = 10
"""Grid points that learn one object, at most."""

_SCORE_POWER, _OVERLAP_POWER = 1.0, 3.0
_LEAST_OVERLAP = 1e-3
"""Keeps the order of points defined whose boxes do not meet the object yet."""


class Assigned(NamedTuple):
    """For every grid point: the number of its object, or -1; how good it is among that object's points, 0..1, the best
    having 1; and the score it should give.
    """

    number: Int[Tensor, " point"]
    weight: Float[Tensor, " point"]
    quality: Float[Tensor, " point"]


@torch.no_grad()
def assign(
    scores: Float[Tensor, "point category"],
    boxes: Float[Tensor, "point category 4"],
    points: Float[Tensor, "point 2"],
    true_boxes: Float[Tensor, "object 4"],
    category: Int[Tensor, " object"],
) -> Assigned:
    """Of the points inside an object, those whose score and box already fit it best.

    Feng et al., "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755 (2021), section 3.2: the score to
    learn is the alignment, score * IoU^3, scaled so that an object's best point should give the best IoU. Theirs has
    IoU^6, with which rare small objects are learned late (docs/decisions/0010). A point that several objects want goes
    to the one it overlaps most. An object so small that no point is inside has the nearest one.
    """
    n_points, n_objects = len(points), len(true_boxes)
    if n_objects == 0:
        nothing = torch.zeros(n_points, device=scores.device, dtype=scores.dtype)
        return Assigned(torch.full((n_points,), -1, device=scores.device), nothing, nothing.clone())
    overlap = true_boxes.new_zeros(n_objects, n_points)
    for kind in sorted(set(category.tolist())):
        overlap[category == kind] = box_iou(true_boxes[category == kind], boxes[:, kind])
    wanted = overlap.clamp(min=_LEAST_OVERLAP) ** _OVERLAP_POWER * scores.T[category] ** _SCORE_POWER
    wanted = wanted * _inside(points, true_boxes)
    fittest = wanted.topk(min(POINTS, n_points), dim=1)
    wanted = torch.zeros_like(wanted).scatter(1, fittest.indices, fittest.values)
    # a point belongs to one object only
    chosen = torch.where(wanted > 0, overlap, -1.0)
    best, number = chosen.max(dim=0)
    mine = torch.arange(n_objects, device=scores.device)[:, None] == number
    wanted, overlap = wanted * mine, overlap * mine
    taken = best >= 0
    weight = (wanted / wanted.amax(dim=1, keepdim=True).clamp(min=torch.finfo(wanted.dtype).tiny)).amax(dim=0)
    top = (overlap * (wanted > 0)).amax(dim=1)[number]
    weight = weight * taken
    return Assigned(torch.where(taken, number, -1), weight, weight * top)


def _inside(points: Float[Tensor, "point 2"], boxes: Float[Tensor, "object 4"]) -> Float[Tensor, "object point"]:
    lower = (points > boxes[:, None, :2]).all(dim=-1)
    inside = lower & (points < boxes[:, None, 2:]).all(dim=-1)
    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    nearest = (points - centre).square().sum(dim=-1).argmin(dim=1)
    inside[torch.arange(len(boxes), device=boxes.device), nearest] = True
    return inside.to(boxes.dtype)
