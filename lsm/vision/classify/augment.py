"""Crops turned, mirrored and scaled at random, so that a network cannot learn how a cell happened to lie."""

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float32, Int64
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional as F

from lsm.config import Config
from lsm.errors import ConfigError


class CropAugmentConfig(Config):
    """What is done to each crop anew whenever it is trained on.

    turn: by any angle, or by quarter turns, which move pixels and blur nothing. mirror: every second one.
    scale: smallest and largest size, evenly drawn in the logarithm. What comes into view from beyond the crop's edge
    is its mirror image. sharp: share of the crops that make quarter turns at most and keep their size: all others are
    interpolated and thereby softer than any crop of a test.
    """

    turn: Literal["none", "quarter", "any"] = "any"
    mirror: bool = True
    scale: tuple[Annotated[float, Gt(0), Le(4)], Annotated[float, Gt(0), Le(4)]] = (0.9, 1.1)
    sharp: Annotated[float, Ge(0), Le(1)] = 0.25

    @model_validator(mode="after")
    def _in_order(self) -> "CropAugmentConfig":
        if self.scale[0] > self.scale[1]:
            raise ConfigError(f"The scale {self.scale} is empty.", hint="give the smaller one first")
        return self

    @property
    def keeps_counts(self) -> bool:
        """Whether everything that was in view stays in view, and nothing is seen twice."""
        return self.turn != "any" and self.scale == (1.0, 1.0)


NO_AUGMENT = CropAugmentConfig(turn="none", mirror=False, scale=(1.0, 1.0))
COUNT_AUGMENT = CropAugmentConfig(turn="quarter", scale=(1.0, 1.0))
"""For crops whose objects are counted: see `CropAugmentConfig.keeps_counts`."""

Crops = Float32[Tensor, "crop channel y x"]


def augment(crops: Crops, config: CropAugmentConfig, generator: torch.Generator) -> Crops:
    """The crops turned, mirrored and scaled, each in its own way; in place of quarter turns oblong ones make half."""
    if config.turn == "none" and not config.mirror and config.scale == (1.0, 1.0):
        return crops
    if config.turn != "any" and config.scale == (1.0, 1.0):
        return _moved(crops, config, generator)
    found = _interpolated(crops, config, generator)
    sharp = torch.rand(len(crops), generator=generator) < config.sharp
    found[sharp] = _moved(crops[sharp], config, generator)
    return found


def _interpolated(crops: Crops, config: CropAugmentConfig, generator: torch.Generator) -> Crops:
    n = len(crops)
    angle = _angles(crops, config.turn, generator)
    low, high = (math.log(limit) for limit in config.scale)
    size = torch.exp(low + (high - low) * torch.rand(n, generator=generator))
    sign = 1.0 - 2.0 * torch.randint(2, (n,), generator=generator) if config.mirror else torch.ones(n)
    height, width = crops.shape[-2:]
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    # grid_sample counts from -1 to 1 along both sides, so that an oblong crop needs its aspect in the mixed terms
    place = torch.stack([cos * sign, -sin * height / width, sin * sign * width / height, cos], dim=1).reshape(n, 2, 2)
    matrix = torch.cat([place, torch.zeros(n, 2, 1)], dim=2)
    grid = F.affine_grid(matrix, list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _angles(crops: Crops, turn: str, generator: torch.Generator) -> Float32[Tensor, " crop"]:
    if turn == "any":
        return 2 * math.pi * torch.rand(len(crops), generator=generator)
    return _quarters(crops, turn, generator) * (math.pi / 2)


def _quarters(crops: Crops, turn: str, generator: torch.Generator) -> Int64[Tensor, " crop"]:
    if turn == "none":
        return torch.zeros(len(crops), dtype=torch.int64)
    possible = 4 if crops.shape[-1] == crops.shape[-2] else 2
    return torch.randint(possible, (len(crops),), generator=generator) * (4 // possible)


def _moved(crops: Crops, config: CropAugmentConfig, generator: torch.Generator) -> Crops:
    """Turned by quarters and mirrored without any interpolation."""
    turns = _quarters(crops, config.turn, generator)
    flips = torch.randint(2, (len(crops),), generator=generator) if config.mirror else torch.zeros_like(turns)
    found = torch.empty_like(crops)
    for quarter in range(4):
        for flip in range(2):
            chosen = (turns == quarter) & (flips == flip)
            if chosen.any():
                moved = torch.rot90(crops[chosen], quarter, (2, 3))
                found[chosen] = moved.flip(3) if flip else moved
    return found
