"""Options of D2Det."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from lsm.vision.detect.d2det.heads import DenseRegions, LocalHead
from lsm.vision.detect.d2det.pooling import DiscriminativePool
from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.two_stage.config import TwoStageConfig, region_align
from lsm.vision.detect.two_stage.regions import Regions

_SIDE = 7
_POOL_WIDTH = 1024


class D2DetConfig(TwoStageConfig):
    """Boxes and outlines by D2Det; Cao et al., CVPR 2020.

    outlines: learn and return them; without, images need boxes only.
    local_width, local_layers: of the convolutions whose features give boxes and outlines.
    jitter: by how much of their sides proposals are moved while the network learns to correct them.
    Deviations from the paper and its released code: 256 channels instead of 576 in 36 groups; plain instead of soft
    suppression of overlapping boxes; outlines have no score of their own; see also `DiscriminativePool`.
    """

    kind: Literal["d2det"] = "d2det"
    outlines: bool = True
    local_width: Annotated[int, Gt(0)] = 256
    local_layers: Annotated[int, Gt(0), Le(12)] = 8
    jitter: Annotated[float, Ge(0), Lt(0.5)] = 0.15

    def regions(self, facts: DataFacts) -> Regions:
        labels = len(facts.categories) + 1
        made = self.heads(DenseRegions, facts)
        made.box_roi_pool = DiscriminativePool(
            region_align(3), self.pyramid_channels, min(_POOL_WIDTH, self.head_width), _SIDE
        )
        made.box_head = TwoMLPHead(self.pyramid_channels * _SIDE**2, self.head_width)
        made.box_predictor = nn.Linear(self.head_width, labels)
        made.local_pool = region_align(2 * _SIDE)
        made.local = LocalHead(
            self.pyramid_channels, self.local_width, self.local_layers, labels if self.outlines else 0
        )
        made.jitter = self.jitter
        return made
