"""Discriminative RoI pooling: features of a region from where they tell most.

Cao et al., CVPR 2020, section 3.2.
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign

from lsm.vision.detect.d2det.dense import centres
from lsm.vision.detect.two_stage.backbone import STRIDES
from lsm.vision.detect.two_stage.regions import Features, Sizes

_REACH: Final = 0.1
_COARSE: Final = 3
_PLACES: Final = 2


class DiscriminativePool(nn.Module):
    """Features [region, channel, side, side] of regions, from moved places and with learned weights.

    A coarse RoI align of 3 x 3 foretells by how much each of the parts is moved; each part is then read at 2 x 2 moved
    places, whose weights come from the features there and add to one in each channel.
    Deviations: the weights are a softmax over the 2 x 2 places, of one depthwise convolution; the released code has a
    gated sum over 3 x 3 of a full one, with as many products as the rest of the network.
    """

    def __init__(self, coarse: MultiScaleRoIAlign, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.coarse = coarse
        self.side = side
        self.moves = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * _COARSE**2, width),
            nn.ReLU(),
            nn.Linear(width, 2 * side**2),
        )
        self.weights = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        # it starts as a plain mean at the places of an RoI align
        for layer in (self.moves[-1], self.weights):
            for value in layer.parameters():
                nn.init.zeros_(value)

    def forward(
        self, features: Features, boxes: list[Tensor], sizes: Sizes
    ) -> Float[Tensor, "region channel side side"]:
        moves = self.moves(self.coarse(features, boxes, sizes)).unflatten(1, (2, self.side, self.side))
        moves = moves.repeat_interleave(_PLACES, dim=2).repeat_interleave(_PLACES, dim=3)
        levels = self.coarse.map_levels(boxes).split([len(each) for each in boxes])
        read = [
            read_at(features, number, level, _moved(box, move))
            for number, (box, level, move) in enumerate(
                zip(boxes, levels, moves.split([len(each) for each in boxes]), strict=True)
            )
        ]
        held = torch.cat(read)
        return weighted_mean(held, self.weights(held))


def _moved(
    boxes: Float[Tensor, "region 4"], moves: Float[Tensor, "region 2 place place"]
) -> Float[Tensor, "region 2 place place"]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return centres(boxes, moves.shape[-1]) + _REACH * sides[:, :, None, None] * moves


def read_at(
    features: Features, image: int, levels: Tensor, places: Float[Tensor, "region 2 place place"]
) -> Float[Tensor, "region channel place place"]:
    """Features of one image at places in its pixels, each region's from its own level, interpolated."""
    first = features["0"]
    read = first.new_zeros((len(places), first.shape[1], *places.shape[2:]))
    for level, stride in enumerate(STRIDES):
        chosen = torch.where(levels == level)[0]
        if len(chosen) == 0:
            continue
        field = features[str(level)][image : image + 1]
        last = torch.tensor([max(field.shape[3] - 1, 1), max(field.shape[2] - 1, 1)], device=field.device)
        at = places[chosen].permute(0, 2, 3, 1) / stride * 2 / last - 1
        found = F.grid_sample(field, at.flatten(0, 1)[None].to(field.dtype), padding_mode="border", align_corners=True)
        read[chosen] = found[0].reshape(-1, len(chosen), *places.shape[2:]).transpose(0, 1)
    return read


def weighted_mean(
    held: Float[Tensor, "region channel place place"], odds: Float[Tensor, "region channel place place"]
) -> Float[Tensor, "region channel side side"]:
    """Means over 2 x 2 places, weighted by the softmax of their odds."""
    weighted: Tensor = (_together(held) * _together(odds).softmax(dim=-1)).sum(dim=-1)
    return weighted


def _together(
    values: Float[Tensor, "region channel place place"],
) -> Float[Tensor, "region channel side side 4"]:
    regions, channels, places = values.shape[:3]
    side = places // _PLACES
    apart = values.reshape(regions, channels, side, _PLACES, side, _PLACES)
    return apart.transpose(3, 4).flatten(4)
