"""One small network for crops that names their class, counts their objects, or does both."""

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config

KERNELS = {
    "cross": ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0)),
    "square": ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0)),
}
"""Sharpening 3x3 kernels: the image plus what distinguishes a pixel from its four or eight neighbours."""


class CropNetworkConfig(Config):
    """The network's size and kind; it takes any number of channels and crops of any size.

    sharpen: kernel of `KERNELS` that is laid over every crop before anything else. widths: channels of each stage, a
    stage being convolution, batch norm, rectifier and halving. grid: places per side of the last map that the dense
    layers see, whatever the crop's size. count: how objects are counted: "dense" layers, or the "sum" of a map that
    says for each place how many are there.
    """

    sharpen: Literal["none", "cross", "square"] = "none"
    widths: Annotated[tuple[Annotated[int, Gt(0), Le(512)], ...], MinLen(1), MaxLen(8)] = (16, 32, 64)
    grid: Annotated[int, Gt(0), Le(16)] = 4
    hidden: Annotated[int, Gt(0), Le(2048)] = 64
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.3
    count: Literal["dense", "sum"] = "dense"


class CropOutput(NamedTuple):
    """What the network says of each crop; None for what it was not made for.

    logits: log-odds of the classes but for a constant. objects: how many, in units of the mean count.
    """

    logits: Float[Tensor, "crop category"] | None
    objects: Float[Tensor, " crop"] | None


class CropNetwork(nn.Module):
    """Classes and counts from crops [crop, channel, y, x] that have been normalised.

    categories: number of classes, 0 for none. counts: whether objects are counted.
    size: height and width of the crops that it is trained on; a map of another size counts in proportion.
    """

    kernel: Tensor | None

    def __init__(
        self, channels: int, categories: int, config: CropNetworkConfig, *, counts: bool, size: tuple[int, int]
    ) -> None:
        super().__init__()
        kernel = None
        if config.sharpen != "none":
            kernel = torch.tensor(KERNELS[config.sharpen]).expand(channels, 1, 3, 3).clone()
        # not saved: the configuration says which it is
        self.register_buffer("kernel", kernel, persistent=False)
        self.stages = nn.Sequential(*(_stage(before, after) for before, after in pairwise((channels, *config.widths))))
        last = config.widths[-1]
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(config.grid),
            nn.Flatten(),
            nn.Linear(last * config.grid**2, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.name = nn.Linear(config.hidden, categories) if categories else None
        self.count: nn.Module | None = None
        if counts:
            self.count = nn.Linear(config.hidden, 1) if config.count == "dense" else nn.Conv2d(last, 1, 1)
        halvings = len(config.widths)
        self._places = -(-size[0] // 2**halvings) * -(-size[1] // 2**halvings)

    def forward(self, crops: Float[Tensor, "crop channel y x"]) -> CropOutput:
        if self.kernel is not None:
            framed = F.pad(crops, (1, 1, 1, 1), mode="replicate")
            crops = F.conv2d(framed, self.kernel, groups=crops.shape[1])
        maps = self.stages(crops.contiguous(memory_format=torch.channels_last))
        by_map = isinstance(self.count, nn.Conv2d)
        seen = self.dense(maps) if self.name is not None or not by_map else maps
        count = None
        if self.count is not None and by_map:
            count = F.softplus(self.count(maps)).sum(dim=(1, 2, 3)) / self._places
        elif self.count is not None:
            # the mean count is what an untrained network says
            count = 1 + self.count(seen)[:, 0]
        return CropOutput(None if self.name is None else self.name(seen), count)


def _stage(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
    )
