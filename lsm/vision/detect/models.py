"""The detection networks by name."""

from typing import Final

from lsm.vision.detect.model import ModelConfig

MODELS: Final[dict[str, type[ModelConfig]]] = {}
"""Options of every kind of network, by the name that a command or a file gives."""
