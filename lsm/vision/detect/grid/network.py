"""The grid detector's layers.

One pass gives, at every point of one grid, the odds of every category and the distances to the four edges of the box,
as in Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", arXiv 1904.01355 (2019), without its levels:
a pyramid of features (Lin et al., arXiv 1612.03144, 2017) is summed into the one grid that small objects need, and
large ones are seen through its coarse stages.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.errors import InputError
from lsm.vision.detect.grid.layers import Block, convolve
from lsm.vision.detect.grid.losses import grid_losses
from lsm.vision.detect.grid.shape import GridShape
from lsm.vision.detect.grid.suppress import Found, suppress

RARE = 0.01
"""Score of an untrained network everywhere: few points are objects, and starting there spares many steps."""

FARTHEST = 4.0
"""Limit of the logarithm of a distance over half the prior side; beyond it no box makes sense."""


class Rasters(NamedTuple):
    """At every grid point of every image: log-odds of the categories, and box edges x0, y0, x1, y1 in pixels.

    The boxes of a point are alike in all categories, but for the category's usual size.
    points: x and y of the grid points in pixels.
    """

    odds: Float[Tensor, "image point category"]
    boxes: Float[Tensor, "image point category 4"]
    points: Float[Tensor, "point 2"]


class GridNetwork(nn.Module):
    """Follows the convention in `ModelConfig`.

    overlap, least_score, most: see `GridConfig`.
    """

    def __init__(self, shape: GridShape, *, overlap: float = 0.6, least_score: float = 0.02, most: int = 500) -> None:
        super().__init__()
        self.shape, self.overlap, self.least_score, self.most = shape, overlap, least_score, most
        width = shape.width
        # one of the stages may be finer than the grid
        widths = [max(2, width // 2), width, *[2 * width] * (shape.stages - 1)]
        self.stem = convolve(shape.channels, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(convolve(before, after, stride=2), *(Block(after) for _ in range(shape.depth)))
            for before, after in pairwise(widths)
        )
        self.finest = int(math.log2(shape.stride)) - 1
        self.sideways = nn.ModuleList(nn.Conv2d(each, width, 1) for each in widths[self.finest :])
        self.smooth = nn.ModuleList(convolve(width, width) for _ in widths[self.finest + 1 : -1])
        self.shared = convolve(width, width)
        self.kind_tower, self.edge_tower = convolve(width, max(2, width // 2)), convolve(width, max(2, width // 2))
        self.kinds = _outputs(max(2, width // 2), shape.categories, math.log(RARE / (1 - RARE)))
        self.edges = _outputs(max(2, width // 2), 4, 0.0)

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        for image in images:
            self._check(image)
        if self.training:
            if targets is None or len(targets) != len(images):
                raise InputError("A network in training needs targets for each image.", hint="call eval() to detect")
            return self._losses(images, targets)
        # one image at a time: the features of one stay in the cache, and no image sees another's size
        return [self._detect(image) for image in images]

    def rasters(self, images: Float[Tensor, "image channel y x"]) -> Rasters:
        """What the network sees in normalised images of one size, before anything is suppressed."""
        shared = self.shared(self._features(images))
        odds, edges = self.kinds(self.kind_tower(shared)), self.edges(self.edge_tower(shared))
        rows, columns = odds.shape[2], odds.shape[3]
        # each stage is centred on the first of the two pixels that it joins
        step, first = self.shape.step_px, 0.5 * self.shape.shrink
        x = torch.arange(columns, device=odds.device, dtype=odds.dtype) * step + first
        y = (torch.arange(rows, device=odds.device, dtype=odds.dtype) * step + first)[:, None]
        prior_px = torch.tensor(self.shape.prior_px, device=odds.device, dtype=odds.dtype)
        reach = torch.exp(edges.clamp(-FARTHEST, FARTHEST))[:, :, None] * (0.5 * prior_px[:, None, None])
        left, top, right, bottom = reach.unbind(dim=1)
        boxes = torch.stack((x - left, y - top, x + right, y + bottom), dim=-1).flatten(2, 3).transpose(1, 2)
        points = torch.stack((x.expand(rows, columns), y.expand(rows, columns)), dim=-1).flatten(0, 1)
        return Rasters(odds.flatten(2).transpose(1, 2), boxes, points)

    def _features(self, images: Float[Tensor, "image channel y x"]) -> Float[Tensor, "image width gy gx"]:
        if self.shape.shrink > 1:
            images = F.avg_pool2d(images, self.shape.shrink)
        features = [self.stem(images)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        sideways = [layer(each) for layer, each in zip(self.sideways, features[self.finest :], strict=True)]
        joined: Tensor = sideways.pop()
        for number in range(len(sideways) - 1, -1, -1):
            fine = sideways[number]
            coarse = F.interpolate(joined, scale_factor=2.0, mode="nearest")
            joined = fine + coarse[:, :, : fine.shape[2], : fine.shape[3]]
            if number > 0:
                joined = self.smooth[number - 1](joined)
        return joined

    def _losses(self, images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        padded = torch.stack(
            [F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images]
        )
        seen = self.rasters(padded)
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        return grid_losses(seen.odds, seen.boxes, seen.points, sizes, targets)

    @torch.no_grad()
    def _detect(self, image: Float[Tensor, "channel y x"]) -> dict[str, Tensor]:
        seen = self.rasters(image[None])
        found: Found = suppress(
            seen.boxes[0],
            torch.sigmoid(seen.odds[0]),
            (image.shape[1], image.shape[2]),
            overlap=self.overlap,
            least_score=self.least_score,
            most=self.most,
        )
        return {"boxes": found.boxes, "labels": found.category + 1, "scores": found.score}

    def _check(self, image: Tensor) -> None:
        least = 2 * self.shape.shrink
        hint = f"it takes {self.shape.channels} channels of at least {least} x {least} pixels"
        if image.dim() != 3 or image.shape[0] != self.shape.channels:
            raise InputError(f"The grid detector was given an image of the shape {tuple(image.shape)}.", hint=hint)
        if min(image.shape[1:]) < least:
            raise InputError(
                f"The image is too small: {image.shape[2]} pixels wide and {image.shape[1]} high.", hint=hint
            )


def _outputs(before: int, after: int, first: float) -> nn.Conv2d:
    """A last layer that gives about `first` before anything is learned."""
    layer = nn.Conv2d(before, after, 1)
    nn.init.normal_(layer.weight, std=0.01)
    layer.bias = nn.Parameter(torch.full((after,), first))
    return layer
