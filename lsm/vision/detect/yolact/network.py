"""The whole of YOLACT: its passes in training and in use."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import clip_boxes_to_image

from lsm.errors import WrongFormat
from lsm.vision.detect.pieces import packed
from lsm.vision.detect.two_stage.frame import Frame, Target
from lsm.vision.detect.yolact.boxes import decoded, fast_nms
from lsm.vision.detect.yolact.heads import PredictionHead, Predictions, PrototypeHead
from lsm.vision.detect.yolact.losses import losses
from lsm.vision.detect.yolact.outlines import drawn

_N_LEVELS = 5
_SMALLEST_PX = 0.01


class Yolact(nn.Module):
    """See `YolactConfig`; images in and results out as in `ModelConfig`."""

    def __init__(
        self,
        frame: Frame,
        pyramid: nn.Module,
        anchors: AnchorGenerator,
        prototypes: PrototypeHead,
        predictions: PredictionHead,
        kinds: nn.Module,
        *,
        finest: int,
        most_outlined: int,
        candidates: int,
        detections: int,
        lowest_score: float,
        overlap: float,
    ) -> None:
        super().__init__()
        self.transform, self.backbone, self.anchors = frame, pyramid, anchors
        self.prototypes, self.predictions, self.kinds = prototypes, predictions, kinds
        self.finest = finest
        self.most_outlined = most_outlined
        self.candidates, self.detections = candidates, detections
        self.lowest_score, self.overlap = lowest_score, overlap

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> dict[str, Tensor] | list[Target]:
        if self.training and (targets is None or not all("masks" in target for target in targets)):
            raise WrongFormat(
                "An image to learn outlines from has none.",
                hint="use a network of boxes, such as faster-rcnn, or mark the outlines",
            )
        batch, moved = self.transform(images, targets)
        levels = self._levels(batch)
        made = self.predictions(levels)
        prototypes = self.prototypes(levels[0])
        anchors = self.anchors(batch, levels)[0]
        if self.training:
            return losses(
                made,
                prototypes,
                self.kinds(levels[0]),
                anchors,
                moved,
                stride=self.finest // 2,
                most_outlined=self.most_outlined,
            )
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        return [
            self._found(made, k, prototypes[k], anchors, batch.image_sizes[k], size) for k, size in enumerate(sizes)
        ]

    def _levels(self, batch: ImageList) -> list[Tensor]:
        features = list(self.backbone(batch.tensors).values())
        first = 0 if self.finest == 4 else 1
        return features[first : first + _N_LEVELS]

    def _found(
        self,
        made: Predictions,
        number: int,
        prototypes: Float[Tensor, "prototype gy gx"],
        anchors: Float[Tensor, "anchor 4"],
        scaled: tuple[int, int],
        size: tuple[int, int],
    ) -> Target:
        """Finds of one image of this size, which the network saw in another."""
        scores = made.odds[number].softmax(dim=1)[:, 1:]
        boxes = clip_boxes_to_image(decoded(anchors, made.offsets[number]), scaled)
        large = ((boxes[:, 2:] - boxes[:, :2]) >= _SMALLEST_PX).all(dim=1)
        kept = [self._of_label(boxes, scores[:, k], large) for k in range(scores.shape[1])]
        which = torch.cat(kept)
        labels = torch.cat([torch.full_like(each, k + 1) for k, each in enumerate(kept)])
        score = scores[which, labels - 1]
        order = torch.argsort(score, descending=True, stable=True)[: self.detections]
        inside = {"boxes": boxes[which[order]], "labels": labels[order], "scores": score[order]}
        found: Target = self.transform.postprocess([inside], [scaled], [size])[0]
        step = self.finest / 2
        stride = (step * size[0] / scaled[0], step * size[1] / scaled[1])
        coefficients = made.coefficients[number, which[order]]
        return found | packed(
            found["boxes"], size, lambda k, window: drawn(prototypes, coefficients[k], window, stride=stride)
        )

    def _of_label(self, boxes: Tensor, scores: Tensor, large: Tensor) -> Tensor:
        """Numbers of the anchors that stay for one label."""
        chosen = torch.where((scores > self.lowest_score) & large)[0]
        chosen = chosen[torch.argsort(scores[chosen], descending=True, stable=True)[: self.candidates]]
        return chosen[fast_nms(boxes[chosen], scores[chosen], self.overlap)]
