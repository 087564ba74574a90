"""What a grid network is taught."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss

from lsm.vision.detect.grid.assign import assign

_BOX = 2.0
_EMPTY, _EMPTY_POWER = 0.75, 2.0


def grid_losses(
    odds: Float[Tensor, "image point category"],
    boxes: Float[Tensor, "image point category 4"],
    points: Float[Tensor, "point 2"],
    sizes: Sequence[tuple[int, int]],
    targets: Sequence[dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Losses of scores and boxes, each per object point, of a batch; sizes: height and width of the images in it.

    Scores learn how well their box fits, and points without object are weighted by how wrong they are, as in Zhang et
    al., "VarifocalNet", arXiv 2008.13367 (2021), equation 2; boxes learn the generalised IoU. Beyond an image's own
    size nothing is learned.
    """
    score_loss, box_loss, points_used = odds.new_zeros(()), odds.new_zeros(()), odds.new_zeros(())
    for image, (height, width) in enumerate(sizes):
        true_boxes, category = targets[image]["boxes"].to(boxes.dtype), targets[image]["labels"] - 1
        # a box with a side of nothing has no points and no gradient
        real = ((true_boxes[:, 2:] - true_boxes[:, :2]) > 0).all(dim=1)
        true_boxes, category = true_boxes[real], category[real]
        seen = (points[:, 0] < width) & (points[:, 1] < height)
        here, mine, places = odds[image][seen], boxes[image][seen], points[seen]
        found = assign(torch.sigmoid(here.detach()), mine.detach(), places, true_boxes, category)
        taken = found.number >= 0
        wanted = torch.zeros_like(here)
        wanted[taken, category[found.number[taken]]] = found.quality[taken]
        score_loss = score_loss + _scores(here, wanted)
        if taken.any():
            number = found.number[taken]
            apart = generalized_box_iou_loss(mine[taken, category[number]], true_boxes[number])
            box_loss = box_loss + (apart * found.weight[taken]).sum()
            points_used = points_used + found.weight.sum()
    per_point = 1 / points_used.clamp(min=1)
    return {"loss_score": score_loss * per_point, "loss_box": _BOX * box_loss * per_point}


def _scores(odds: Float[Tensor, "point category"], wanted: Float[Tensor, "point category"]) -> Float[Tensor, ""]:
    wrong = torch.sigmoid(odds.detach())
    weight = torch.where(wanted > 0, 1.0, _EMPTY * wrong**_EMPTY_POWER)
    return F.binary_cross_entropy_with_logits(odds, wanted, weight=weight, reduction="sum")
