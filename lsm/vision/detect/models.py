"""The detection networks by name."""

from typing import Final

from lsm.vision.detect.d2det import D2DetConfig
from lsm.vision.detect.grid import GridConfig
from lsm.vision.detect.mask_scoring import MaskScoringConfig
from lsm.vision.detect.model import ModelConfig
from lsm.vision.detect.two_stage import FasterRcnnConfig, MaskRcnnConfig
from lsm.vision.detect.yolact import YolactConfig

MODELS: Final[dict[str, type[ModelConfig]]] = {
    "grid": GridConfig,
    "faster-rcnn": FasterRcnnConfig,
    "mask-rcnn": MaskRcnnConfig,
    "mask-scoring": MaskScoringConfig,
    "d2det": D2DetConfig,
    "yolact": YolactConfig,
}
"""Options of every kind of network, by the name that a command or a file gives."""
