"""What a two-stage network does with each proposed region: name it, refine its box, outline what is in it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_inference
from torchvision.ops import roi_align

from lsm.errors import WrongFormat

Features = dict[str, Tensor]
Target = dict[str, Tensor]
Sizes = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Outlined:
    """Regions with an object in one training image: their boxes, and which object each holds."""

    boxes: Float[Tensor, "region 4"]
    objects: Int64[Tensor, " region"]
    labels: Int64[Tensor, " region"]


class Regions(RoIHeads):  # type: ignore[misc]  # torchvision has no types
    """torchvision's heads over regions, in steps that other networks change one at a time.

    most_outlined: regions for each training image from which outlines are learned; 0 is all.
    """

    most_outlined: int = 0

    def forward(
        self, features: Features, proposals: list[Tensor], image_shapes: Sizes, targets: list[Target] | None = None
    ) -> tuple[list[Target], dict[str, Tensor]]:
        if self.training:
            if targets is None:
                raise WrongFormat("A network in training got no targets.", hint="give boxes and labels, or call eval()")
            self._check(targets)
            return [], self.losses(features, proposals, image_shapes, targets)
        found = self.name(features, proposals, image_shapes)
        if self.has_mask():
            self.outline(features, found, image_shapes)
        return found, {}

    def losses(
        self, features: Features, proposals: list[Tensor], sizes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        """The losses of the heads by name."""
        boxes, matched, labels, offsets = self.select_training_samples(proposals, targets)
        odds, found = self.box_predictor(self.box_head(self.box_roi_pool(features, boxes, sizes)))
        naming, placing = fastrcnn_loss(odds, found, labels, offsets)
        losses = {"loss_classifier": naming, "loss_box_reg": placing}
        if self.has_mask():
            losses |= self.outline_losses(features, self.outlined(boxes, matched, labels), sizes, targets)
        return losses

    def outlined(self, boxes: list[Tensor], matched: list[Tensor], labels: list[Tensor]) -> list[Outlined]:
        """The regions of each image that hold an object, at most `most_outlined`."""
        chosen = []
        for box, match, label in zip(boxes, matched, labels, strict=True):
            with_object = torch.where(label > 0)[0]
            if self.most_outlined and len(with_object) > self.most_outlined:
                shuffled = torch.randperm(len(with_object), device=with_object.device)
                with_object = with_object[shuffled[: self.most_outlined]]
            chosen.append(Outlined(box[with_object], match[with_object], label[with_object]))
        return chosen

    def outline_losses(
        self, features: Features, regions: list[Outlined], sizes: Sizes, targets: list[Target]
    ) -> dict[str, Tensor]:
        """Binary cross entropy of the outlines in the channel of the true category; He et al., ICCV 2017, section 3."""
        odds = self.outline_odds(features, [each.boxes for each in regions], sizes)
        wanted = outlines_wanted(targets, regions, odds.shape[-1])
        return {"loss_mask": outline_loss(of_category(odds, regions), wanted)}

    def outline_odds(self, features: Features, boxes: list[Tensor], sizes: Sizes) -> Float[Tensor, "region label y x"]:
        """Odds of the outline of every category in each region."""
        odds: Tensor = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, sizes)))
        return odds

    def name(self, features: Features, proposals: list[Tensor], sizes: Sizes) -> list[Target]:
        """Boxes, labels and scores of each image."""
        odds, offsets = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, sizes)))
        boxes, scores, labels = self.postprocess_detections(odds, offsets, proposals, sizes)
        return [
            {"boxes": box, "labels": label, "scores": score}
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]

    def outline(self, features: Features, found: list[Target], sizes: Sizes) -> None:
        """Put `masks` [object, 1, my, mx], each over its box, beside the finds."""
        odds = self.outline_odds(features, [each["boxes"] for each in found], sizes)
        for each, masks in zip(found, maskrcnn_inference(odds, [each["labels"] for each in found]), strict=True):
            each["masks"] = masks

    def _check(self, targets: list[Target]) -> None:
        if self.has_mask() and not all("masks" in target for target in targets):
            raise WrongFormat(
                "An image to learn outlines from has none.",
                hint="use a network of boxes, such as faster-rcnn, or mark the outlines",
            )


def outline_loss(odds: Float[Tensor, "region y x"], wanted: Float[Tensor, "region y x"]) -> Float[Tensor, ""]:
    """Mean binary cross entropy; zero, with a gradient of zero, where there is no region."""
    return F.binary_cross_entropy_with_logits(odds, wanted) if len(wanted) else odds.sum() * 0


def of_category(odds: Float[Tensor, "region label y x"], regions: list[Outlined]) -> Float[Tensor, "region y x"]:
    """The outline of each region's own category."""
    labels = torch.cat([each.labels for each in regions])
    return odds[torch.arange(len(labels), device=labels.device), labels]


def outlines_wanted(targets: list[Target], regions: list[Outlined], side: int) -> Float32[Tensor, "region side side"]:
    """Parts of the regions' entries that their objects cover, side x side in each region."""
    made = [
        _cut(target["masks"], each.boxes, each.objects, side)
        for target, each in zip(targets, regions, strict=True)
        if len(each.boxes)
    ]
    return torch.cat(made) if made else targets[0]["boxes"].new_zeros((0, side, side))


def _cut(
    masks: UInt8[Tensor, "object y x"],
    boxes: Float[Tensor, "region 4"],
    objects: Int64[Tensor, " region"],
    side: int,
) -> Float32[Tensor, "region side side"]:
    """RoI align of the outlines, read in pieces as large as the largest object.

    A field of 200 cells and a million pixels would otherwise be 200 million numbers.
    """
    height, width = masks.shape[1:]
    rows, columns = masks.any(dim=2), masks.any(dim=1)
    top, left = rows.int().argmax(dim=1), columns.int().argmax(dim=1)
    tall = height - rows.flip(1).int().argmax(dim=1) - top
    wide = width - columns.flip(1).int().argmax(dim=1) - left
    # one pixel more on each side: between pixel centres the values are interpolated
    reach_y = torch.arange(int(tall.max()) + 2, device=masks.device) - 1
    reach_x = torch.arange(int(wide.max()) + 2, device=masks.device) - 1
    y = (top[:, None] + reach_y).clamp(0, height - 1)
    x = (left[:, None] + reach_x).clamp(0, width - 1)
    which = torch.arange(len(masks), device=masks.device)
    pieces = masks[which[:, None, None], y[:, :, None], x[:, None, :]].to(boxes.dtype)
    origin = torch.stack([left, top, left, top], dim=1).to(boxes.dtype) - 1
    placed = torch.cat([objects[:, None].to(boxes.dtype), boxes - origin[objects]], dim=1)
    cut: Tensor = roi_align(pieces[:, None], placed, (side, side), 1.0)[:, 0]
    return cut
