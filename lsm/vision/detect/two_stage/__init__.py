"""Networks that propose regions and then look at each of them."""

from lsm.vision.detect.two_stage.config import FasterRcnnConfig, MaskRcnnConfig, OutlineConfig, TwoStageConfig

__all__ = ["FasterRcnnConfig", "MaskRcnnConfig", "OutlineConfig", "TwoStageConfig"]
