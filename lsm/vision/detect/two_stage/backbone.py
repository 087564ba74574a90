"""Feature pyramids with strides of 4, 8, 16, 32 and 64 pixels over any number of input channels."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Literal

import torchvision
from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool

Backbone = Literal["resnet50", "resnet18", "mobilenet-v3-large", "tiny"]
Norm = Literal["group", "batch", "frozen"]

STRIDES: Final = (4, 8, 16, 32)
"""Pixels between the features of the levels "0" to "3"; the level "pool" has 64."""

_GROUPS_MOST: Final = 32
_TINY_WIDTHS: Final = (24, 32, 48, 64)
# last block of each stride, as counted in torchvision's list of features
_MOBILENET_BLOCKS: Final = {"3": 24, "6": 40, "12": 112, "16": 960}


def feature_pyramid(
    backbone: Backbone, *, channels: int, width: int, norm: Norm, top: ExtraFPNBlock | None = None
) -> nn.Module:
    """Feature maps by level, each with `width` channels, for images [image, channel, y, x] with new weights.

    Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017.
    norm: `group` learns from scratch with few images a step; `frozen` is what torchvision's own detectors have.
    top: makes the coarser levels; by default one that takes every second feature of level 3.
    """
    if backbone == "tiny":
        body, levels = _tiny(channels, _norm(norm)), {f"stage{k + 1}": width for k, width in enumerate(_TINY_WIDTHS)}
    elif backbone == "mobilenet-v3-large":
        whole = torchvision.models.mobilenet_v3_large(weights=None, norm_layer=_norm(norm))
        whole.features[0][0] = _with_channels(whole.features[0][0], channels)
        body, levels = whole.features, _MOBILENET_BLOCKS
    else:
        body = getattr(torchvision.models, backbone)(weights=None, norm_layer=_norm(norm))
        body.conv1 = _with_channels(body.conv1, channels)
        last = body.fc.in_features
        levels = {f"layer{k}": last // 2 ** (4 - k) for k in (1, 2, 3, 4)}
    pyramid: nn.Module = BackboneWithFPN(
        body,
        {name: str(k) for k, name in enumerate(levels)},
        list(levels.values()),
        width,
        extra_blocks=LastLevelMaxPool() if top is None else top,
    )
    return pyramid


def _tiny(channels: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    """A body for tests and the smallest machines: two convolutions for each halving."""

    def layers(before: int, after: int, stride: int) -> Iterator[nn.Module]:
        yield nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        yield norm(after)
        yield nn.ReLU()

    stages: OrderedDict[str, nn.Module] = OrderedDict()
    before = _TINY_WIDTHS[0]
    stages["stem"] = nn.Sequential(*layers(channels, before, 2))
    for k, width in enumerate(_TINY_WIDTHS):
        stages[f"stage{k + 1}"] = nn.Sequential(*layers(before, width, 2), *layers(width, width, 1))
        before = width
    return nn.Sequential(stages)


def _norm(norm: Norm) -> Callable[[int], nn.Module]:
    if norm == "group":
        return lambda width: nn.GroupNorm(math.gcd(_GROUPS_MOST, width), width)
    made: Callable[[int], nn.Module] = nn.BatchNorm2d if norm == "batch" else FrozenBatchNorm2d
    return made


def _with_channels(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A layer like this one for another number of input channels."""
    if layer.in_channels == channels:
        return layer
    made = nn.Conv2d(
        channels,
        layer.out_channels,
        (layer.kernel_size[0], layer.kernel_size[1]),
        stride=(layer.stride[0], layer.stride[1]),
        padding=(int(layer.padding[0]), int(layer.padding[1])),
        bias=layer.bias is not None,
    )
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made
