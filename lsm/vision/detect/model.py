"""What every detection network is built from: its options and the facts of the data."""

from abc import ABC, abstractmethod

from torch import nn

from lsm.config import Config
from lsm.vision.detect.facts import DataFacts


class ModelConfig(Config, ABC):
    """Options of one kind of network; each kind has its own subclass.

    A network follows torchvision's convention. It takes a list of images [channel, y, x] of any size, normalised with
    the mean and spread of the facts. In training it also takes, for each image, `boxes` float [object, 4], `labels`
    int64 [object] from 1 and, where it learns masks, `masks` uint8 [object, y, x], and returns its losses by name.
    Otherwise it returns for each image `boxes`, `labels`, `scores` strongest first and, where it has masks, `masks`
    float [object, 1, y, x] between 0 and 1.
    """

    kind: str

    @abstractmethod
    def build(self, facts: DataFacts) -> nn.Module:
        """A network with new weights, drawn from torch's global generator; nothing is downloaded."""
