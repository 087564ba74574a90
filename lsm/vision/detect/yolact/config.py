"""Options of YOLACT."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.model import ModelConfig
from lsm.vision.detect.two_stage.anchors import ASPECT_RATIOS, anchors, sides_px
from lsm.vision.detect.two_stage.backbone import Backbone, Norm, feature_pyramid
from lsm.vision.detect.two_stage.frame import Frame
from lsm.vision.detect.yolact.heads import PredictionHead, PrototypeHead, coarser_levels
from lsm.vision.detect.yolact.network import Yolact

_COARSE_ANCHOR_PX = 24.0
_CANDIDATES_PER_OBJECT = 24
"""A dozen or two anchors find the same object and all score high; those of a few must not crowd out the others."""


class YolactConfig(ModelConfig):
    """Boxes and outlines by YOLACT; Bolya et al., "YOLACT: Real-time Instance Segmentation", ICCV 2019.

    backbone, norm, pyramid_channels, scale: as for the two-stage networks.
    finest: stride in pixels of the first level that predicts. The paper has 8, with anchors of 24 pixels there; by
    default smaller objects get 4. Prototypes have half this stride.
    prototypes: number of them. most_outlined: objects in each image from which outlines are learned.
    detections, lowest_score, overlap: as for the two-stage networks; `candidates` of a category are compared.
    Deviations: anchors are fitted to the data; where an image has no object, its strongest false finds still teach;
    outlines are cut at their box in full resolution.
    """

    kind: Literal["yolact"] = "yolact"
    backbone: Backbone = "resnet50"
    norm: Norm = "group"
    pyramid_channels: Annotated[int, Gt(0)] = 256
    scale: Annotated[float, Gt(0), Le(8)] = 1.0
    finest: Literal[4, 8] | None = None
    sides_per_level: Annotated[int, Ge(1), Le(4)] = 1
    prototypes: Annotated[int, Gt(0)] = 32
    most_outlined: Annotated[int, Gt(0)] = 100
    candidates: Annotated[int, Gt(0)] = 600
    detections: Annotated[int, Gt(0)] = 500
    lowest_score: Annotated[float, Ge(0), Lt(1)] = 0.05
    overlap: Annotated[float, Gt(0), Le(1)] = 0.5

    def build(self, facts: DataFacts) -> nn.Module:
        """A network with new weights; see `ModelConfig`."""
        width = self.pyramid_channels
        sides = sides_px(facts, per_level=self.sides_per_level, scale=self.scale)
        finest = self.finest or (4 if sides[0][0] < _COARSE_ANCHOR_PX else 8)
        return Yolact(
            Frame(scale=self.scale, resize=None, coordinates="centred"),
            feature_pyramid(
                self.backbone, channels=facts.channels, width=width, norm=self.norm, top=coarser_levels(width)
            ),
            anchors(sides),
            PrototypeHead(width, self.prototypes),
            PredictionHead(width, len(sides[0]) * len(ASPECT_RATIOS), len(facts.categories) + 1, self.prototypes),
            nn.Conv2d(width, len(facts.categories), 1),
            finest=finest,
            most_outlined=self.most_outlined,
            candidates=max(self.candidates, _CANDIDATES_PER_OBJECT * facts.most_objects),
            detections=self.detections,
            lowest_score=self.lowest_score,
            overlap=self.overlap,
        )
