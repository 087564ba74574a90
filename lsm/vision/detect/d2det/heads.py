"""The second stage of D2Det."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign, batched_nms, clip_boxes_to_image

from lsm.vision.detect.d2det.dense import PARTS, decided, jittered, on_object, overlap_loss, vote_loss
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

NAMING_WEIGHT = 2.0
VOTING_WEIGHT = 2.0
"""Of the losses of names and votes, as in the authors' released configuration; the others weigh 1."""

_GROUPS_MOST = 32


class LocalHead(nn.Module):
    """From 14 x 14 features of a region: distances to the edges, odds of lying on the object, odds of outlines.

    labels: of the outlines; 0 makes none.
    """

    def __init__(self, channels: int, width: int, layers: int, labels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*_convolutions(channels, width, layers))
        self.distances = nn.Conv2d(width, 4, 3, padding=1)
        self.overlap = nn.Conv2d(width, 1, 3, padding=1)
        # half a side is what the middle of a region that fits has to say
        for layer, first in ((self.distances, 0.5), (self.overlap, 0.0)):
            nn.init.normal_(layer.weight, std=0.001)
            layer.bias = nn.Parameter(torch.full((layer.out_channels,), first))
        self.outlines = nn.Sequential(*(_enlarging(width, labels) if labels else ()))

    def forward(
        self, held: Float[Tensor, "region channel 14 14"]
    ) -> tuple[Float[Tensor, "region 4 7 7"], Float[Tensor, "region 7 7"], Float[Tensor, "region width 7 7"]]:
        """Distances, odds of overlap, and the features for the outlines."""
        local = self.convolutions(held)
        return F.relu(self.distances(local)), self.overlap(local)[:, 0], local


class DenseRegions(Regions):
    """Heads that name regions by chosen features and find their edges by votes."""

    local_pool: MultiScaleRoIAlign
    local: LocalHead
    jitter: float

    def has_mask(self) -> bool:
        return len(self.local.outlines) > 0

    def losses(
        self, features: Features, proposals: list[Tensor], sizes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        boxes, matched, labels, _ = self.select_training_samples(proposals, targets)
        odds = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, sizes)))
        losses = {"loss_classifier": NAMING_WEIGHT * F.cross_entropy(odds, torch.cat(labels))}
        regions = [
            Outlined(jittered(each.boxes, self.jitter, size), each.objects, each.labels)
            for each, size in zip(self.outlined(boxes, matched, labels), sizes, strict=True)
        ]
        return losses | self._local_losses(features, regions, sizes, targets)

    def _local_losses(
        self, features: Features, regions: list[Outlined], sizes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        found, overlap, held = self.local(self.local_pool(features, [each.boxes for each in regions], sizes))
        boxes = torch.cat([each.boxes for each in regions])
        objects = torch.cat([target["boxes"][each.objects] for target, each in zip(targets, regions, strict=True)])
        on = on_object(boxes, objects)
        losses = {}
        if self.has_mask():
            # with outlines known, a part lies on the object itself
            on = on & (outlines_wanted(targets, regions, PARTS) >= 0.5)
            drawn = of_category(self.local.outlines(held), regions)
            losses["loss_mask"] = outline_loss(drawn, outlines_wanted(targets, regions, drawn.shape[-1]))
        losses["loss_overlap"] = overlap_loss(overlap, on)
        losses["loss_box_reg"] = VOTING_WEIGHT * vote_loss(boxes, found, objects, on)
        return losses

    def name(self, features: Features, proposals: list[Tensor], sizes: Sizes) -> list[Target]:
        """Regions are named and thinned out as they were proposed, then their edges are found, then thinned again."""
        odds = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, sizes)))
        unmoved = odds.new_zeros((len(odds), 4 * odds.shape[1]))
        boxes, scores, labels = self.postprocess_detections(odds, unmoved, proposals, sizes)
        found, overlap, _ = self.local(self.local_pool(features, boxes, sizes))
        better = torch.split(decided(torch.cat(boxes), found, overlap), [len(each) for each in boxes])
        named = []
        for box, score, label, size in zip(better, scores, labels, sizes, strict=True):
            inside = clip_boxes_to_image(box, size)
            kept = batched_nms(inside, score, label, self.nms_thresh)
            named.append({"boxes": inside[kept], "labels": label[kept], "scores": score[kept]})
        return named

    def outline_odds(self, features: Features, boxes: list[Tensor], sizes: Sizes) -> Float[Tensor, "region label y x"]:
        odds: Tensor = self.local.outlines(self.local(self.local_pool(features, boxes, sizes))[2])
        return odds


def _convolutions(channels: int, width: int, layers: int) -> Iterator[nn.Module]:
    for k in range(layers):
        stride = 2 if k == 0 else 1
        yield nn.Conv2d(channels if k == 0 else width, width, 3, stride=stride, padding=1, bias=False)
        yield nn.GroupNorm(math.gcd(_GROUPS_MOST, width), width)
        yield nn.ReLU()


def _enlarging(width: int, labels: int) -> Iterator[nn.Module]:
    yield nn.ConvTranspose2d(width, width, 2, stride=2)
    yield nn.GroupNorm(math.gcd(_GROUPS_MOST, width), width)
    yield nn.ReLU()
    yield nn.ConvTranspose2d(width, width, 2, stride=2)
    yield nn.ReLU()
    yield nn.Conv2d(width, labels, 3, padding=1)
