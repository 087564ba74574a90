"""What YOLACT learns by; Bolya et al., ICCV 2019, sections 3.3, 4 and 5."""

from typing import Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from lsm.vision.detect.two_stage.frame import Target
from lsm.vision.detect.yolact.boxes import BACKGROUND, assigned, encoded
from lsm.vision.detect.yolact.heads import Predictions
from lsm.vision.detect.yolact.outlines import assembled, coarse, outline_loss

BOX_WEIGHT: Final = 1.5
OUTLINE_WEIGHT: Final = 6.125
KIND_WEIGHT: Final = 1.0
"""Weights of the losses beside that of the labels."""

NEGATIVES_PER_POSITIVE: Final = 3
FEWEST_NEGATIVES: Final = 30


def losses(
    made: Predictions,
    prototypes: Float[Tensor, "image prototype gy gx"],
    kinds: Float[Tensor, "image category ky kx"],
    anchors: Float[Tensor, "anchor 4"],
    targets: list[Target],
    *,
    stride: int,
    most_outlined: int,
) -> dict[str, Tensor]:
    """The losses by name. stride: pixels between prototype entries."""
    owners = [assigned(anchors, target["boxes"]) for target in targets]
    positives = max(sum(int((owner >= 0).sum()) for owner in owners), 1)
    naming, placing, outlining, kinding = [], [], [], []
    for k, (target, owner) in enumerate(zip(targets, owners, strict=True)):
        masks = coarse(target["masks"], stride, (prototypes.shape[2], prototypes.shape[3]))
        naming.append(label_loss(made.odds[k], owner, target["labels"]))
        mine = torch.where(owner >= 0)[0]
        wanted = encoded(anchors[mine], target["boxes"][owner[mine]])
        placing.append(F.smooth_l1_loss(made.offsets[k, mine], wanted, reduction="sum"))
        outlining.append(_outlines(made, prototypes, k, owner, masks, target, stride, most_outlined))
        kinding.append(kind_loss(kinds[k], masks, target["labels"]))
    return {
        "loss_label": torch.stack(naming).sum() / positives,
        "loss_box": BOX_WEIGHT * torch.stack(placing).sum() / positives,
        "loss_mask": OUTLINE_WEIGHT * torch.stack(outlining).mean(),
        "loss_kind": KIND_WEIGHT * torch.stack(kinding).mean(),
    }


def label_loss(
    odds: Float[Tensor, "anchor label"], owner: Int64[Tensor, " anchor"], labels: Int64[Tensor, " object"]
) -> Float[Tensor, ""]:
    """Cross entropy summed over the anchors with an object and thrice as many of the worst without; SSD, section 2.2.

    At least `FEWEST_NEGATIVES` without are taken, so that an image without objects teaches as well.
    """
    mine = owner >= 0
    background = owner == BACKGROUND
    surprise = -F.log_softmax(odds, dim=1)[:, 0]
    wanted_negatives = max(NEGATIVES_PER_POSITIVE * int(mine.sum()), FEWEST_NEGATIVES)
    negatives = surprise[background].topk(min(wanted_negatives, int(background.sum()))).values
    positives = F.cross_entropy(odds[mine], labels[owner[mine]], reduction="sum")
    return positives + negatives.sum()


def kind_loss(
    odds: Float[Tensor, "category ky kx"], masks: Float[Tensor, "object gy gx"], labels: Int64[Tensor, " object"]
) -> Float[Tensor, ""]:
    """Binary cross entropy of every category's pixels, summed over categories: the paper's semantic segmentation loss.

    It teaches features and predicts nothing that is used.
    """
    wanted = odds.new_zeros((len(odds), *masks.shape[1:]))
    for mask, label in zip(masks, labels.tolist(), strict=True):
        wanted[label - 1] = torch.maximum(wanted[label - 1], mask)
    wanted = (F.avg_pool2d(wanted, masks.shape[1] // odds.shape[1]) >= 0.5).to(odds.dtype)
    return F.binary_cross_entropy_with_logits(odds, wanted, reduction="none").sum(dim=0).mean()


def _outlines(
    made: Predictions,
    prototypes: Tensor,
    number: int,
    owner: Tensor,
    masks: Tensor,
    target: Target,
    stride: int,
    most: int,
) -> Tensor:
    mine = torch.where(owner >= 0)[0]
    if len(mine) > most:
        mine = mine[torch.randperm(len(mine), device=mine.device)[:most]]
    # in the network a box counts from the centre of the first pixel, an entry from its edge
    boxes = (target["boxes"][owner[mine]] + 0.5) / stride
    odds = assembled(prototypes[number], made.coefficients[number, mine])
    return outline_loss(odds, masks[owner[mine]], boxes)
