"""Faster R-CNN and Mask R-CNN, sized by the data."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from lsm.vision.detect.facts import DataFacts
from lsm.vision.detect.model import ModelConfig
from lsm.vision.detect.two_stage.anchors import ASPECT_RATIOS, COCO_SIDES_PX, anchors, sides_px
from lsm.vision.detect.two_stage.backbone import STRIDES, Backbone, Norm, feature_pyramid
from lsm.vision.detect.two_stage.frame import Coordinates, Frame
from lsm.vision.detect.two_stage.regions import Regions

_REGION_SIDE = 7
_OUTLINE_REGION_SIDE = 14
_MOST_PROPOSALS_PER_OBJECT = 6


class TwoStageConfig(ModelConfig):
    """Options of every network that proposes regions first and looks at each of them second.

    backbone: `resnet50` is torchvision's; `resnet18` and `mobilenet-v3-large` train on two cores; `tiny` is for tests.
    norm: `group` to learn from scratch, `frozen` to start from torchvision's weights, `batch` for many images a step.
    pyramid_channels, head_width: of the feature maps, and of the two dense layers that name a region.
    scale: images are enlarged by this first. resize: or their short side to the first number of pixels, the long side
    to the second at most. By default images stay as they are.
    anchors: fitted to the data, or those of torchvision's published weights. sides_per_level: anchor sizes in each
    octave, where they are fitted.
    proposals: regions looked at in one image, more where the data has denser images. samples: of them, learned from.
    most_outlined: regions in each image from which outlines are learned; 0 is all of the samples that hold an object.
    detections, lowest_score, overlap: what is returned of one image: at most so many, each with at least this score,
    none of one category that overlaps a stronger one more than this.
    coordinates: see `Frame`.
    """

    backbone: Backbone = "resnet50"
    norm: Norm = "group"
    pyramid_channels: Annotated[int, Gt(0)] = 256
    head_width: Annotated[int, Gt(0)] = 1024
    scale: Annotated[float, Gt(0), Le(8)] = 1.0
    resize: tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)]] | None = None
    anchors: Literal["data", "coco"] = "data"
    sides_per_level: Annotated[int, Ge(1), Le(4)] = 2
    proposals: Annotated[int, Gt(0)] = 1000
    samples: Annotated[int, Gt(1)] = 512
    most_outlined: Annotated[int, Ge(0)] = 0
    detections: Annotated[int, Gt(0)] = 500
    lowest_score: Annotated[float, Ge(0), Lt(1)] = 0.05
    overlap: Annotated[float, Gt(0), Le(1)] = 0.5
    coordinates: Coordinates = "centred"

    def build(self, facts: DataFacts) -> nn.Module:
        """A network with new weights; see `ModelConfig`."""
        pyramid = feature_pyramid(self.backbone, channels=facts.channels, width=self.pyramid_channels, norm=self.norm)
        frame = Frame(scale=self.scale, resize=self.resize, coordinates=self.coordinates)
        network: nn.Module = GeneralizedRCNN(pyramid, self.proposing(facts), self.regions(facts), frame)
        return network

    def proposing(self, facts: DataFacts) -> RegionProposalNetwork:
        """The first stage: where something is. Ren et al., NeurIPS 2015, with the thresholds of torchvision."""
        sides = COCO_SIDES_PX
        if self.anchors == "data":
            sides = sides_px(facts, per_level=self.sides_per_level, scale=self.scale)
        kept = max(self.proposals, _MOST_PROPOSALS_PER_OBJECT * facts.most_objects)
        return RegionProposalNetwork(
            anchors(sides),
            RPNHead(self.pyramid_channels, len(sides[0]) * len(ASPECT_RATIOS)),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 2 * kept, "testing": kept},
            post_nms_top_n={"training": 2 * kept, "testing": kept},
            nms_thresh=0.7,
        )

    def regions(self, facts: DataFacts) -> Regions:
        """The second stage: what is in each region."""
        return self.heads(Regions, facts)

    def heads(self, kind: type[Regions], facts: DataFacts) -> Regions:
        """Heads over regions that name them and refine their boxes."""
        made = kind(
            region_align(_REGION_SIDE),
            TwoMLPHead(self.pyramid_channels * _REGION_SIDE**2, self.head_width),
            FastRCNNPredictor(self.head_width, len(facts.categories) + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=self.samples,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=self.lowest_score,
            nms_thresh=self.overlap,
            detections_per_img=self.detections,
        )
        made.most_outlined = self.most_outlined
        return made


class FasterRcnnConfig(TwoStageConfig):
    """Boxes by Faster R-CNN with a feature pyramid; Ren et al., NeurIPS 2015, and Lin et al., CVPR 2017."""

    kind: Literal["faster-rcnn"] = "faster-rcnn"


class OutlineConfig(TwoStageConfig):
    """Options of two-stage networks with an outline for each object.

    mask_width, mask_layers: channels and number of the convolutions over a region of 14 x 14 features; outlines have
    28 x 28 entries.
    """

    mask_width: Annotated[int, Gt(0)] = 256
    mask_layers: Annotated[int, Gt(0), Le(8)] = 4

    def heads(self, kind: type[Regions], facts: DataFacts) -> Regions:
        """Heads that also outline."""
        made = super().heads(kind, facts)
        made.mask_roi_pool = region_align(_OUTLINE_REGION_SIDE)
        made.mask_head = MaskRCNNHeads(self.pyramid_channels, (self.mask_width,) * self.mask_layers, 1)
        made.mask_predictor = MaskRCNNPredictor(self.mask_width, self.mask_width, len(facts.categories) + 1)
        return made


class MaskRcnnConfig(OutlineConfig):
    """Boxes and outlines by Mask R-CNN; He et al., ICCV 2017."""

    kind: Literal["mask-rcnn"] = "mask-rcnn"


def region_align(side: int) -> MultiScaleRoIAlign:
    """Features of regions from the pyramid's level that fits their size; Lin et al., CVPR 2017, equation 1.

    Strides are given, as torchvision would infer them from its first image and err for one of 40 pixels.
    """
    pool = MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=side, sampling_ratio=2)
    pool.scales = [1 / stride for stride in STRIDES]
    pool.map_levels = initLevelMapper(k_min=STRIDES[0].bit_length() - 1, k_max=STRIDES[-1].bit_length() - 1)
    return pool
