"""Pixels as networks see them: less their mean, over their spread."""

from typing import Final, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.vision.detect.facts import DataFacts

Levels = Literal["set", "image"]
"""Whose mean and spread: of all images learnt from, or of each image alone, where images differ in their light."""

LEAST_SPREAD: Final = 1e-3
"""Least spread of one image, in that of the set: an even image would be divided by none."""


class Normal:
    """Normalises views of images, channel by channel. Attributes are [channel, 1, 1]."""

    def __init__(self, facts: DataFacts, levels: Levels) -> None:
        self.levels = levels
        self.mean = torch.tensor(facts.mean)[:, None, None]
        self.std = torch.tensor(facts.std)[:, None, None]

    def to(self, device: torch.device) -> None:
        self.mean, self.std = self.mean.to(device), self.std.to(device)

    def __call__(self, view: Float[Tensor, "channel v u"], whole: Float[Tensor, "channel y x"]) -> Tensor:
        """whole: the image that `view` was cut from."""
        view = view.to(self.mean.device)
        if self.levels == "set":
            return (view - self.mean) / self.std
        std, mean = torch.std_mean(whole.to(view.device), dim=(1, 2), correction=0, keepdim=True)
        return (view - mean) / torch.maximum(std, LEAST_SPREAD * self.std)
