"""Average precision and recall as COCO defines them, of boxes and of masks, by the package faster-coco-eval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Float

from lsm.vision.data import AnnotatedSet, Objects
from lsm.vision.data.rle import runs_from_mask, text_from_runs
from lsm.vision.detect.detections import Detections

MOST_DETECTIONS: Final = 500
"""Detections of one image that are scored; a blood field holds up to 300 cells."""

_LIMITS: Final = (1, 100, MOST_DETECTIONS)
"""Numbers of an image's strongest detections; the package asks for three."""

_ANY_AREA: Final = (0.0, 1e10)

Kind = Literal["bbox", "segm"]
_Table = dict[str, Any]


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Average precision over IoU 0.50:0.95, at 0.5 and 0.75, and average recall of the 500 and of the 100 strongest in
    an image; NaN for a category without a mark.
    """

    ap: Float[np.ndarray, " category"]
    ap_50: Float[np.ndarray, " category"]
    ap_75: Float[np.ndarray, " category"]
    ar: Float[np.ndarray, " category"]
    ar_100: Float[np.ndarray, " category"]

    def of(self, values: Float[np.ndarray, " category"]) -> float:
        """Mean of the categories that are marked at all."""
        return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0


def average_precision(found: Sequence[Detections], data: AnnotatedSet, kind: Kind) -> AveragePrecision:
    """Of the detections, one for each image of the set, by the overlap of boxes ("bbox") or of masks ("segm").

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; 101 places of recall. Objects to ignore count
    as COCO's crowds. Only the pieces of the image that masks cover are looked at, whatever its size.
    """
    marked = [_marks(image.objects, image.size, kind) for image in data.images]
    for marks, image in zip(marked, data.images, strict=True):
        for mark, ignore in zip(marks, image.objects.ignore.tolist(), strict=True):
            mark["iscrowd"] = int(ignore)
    seen = []
    for each, image in zip(found, data.images, strict=True):
        strongest = each.where(np.argsort(-each.score, kind="stable")[:MOST_DETECTIONS])
        marks = _marks(strongest, image.size, kind)
        for mark, score in zip(marks, strongest.score.tolist(), strict=True):
            mark["score"] = score
        seen.append(marks)
    judge = COCOeval_faster(_coco(marked, data), _coco(seen, data), kind, print_function=_say_nothing)
    judge.params.maxDets = list(_LIMITS)
    judge.params.areaRng, judge.params.areaRngLbl = [list(_ANY_AREA)], ["all"]
    judge.evaluate()
    judge.accumulate()
    # [iou, recall, category, area, limit] and [iou, category, area, limit]; -1 where nothing is marked
    precision, recall = (np.array(judge.eval[name], dtype=np.float64) for name in ("precision", "recall"))
    precision[precision < 0], recall[recall < 0] = np.nan, np.nan
    at_iou = precision[:, :, :, 0, -1].mean(axis=1)
    reached = recall[:, :, 0, :].mean(axis=0)
    return AveragePrecision(at_iou.mean(axis=0), at_iou[0], at_iou[5], reached[:, -1], reached[:, 1])


def _coco(marked: Sequence[Sequence[_Table]], data: AnnotatedSet) -> Any:
    """Marks as the package takes them. Numbers of its marks begin at 1: 0 is no mark to it."""
    numbered: Iterator[_Table] = (mark | {"image_id": k} for k, marks in enumerate(marked) for mark in marks)
    return COCO(
        {
            "images": [
                {"id": k, "height": image.size[0], "width": image.size[1]} for k, image in enumerate(data.images)
            ],
            "categories": [{"id": k, "name": name} for k, name in enumerate(data.categories)],
            "annotations": [mark | {"id": number} for number, mark in enumerate(numbered, start=1)],
        },
        print_function=_say_nothing,
    )


def _marks(marked: Objects | Detections, size: tuple[int, int], kind: Kind) -> list[_Table]:
    x0, y0, x1, y1 = marked.box_px.T.astype(np.float64)
    boxes = np.stack([x0, y0, x1 - x0, y1 - y0], axis=1).tolist()
    rows = [
        {"category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for category, box in zip(marked.category.tolist(), boxes, strict=True)
    ]
    if kind == "segm":
        for row, mask in zip(rows, marked.masks or (), strict=True):
            row["segmentation"] = {"size": list(size), "counts": text_from_runs(runs_from_mask(mask, *size))}
    return rows


def _say_nothing(*_: object) -> None:
    """The package tells its progress by default."""
