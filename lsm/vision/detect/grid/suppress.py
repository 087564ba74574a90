"""Of many overlapping boxes around one object, the strongest."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

_CANDIDATES: Final = 8
"""Candidates that are compared for each detection that may be kept; weaker ones are noise."""


class Found(NamedTuple):
    """Boxes x0, y0, x1, y1 in pixels, their categories from 0 and scores, strongest first."""

    boxes: Float[Tensor, "object 4"]
    category: Int[Tensor, " object"]
    score: Float[Tensor, " object"]


def suppress(
    boxes: Float[Tensor, "point category 4"],
    scores: Float[Tensor, "point category"],
    size: tuple[int, int],
    *,
    overlap: float,
    least_score: float | Float[Tensor, " category"],
    most: int,
) -> Found:
    """What is found at the grid points of an image of this height and width.

    least_score: of all categories, or of each. A point may see several categories: cells lie on each other, and only
    boxes of the same category suppress each other.
    """
    point, category = torch.nonzero(scores >= least_score, as_tuple=True)
    score = scores[point, category]
    if len(score) > _CANDIDATES * most:
        score, strongest = score.topk(_CANDIDATES * most)
        point, category = point[strongest], category[strongest]
    inside = clip_boxes_to_image(boxes[point, category], size)
    real = ((inside[:, 2:] - inside[:, :2]) > 0).all(dim=1)
    inside, category, score = inside[real], category[real], score[real]
    kept = batched_nms(inside, score, category, overlap)[:most]
    return Found(inside[kept], category[kept], score[kept])
