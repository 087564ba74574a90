"""Pixels as networks see them: less their mean, over their spread."""

from typing import Final, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.vision.detect.facts import DataFacts

Levels = Literal["set", "image"]
"""Whose mean and spread: of all images learnt from, or of each image alone, where images differ in their light."""

LEAST_SPREAD: Final = 1e-3
"""Least spread of one image, in that of the set: an even image would be divided by none."""

FURTHEST: Final = 6.0
"""Factor by which all channels of an image may lie beyond the images of the set in their root mean square.

Exposures differ by 2 or 3. Twelve bits in sixteen are 16 times too small, 0 to 255 as floats is 255 times too large.
"""


class Own(NamedTuple):
    """Mean and spread of one image."""

    mean: Float[Tensor, "channel 1 1"]
    std: Float[Tensor, "channel 1 1"]


class Normal:
    """Normalises views of images, channel by channel. Attributes are [channel, 1, 1]."""

    def __init__(self, facts: DataFacts, levels: Levels) -> None:
        self.levels = levels
        self.mean = torch.tensor(facts.mean)[:, None, None]
        self.std = torch.tensor(facts.std)[:, None, None]
        whole = (self.mean**2 + self.std**2).sqrt().flatten().tolist()
        self._least = torch.tensor(facts.least_rms or whole, dtype=torch.float64)
        self._largest = torch.tensor(facts.largest_rms or whole, dtype=torch.float64)

    def strange(self, whole: Float[Tensor, "channel y x"]) -> bool:
        """Whether an image seems to be in other numbers than the set: another number of bits, or floats of 0 to 255.

        It is strange where the root mean square of every channel is more than `FURTHEST` times that of the brightest
        image of the set, or less than so small a part of the darkest one's. Where each image is measured against itself
        the factor does not matter, and none is strange.
        """
        self._check(whole)
        if self.levels == "image":
            return False
        size = whole.double().square().mean(dim=(1, 2)).sqrt().cpu()
        return bool((size > FURTHEST * self._largest).all() or (size < self._least / FURTHEST).all())

    def to(self, device: torch.device) -> None:
        self.mean, self.std = self.mean.to(device), self.std.to(device)

    def __call__(self, view: Float[Tensor, "channel v u"], whole: Float[Tensor, "channel y x"]) -> Tensor:
        """whole: the image that `view` was cut from. Raises WrongFormat for other channels than the set's."""
        return self.against(view, self.own(whole))

    def own(self, whole: Float[Tensor, "channel y x"]) -> Own | None:
        """What views of this image are measured against; None where it is the set. Raises WrongFormat as a call."""
        self._check(whole)
        if self.levels == "set":
            return None
        std, mean = torch.std_mean(whole.to(self.mean.device), dim=(1, 2), correction=0, keepdim=True)
        return Own(mean, torch.maximum(std, LEAST_SPREAD * self.std))

    def against(self, view: Float[Tensor, "channel v u"], own: Own | None) -> Tensor:
        """The view, normalised with what `own` gave."""
        self._check(view)
        mean, std = own or Own(self.mean, self.std)
        return (view.to(self.mean.device) - mean) / std

    def _check(self, pixels: Tensor) -> None:
        if len(pixels) != len(self.mean):
            raise WrongFormat(
                f"The image has {len(pixels)} channels, the detector was made for {len(self.mean)}.",
                hint="give images of the kind it learnt from",
            )
