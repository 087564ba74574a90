"""Mask Scoring R-CNN: a score that says how good the outline is, too.

Huang et al., "Mask Scoring R-CNN", CVPR 2019.
"""

from typing import Annotated, Literal

import torch
from annotated_types import Gt
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import maskrcnn_inference

from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.model import CUT_AT
from lsm.vision.detect.two_stage import OutlineConfig
from lsm.vision.detect.two_stage.regions import (
    Features,
    Outlined,
    Regions,
    Sizes,
    Target,
    of_category,
    outline_loss,
    outlines_wanted,
)

INSIDE = 0.5
"""Least probability of an entry inside an outline."""

_REGION_SIDE = 14


class MaskScoringConfig(OutlineConfig):
    """Mask R-CNN with the MaskIoU head of Huang et al., section 3.

    scoring_width, scoring_dense: channels of the head's four convolutions and width of its two dense layers.
    Deviations: every category's outline score also multiplies the score of its box, since a detection has one score.
    """

    kind: Literal["mask-scoring"] = "mask-scoring"
    scoring_width: Annotated[int, Gt(0)] = 256
    scoring_dense: Annotated[int, Gt(0)] = 1024

    def regions(self, facts: DataFacts) -> Regions:
        made = self.heads(ScoredRegions, facts)
        made.scoring = MaskIouHead(
            self.pyramid_channels, self.scoring_width, self.scoring_dense, len(facts.categories) + 1
        )
        return made


class MaskIouHead(nn.Module):
    """Intersection over union of an outline with the true one, foretold for each category.

    Four convolutions and three dense layers over the features of a region and its outline, as in the paper's figure 3;
    the outline's 28 x 28 entries become 14 x 14 by their maxima.
    """

    def __init__(self, channels: int, width: int, dense: int, labels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *(
                layer
                for k in range(4)
                for layer in (
                    nn.Conv2d(channels + 1 if k == 0 else width, width, 3, stride=2 if k == 3 else 1, padding=1),
                    nn.ReLU(),
                )
            )
        )
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * (_REGION_SIDE // 2) ** 2, dense),
            nn.ReLU(),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, labels),
        )

    def forward(
        self, features: Float[Tensor, "region channel 14 14"], outlines: Float[Tensor, "region 28 28"]
    ) -> Float[Tensor, "region label"]:
        pooled = F.max_pool2d(outlines[:, None], 2)
        foretold: Tensor = self.dense(self.convolutions(torch.cat([features, pooled], dim=1)))
        return foretold


class ScoredRegions(Regions):
    """Heads whose scores are those of the category times the foretold overlap of the outline."""

    scoring: MaskIouHead

    def outline_losses(
        self, features: Features, regions: list[Outlined], sizes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        """Those of Mask R-CNN, and the squared error of the foretold overlaps; the paper's section 3.3.

        The outline is handed to the head as it is: its error teaches the head alone.
        """
        held = self.mask_roi_pool(features, [each.boxes for each in regions], sizes)
        odds = of_category(self.mask_predictor(self.mask_head(held)), regions)
        wanted = outlines_wanted(targets, regions, odds.shape[-1])
        outlines = odds.detach().sigmoid()
        labels = torch.cat([each.labels for each in regions])
        foretold = self.scoring(held, outlines)[torch.arange(len(labels), device=labels.device), labels]
        overlaps = outline_overlaps(outlines, wanted, whole_areas(targets, regions, odds.shape[-1]))
        scoring = F.mse_loss(foretold, overlaps) if len(overlaps) else foretold.sum() * 0
        return {"loss_mask": outline_loss(odds, wanted), "loss_mask_iou": scoring}

    def outline(self, features: Features, found: list[Target], sizes: Sizes) -> None:
        held = self.mask_roi_pool(features, [each["boxes"] for each in found], sizes)
        labels = torch.cat([each["labels"] for each in found])
        masks = maskrcnn_inference(self.mask_predictor(self.mask_head(held)), [each["labels"] for each in found])
        foretold = self.scoring(held, torch.cat(masks)[:, 0])
        overlaps = foretold[torch.arange(len(labels), device=labels.device), labels].clamp(0, 1)
        for each, mask, overlap in zip(found, masks, overlaps.split([len(mask) for mask in masks]), strict=True):
            # what was not kept had a lower score than these, before any overlap lowered it further
            cut_at = each["scores"].min() if len(mask) else overlap.new_zeros(())
            order = torch.argsort(each["scores"] * overlap, descending=True, stable=True)
            each |= {"masks": mask, "scores": each["scores"] * overlap}
            each |= {name: value[order] for name, value in each.items()} | {CUT_AT: cut_at}


def whole_areas(targets: list[Target], regions: list[Outlined], side: int) -> Float[Tensor, " region"]:
    """Areas of the regions' whole objects, also of what lies outside the region, in entries of the region."""
    made = []
    for target, each in zip(targets, regions, strict=True):
        area_px = target["masks"].flatten(1).sum(dim=1)[each.objects]
        width, height = (each.boxes[:, 2:] - each.boxes[:, :2]).clamp(min=1e-6).T
        made.append(area_px * side**2 / (width * height))
    return torch.cat(made)


def outline_overlaps(
    outlines: Float[Tensor, "region y x"], wanted: Float[Tensor, "region y x"], whole: Float[Tensor, " region"]
) -> Float[Tensor, " region"]:
    """Intersection over union of each outline, cut at 0.5, with its whole object; the paper's figure 4.

    wanted: part of each entry that the object covers. whole: see `whole_areas`.
    """
    inside = (outlines >= INSIDE).to(wanted.dtype)
    true = (wanted >= INSIDE).to(wanted.dtype)
    both = (inside * true).sum(dim=(1, 2))
    # rounding to entries may leave more of the object inside than it has in all
    union = inside.sum(dim=(1, 2)) + torch.maximum(whole, true.sum(dim=(1, 2))) - both
    return both / union.clamp(min=1e-6)
