"""Which detection is which marked object, and which are of something that is to be ignored."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torchvision.ops import box_iou

from lsm.vision.data import Boxes, Objects
from lsm.vision.detect.detections import Detections


def overlaps(one: Float[np.ndarray, "one 4"], other: Float[np.ndarray, "other 4"]) -> Float[np.ndarray, "one other"]:
    """Intersection over union of every box of one with every box of the other; see `lsm.vision.data.Boxes`."""
    found: np.ndarray = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    return found


@dataclass(frozen=True, eq=False)
class Judged:
    """What the detections of one image are.

    partner: number of the object that a detection is, never one to ignore; -1 where it is none.
    counted: false for those that are no object and lie in something to ignore; they are neither found nor false.
    """

    partner: Int[np.ndarray, " found"]
    counted: Bool[np.ndarray, " found"]

    @property
    def hit(self) -> Bool[np.ndarray, " found"]:
        """Which detections are an object."""
        return self.partner >= 0


def judge(found: Detections, objects: Objects, *, iou: float = 0.5, same_category: bool = True) -> Judged:
    """The strongest detection chooses first among the objects that are asked for, one to one; of the others all that
    lie in something to ignore are excused, as COCO's evaluation has it.

    iou: least intersection over union of the boxes, and least part of a detection's box in that of something to ignore.
    """
    partner = match(found, objects, iou=iou, same_category=same_category)
    alike = found.category[:, None] == objects.category[None, objects.ignore] if same_category else None
    return Judged(partner, (partner >= 0) | ~excused(found.box_px, objects, least=iou, allowed=alike))


def counted(found: Detections, objects: Objects) -> Detections:
    """The detections without those in something to ignore; see `judge`."""
    return found.where(judge(found, objects).counted)


def match(
    found: Detections, objects: Objects, *, iou: float = 0.5, same_category: bool = True
) -> Int[np.ndarray, " found"]:
    """For each detection the number of the object it is, never one to ignore, or -1; see `judge`."""
    partner = np.full(len(found), -1)
    if len(found) == 0 or len(objects) == 0:
        return partner
    overlap = overlaps(found.box_px, objects.box_px)
    if same_category:
        overlap[found.category[:, None] != objects.category[None, :]] = 0
    free = ~objects.ignore
    for who in np.argsort(-found.score, kind="stable"):
        best = int(np.argmax(np.where(free, overlap[who], -1)))
        if free[best] and overlap[who, best] >= iou:
            partner[who] = best
            free[best] = False
    return partner


def excused(
    box_px: Boxes,
    objects: Objects,
    *,
    least: float = 0.5,
    allowed: Bool[np.ndarray, "object ignored"] | None = None,
) -> Bool[np.ndarray, " object"]:
    """Boxes of which at least this part lies in one object to ignore; crowds are large and hold many.

    allowed: which of the objects to ignore excuse which box; None all.
    """
    regions = objects.box_px[objects.ignore]
    if len(regions) == 0 or len(box_px) == 0:
        return np.zeros(len(box_px), dtype=bool)
    low = np.maximum(box_px[:, None, :2], regions[None, :, :2])
    high = np.minimum(box_px[:, None, 2:], regions[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    if allowed is not None:
        shared[~allowed] = -1
    area = np.prod(box_px[:, 2:] - box_px[:, :2], axis=1)
    inside: Bool[np.ndarray, " object"] = shared.max(axis=1) >= least * np.maximum(area, np.finfo(np.float64).tiny)
    return inside
