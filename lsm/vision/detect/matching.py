"""Which detection is which marked object."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torchvision.ops import box_iou

from lsm.vision.data import Objects
from lsm.vision.detect.detections import Detections


def overlaps(one: Float[np.ndarray, "one 4"], other: Float[np.ndarray, "other 4"]) -> Float[np.ndarray, "one other"]:
    """Intersection over union of every box of one with every box of the other; see `lsm.vision.data.Boxes`."""
    found: np.ndarray = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    return found


def match(
    found: Detections, objects: Objects, *, iou: float = 0.5, same_category: bool = True
) -> Int[np.ndarray, " found"]:
    """For each detection the number of the object it is, or -1; the strongest detection chooses first, one to one.

    iou: least intersection over union of the boxes. A match to an object to ignore is a match like any other.
    """
    partner = np.full(len(found), -1)
    if len(found) == 0 or len(objects) == 0:
        return partner
    overlap = overlaps(found.box_px, objects.box_px)
    if same_category:
        overlap[found.category[:, None] != objects.category[None, :]] = 0
    free = np.ones(len(objects), dtype=bool)
    for who in np.argsort(-found.score, kind="stable"):
        best = int(np.argmax(np.where(free, overlap[who], -1)))
        if free[best] and overlap[who, best] >= iou:
            partner[who] = best
            free[best] = False
    return partner
