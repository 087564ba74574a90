"""Which marks of two sources are the same object, by place alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

from lsm.vision.data import Boxes, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import excused, overlaps

LEAST_IOU = 0.5

Marked = Objects | Detections


@dataclass(frozen=True, eq=False)
class Pairs:
    """Marks of two sources in one image.

    both: numbers of the marks of an object in the first and in the second. only_first, only_second: marks without a
    partner. What either source marked to be ignored is in none of them, nor is what the other source marked there.
    """

    both: Int[np.ndarray, "pair 2"]
    only_first: Int[np.ndarray, " first"]
    only_second: Int[np.ndarray, " second"]


def pair_up(first: Marked, second: Marked, *, least_iou: float = LEAST_IOU) -> Pairs:
    """Pairs whose boxes overlap by at least `least_iou`, chosen so that as many as possible pair up, and then as well
    as possible. Neither source is the judge of the other, and categories play no part.
    """
    asked_first, asked_second = np.flatnonzero(~_ignored(first)), np.flatnonzero(~_ignored(second))
    iou = overlaps(first.box_px[asked_first], second.box_px[asked_second])
    allowed = iou >= least_iou
    # one more pair is worth more than all overlap that could be lost for it
    worth = np.where(allowed, 1 + min(iou.shape) + iou, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    kept = allowed[rows, columns]
    both = np.stack([asked_first[rows[kept]], asked_second[columns[kept]]], axis=1)
    left_first = np.setdiff1d(asked_first, both[:, 0])
    left_second = np.setdiff1d(asked_second, both[:, 1])
    return Pairs(
        both,
        left_first[_alone(first.box_px[left_first], second, least_iou)],
        left_second[_alone(second.box_px[left_second], first, least_iou)],
    )


def _alone(boxes: Boxes, other: Marked, least: float) -> Bool[np.ndarray, " object"]:
    """Boxes that do not lie in something that the other source asks to ignore."""
    if not isinstance(other, Objects):
        return np.ones(len(boxes), dtype=bool)
    return ~excused(boxes, other, least=least)


def _ignored(marked: Marked) -> Bool[np.ndarray, " object"]:
    return marked.ignore if isinstance(marked, Objects) else np.zeros(len(marked), dtype=bool)
