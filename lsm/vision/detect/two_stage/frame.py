"""Images and boxes on their way into a two-stage network, and its finds on their way out."""

from typing import Final, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList

from lsm.vision.detect.pieces import packed
from lsm.vision.detect.two_stage.paste import paste, paste_at_whole_pixels

Coordinates = Literal["centred", "torchvision"]
Target = dict[str, Tensor]

SIZE_STEP: Final = 32
"""Images are padded to multiples of this, so that every level but the coarsest halves without a rest."""

_HALF_PX: Final = 0.5


class Frame(nn.Module):
    """Scales and pads images, and moves boxes between the data's coordinates and the network's.

    In the data the first pixel lies between 0 and 1. Inside a torchvision network feature k of a level lies over the
    pixel with the number k times its stride, anchors are centred there, and its RoI align reads a map at 0.5 halfway
    between its first two entries. `centred` therefore counts from the centre of the first pixel inside: boxes,
    features and outlines then agree to a part of a pixel, which decides for cells of ten pixels. `torchvision` passes
    boxes as they are and pastes outlines at whole pixels, as the published weights were trained.
    """

    def __init__(self, *, scale: float, resize: tuple[int, int] | None, coordinates: Coordinates) -> None:
        super().__init__()
        self.scale = scale
        self.resize = resize
        self.coordinates = coordinates

    def forward(
        self, images: list[Tensor], targets: list[Target] | None = None
    ) -> tuple[ImageList, list[Target] | None]:
        """The images in one batch, and targets that fit them."""
        scaled = [self._scaled(image) for image in images]
        sizes = [(image.shape[1], image.shape[2]) for image in scaled]
        height, width = (SIZE_STEP * -(-max(size[axis] for size in sizes) // SIZE_STEP) for axis in (0, 1))
        batch = torch.stack([F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in scaled])
        moved = None
        if targets is not None:
            befores = [(image.shape[1], image.shape[2]) for image in images]
            moved = [
                self._target(target, before, size) for target, before, size in zip(targets, befores, sizes, strict=True)
            ]
        return ImageList(batch, sizes), moved

    def postprocess(
        self, found: list[Target], sizes: list[tuple[int, int]], originals: list[tuple[int, int]]
    ) -> list[Target]:
        """Boxes in the coordinates of the images as they came, outlines `masks` [object, 1, my, mx] as their pieces."""
        if self.training:
            return found
        for each, size, original in zip(found, sizes, originals, strict=True):
            boxes = each["boxes"]
            if self.coordinates == "centred":
                boxes = _uncentred(boxes, size)
            each["boxes"] = boxes * _ratio(size, original, boxes)
            if "masks" in each:
                each |= self._pasted(each.pop("masks"), each["boxes"], original)
        return found

    def _pasted(
        self, masks: Float[Tensor, "object 1 my mx"], boxes: Float[Tensor, "object 4"], size: tuple[int, int]
    ) -> Target:
        put = paste if self.coordinates == "centred" else paste_at_whole_pixels
        return packed(boxes, size, lambda k, window: put(masks[k, 0], boxes[k], window))

    def _scaled(self, image: Float[Tensor, "channel y x"]) -> Float[Tensor, "channel sy sx"]:
        height, width = image.shape[1:]
        factor = self.scale
        if self.resize is not None:
            short, longest = self.resize
            factor = min(short / min(height, width), longest / max(height, width))
        if factor == 1:
            return image
        size = [max(int(height * factor), 1), max(int(width * factor), 1)]
        return F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]

    def _target(self, target: Target, before: tuple[int, int], after: tuple[int, int]) -> Target:
        moved = dict(target)
        moved["boxes"] = target["boxes"] * _ratio(before, after, target["boxes"])
        if self.coordinates == "centred":
            moved["boxes"] = moved["boxes"] - _HALF_PX
        if "masks" in target and before != after:
            moved["masks"] = _nearest(_nearest(target["masks"], 1, after[0]), 2, after[1])
        return moved


def _nearest(masks: UInt8[Tensor, "object y x"], axis: int, entries: int) -> UInt8[Tensor, "object v u"]:
    """The nearest of so many entries along one axis."""
    at = (torch.arange(entries, device=masks.device) + 0.5) * (masks.shape[axis] / entries)
    return masks.index_select(axis, at.long())


def _ratio(before: tuple[int, int], after: tuple[int, int], like: Tensor) -> Float[Tensor, " 4"]:
    down, across = after[0] / before[0], after[1] / before[1]
    return torch.tensor([across, down, across, down], dtype=like.dtype, device=like.device)


def _uncentred(boxes: Float[Tensor, "object 4"], size: tuple[int, int]) -> Float[Tensor, "object 4"]:
    """Boxes with the first pixel between 0 and 1; what the network cut at the image's edge ends at that edge."""
    moved = boxes + _HALF_PX
    moved[:, :2] = torch.where(boxes[:, :2] <= 0, 0, moved[:, :2])
    last = torch.tensor([size[1], size[0]], dtype=boxes.dtype, device=boxes.device)
    moved[:, 2:] = torch.minimum(moved[:, 2:], last)
    return moved
