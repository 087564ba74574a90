"""Networks that name a cell infected from its images alone."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Float
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError


class NetworkConfig(Config):
    """Size of the classifier.

    kind: "plain" is convolution, batch norm, rectifier and pooling, three times, then a dense layer: the size of
    network that the publications used. "residual" has a second convolution in every stage and averages over the
    last maps; it is stronger and about three times as slow.
    """

    kind: Literal["plain", "residual"] = "plain"
    widths: tuple[Annotated[int, Gt(0)], ...] = (16, 32, 64)
    hidden: Annotated[int, Gt(0)] = 64
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.3


class CellNetwork(nn.Module):
    """Log-odds that a cell is infected from its images [row, channel, y, x]."""

    def __init__(self, channels: int, side_px: int, config: NetworkConfig) -> None:
        super().__init__()
        halvings = len(config.widths)
        if side_px >> halvings < 1:
            raise ConfigError(
                f"Images of {side_px} px cannot be halved {halvings} times.", hint="give the network fewer widths"
            )
        stage = _plain if config.kind == "plain" else _Residual
        widths = (channels, *config.widths)
        self.stages = nn.Sequential(*(stage(before, after) for before, after in pairwise(widths)))
        pooled = 1 if config.kind == "residual" else (side_px >> halvings) ** 2
        self.pool = nn.AdaptiveAvgPool2d(1) if config.kind == "residual" else nn.Identity()
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.widths[-1] * pooled, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, 1),
        )

    def forward(self, images: Float[Tensor, "row channel y x"]) -> Float[Tensor, " row"]:
        odds: Tensor = self.head(self.pool(self.stages(images.contiguous(memory_format=torch.channels_last))))
        return odds[:, 0]


def _plain(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
    )


class _Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        pooled: Tensor = self.pool(torch.relu(first + self.second(first)))
        return pooled
