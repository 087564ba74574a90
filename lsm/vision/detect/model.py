"""What every detection network is built from: its options and the facts of the data."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final

from torch import nn

from lsm.config import Config
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.levels import Levels

CUT_AT: Final = "cut_at"


class ModelConfig(Config, ABC):
    """Options of one kind of network; each kind has its own subclass.

    A network follows torchvision's convention. It takes a list of images [channel, y, x] of any size, normalised as
    `levels` says. In training it also takes, for each image, `boxes` float [object, 4], `labels` int64 [object] from 1
    and, where it learns masks, `masks` uint8 [object, y, x], and returns its losses by name. Otherwise it returns for
    each image `boxes`, `labels`, `scores` strongest first and, where it has masks, `mask_boxes` int64 [object, 4], the
    whole pixels around each box, and `mask_pixels` bool [pixel], which of them are the object's: row by row in each
    box, one object after the other. See `lsm.vision.detect.pieces`. Where scores fall after the strongest were chosen,
    `cut_at` is the least that one was chosen by.

    levels: what pixels are measured against, see `lsm.vision.detect.levels`.
    limit: the option that says how many detections are kept of one image.
    """

    limit: ClassVar[str] = "detections"

    kind: str
    levels: Levels = "set"

    @property
    def kept(self) -> int:
        """How many detections are kept of one image, the strongest."""
        return int(getattr(self, self.limit))

    @abstractmethod
    def build(self, facts: DataFacts) -> nn.Module:
        """A network with new weights, drawn from torch's global generator; nothing is downloaded."""
