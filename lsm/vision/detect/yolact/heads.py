"""What YOLACT computes from the feature pyramid; Bolya et al., ICCV 2019, sections 3.1, 3.2 and 4."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops.feature_pyramid_network import LastLevelP6P7


@dataclass(frozen=True, eq=False)
class Predictions:
    """Of every anchor of all levels, one after the other."""

    odds: Float[Tensor, "image anchor label"]
    offsets: Float[Tensor, "image anchor 4"]
    coefficients: Float[Tensor, "image anchor prototype"]


class PrototypeHead(nn.Module):
    """Prototypes [image, prototype, y, x] at twice the resolution of the features; figure 3 of the paper."""

    def __init__(self, channels: int, prototypes: int) -> None:
        super().__init__()
        self.before = nn.Sequential(
            *(layer for _ in range(3) for layer in (nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()))
        )
        self.after = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, prototypes, 1), nn.ReLU()
        )

    def forward(self, features: Float[Tensor, "image channel y x"]) -> Float[Tensor, "image prototype y2 x2"]:
        larger = F.interpolate(self.before(features), scale_factor=2, mode="bilinear", align_corners=False)
        prototypes: Tensor = self.after(larger)
        return prototypes


class PredictionHead(nn.Module):
    """Labels, boxes and coefficients of every anchor; one convolution is shared by all of them, figure 4."""

    def __init__(self, channels: int, anchors: int, labels: int, prototypes: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.odds = nn.Conv2d(channels, anchors * labels, 3, padding=1)
        self.offsets = nn.Conv2d(channels, anchors * 4, 3, padding=1)
        self.coefficients = nn.Conv2d(channels, anchors * prototypes, 3, padding=1)
        self._anchors = anchors

    def forward(self, levels: list[Float[Tensor, "image channel _ _"]]) -> Predictions:
        shared = [self.shared(level) for level in levels]
        return Predictions(
            self._flat([self.odds(level) for level in shared]),
            self._flat([self.offsets(level) for level in shared]),
            self._flat([self.coefficients(level) for level in shared]).tanh(),
        )

    def _flat(self, maps: list[Tensor]) -> Float[Tensor, "image anchor value"]:
        """In the order of the anchors: by level, row, column and shape."""
        return torch.cat(
            [
                each.reshape(len(each), self._anchors, -1, *each.shape[2:]).permute(0, 3, 4, 1, 2).flatten(1, 3)
                for each in maps
            ],
            dim=1,
        )


def coarser_levels(width: int) -> LastLevelP6P7:
    """Levels with strides of 64 and 128, by convolutions that take every second feature."""
    return LastLevelP6P7(width, width)
