"""How good detections are: average precision as COCO defines it, and counts as a blood count needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torchmetrics.detection import MeanAveragePrecision

from lsm.config import Config
from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import judge

MOST_DETECTIONS: Final = 500
"""Detections of one image that are scored; a blood field holds up to 300 cells."""

_LIMITS: Final = (1, 100, MOST_DETECTIONS)
"""Numbers of an image's strongest detections; torchmetrics asks for three."""

_Kind = Literal["bbox", "segm"]


class CategoryScores(Config):
    """One category in all images.

    ap: average precision, mean over IoU 0.50:0.95. ap_50: at IoU 0.5. None where nothing of it is marked.
    labelled, found: objects marked, and detections at the threshold; those in objects to ignore do not count.
    hits: detections at the threshold that are an object, at IoU 0.5.
    count_mae, count_mse, count_r2: of the counts per image; R2 is None where all images have the same count.
    """

    ap: float | None
    ap_50: float | None
    labelled: int
    found: int
    hits: int
    count_mae: float
    count_mse: float
    count_r2: float | None

    @property
    def counted_percent(self) -> float | None:
        """Detections in per cent of the marked objects."""
        return 100 * self.found / self.labelled if self.labelled else None


class MaskScores(Config):
    """As for boxes, with the overlap of masks."""

    map: float
    map_50: float
    mar: float
    mar_100: float | None = None


class DetectionScores(Config):
    """Scores of a detector on a set of images.

    map, map_50, map_75: mean of the categories' average precision, over IoU 0.50:0.95, at 0.5, at 0.75.
    mar: mean over IoU 0.50:0.95 of the recall with at most 500 detections an image. mar_100: with at most 100, as is
    usual where objects are few; None in scores that were kept without it.
    masks: None where detector or set have none.
    """

    images: int
    map: float
    map_50: float
    map_75: float
    mar: float
    masks: MaskScores | None
    categories: dict[str, CategoryScores]
    mar_100: float | None = None

    def as_table(self) -> str:
        """A few lines of text for a terminal."""
        lines = [
            f"{self.images} images",
            f"boxes: mAP {self.map:.3f}, at IoU 0.5 {self.map_50:.3f}, at 0.75 {self.map_75:.3f}; mAR {self.mar:.3f}",
        ]
        if (masks := self.masks) is not None:
            lines.append(f"masks: mAP {masks.map:.3f}, at IoU 0.5 {masks.map_50:.3f}; mAR {masks.mar:.3f}")
        width = max(len("category"), *(len(name) for name in self.categories))
        lines.append(f"{'category':{width}}  AP@0.5  labelled  found  counted  MAE per image")
        for name, row in self.categories.items():
            ap = "     -" if row.ap_50 is None else f"{row.ap_50:6.3f}"
            share = "      -" if row.counted_percent is None else f"{row.counted_percent:5.1f} %"
            lines.append(f"{name:{width}}  {ap}  {row.labelled:8d}  {row.found:5d}  {share}  {row.count_mae:13.2f}")
        return "\n".join(lines)


def score(
    found: Sequence[Detections], data: AnnotatedSet, *, thresholds: Float[np.ndarray, " category"]
) -> DetectionScores:
    """Scores of the detections, one for each image of the set.

    thresholds: least score of a detection that is counted, by category; average precision uses all.
    Objects to ignore are neither asked for nor false when found, as COCO's crowds.
    Raises InputError where images and detections differ in number, or the set is empty.
    """
    if len(found) != len(data) or not found:
        raise InputError(
            f"{len(found)} images were searched, the set has {len(data)}.", hint="give one Detections for each image"
        )
    masks = data.has_masks and all(each.masks is not None for each in found)
    precise = _average_precision(found, data, ("bbox", "segm") if masks else ("bbox",))
    box, mask = precise["bbox"], precise.get("segm")
    return DetectionScores(
        images=len(data),
        map=box.of(box.ap),
        map_50=box.of(box.ap_50),
        map_75=box.of(box.ap_75),
        mar=box.of(box.ar),
        masks=None
        if mask is None
        else MaskScores(
            map=mask.of(mask.ap), map_50=mask.of(mask.ap_50), mar=mask.of(mask.ar), mar_100=mask.of(mask.ar_100)
        ),
        categories={
            name: _category(k, found, data, float(thresholds[k]), box) for k, name in enumerate(data.categories)
        },
        mar_100=box.of(box.ar_100),
    )


@dataclass(frozen=True, eq=False)
class _Precision:
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


def _average_precision(
    found: Sequence[Detections], data: AnnotatedSet, kinds: tuple[_Kind, ...]
) -> dict[_Kind, _Precision]:
    """By the overlap of boxes and, where asked for, of masks.

    Boxes are always there: without them torchmetrics leaves out images in which no mask is marked, and with these
    all that was found there.
    """
    metric = MeanAveragePrecision(
        iou_type=kinds,
        max_detection_thresholds=list(_LIMITS),
        extended_summary=True,
        backend="faster_coco_eval",
    )
    masks = "segm" in kinds
    for each, image in zip(found, data.images, strict=True):
        metric.update([_prediction(each, image, masks=masks)], [_target(image, masks=masks)])
    result = metric.compute()
    prefixes = {kind: f"{kind}_" if len(kinds) > 1 else "" for kind in kinds}
    place = result["classes"].reshape(-1).tolist()
    return {
        kind: _precision(result[f"{prefix}precision"], result[f"{prefix}recall"], place, len(data.categories))
        for kind, prefix in prefixes.items()
    }


def _precision(
    precision: Float[torch.Tensor, "iou recall known area limit"],
    recall: Float[torch.Tensor, "iou known area limit"],
    place: list[int],
    categories: int,
) -> _Precision:
    """place: number of each known category in the set."""
    # -1 where nothing is marked
    at_iou = precision[:, :, :, 0, -1].numpy().astype(np.float64)
    reached = recall[:, :, 0, :].numpy().astype(np.float64)
    at_iou[at_iou < 0], reached[reached < 0] = np.nan, np.nan

    def by_category(values: Float[np.ndarray, " known"]) -> Float[np.ndarray, " category"]:
        spread = np.full(categories, np.nan)
        spread[place] = values
        return spread

    return _Precision(
        ap=by_category(at_iou.mean(axis=(0, 1))),
        ap_50=by_category(at_iou[0].mean(axis=0)),
        ap_75=by_category(at_iou[5].mean(axis=0)),
        ar=by_category(reached[:, :, -1].mean(axis=0)),
        ar_100=by_category(reached[:, :, 1].mean(axis=0)),
    )


def _prediction(found: Detections, image: AnnotatedImage, *, masks: bool) -> dict[str, torch.Tensor]:
    strongest = found.where(np.argsort(-found.score, kind="stable")[:MOST_DETECTIONS])
    return _tensors(strongest, image, masks=masks) | {"scores": torch.from_numpy(strongest.score).float()}


def _target(image: AnnotatedImage, *, masks: bool) -> dict[str, torch.Tensor]:
    return _tensors(image.objects, image, masks=masks) | {"iscrowd": torch.from_numpy(image.objects.ignore).long()}


def _tensors(marked: Objects | Detections, image: AnnotatedImage, *, masks: bool) -> dict[str, torch.Tensor]:
    tensors = {
        "boxes": torch.from_numpy(marked.box_px).float(),
        "labels": torch.from_numpy(marked.category).long(),
    }
    return tensors | {"masks": whole_masks(marked, image.size)} if masks else tensors


def whole_masks(marked: Objects | Detections, size: tuple[int, int]) -> torch.Tensor:
    """Masks of all objects as bool [object, y, x] in an image of this height and width."""
    pieces = marked.masks or ()
    return torch.from_numpy(np.stack([each.whole(*size) for each in pieces]) if pieces else np.zeros((0, *size), bool))


def _category(
    k: int, found: Sequence[Detections], data: AnnotatedSet, threshold: float, box: _Precision
) -> CategoryScores:
    labelled, counted, hits = _counts(k, found, data, threshold)
    gap = (counted - labelled).astype(np.float64)
    spread = float(((labelled - labelled.mean()) ** 2).mean())
    mse = float((gap**2).mean())
    return CategoryScores(
        ap=None if np.isnan(box.ap[k]) else float(box.ap[k]),
        ap_50=None if np.isnan(box.ap_50[k]) else float(box.ap_50[k]),
        labelled=int(labelled.sum()),
        found=int(counted.sum()),
        hits=hits,
        count_mae=float(np.abs(gap).mean()),
        count_mse=mse,
        count_r2=1 - mse / spread if spread > 0 else None,
    )


def _counts(
    k: int, found: Sequence[Detections], data: AnnotatedSet, threshold: float
) -> tuple[Int[np.ndarray, " image"], Int[np.ndarray, " image"], int]:
    """Objects and detections of one category in each image, and how many of all are the same."""
    labelled, counted, hits = [], [], 0
    for each, image in zip(found, data.images, strict=True):
        mine = each.where((each.category == k) & (each.score >= threshold))
        objects = image.objects.where(image.objects.category == k)
        judged = judge(mine, objects)
        labelled.append(int((~objects.ignore).sum()))
        counted.append(int(judged.counted.sum()))
        hits += int(judged.hit.sum())
    return np.array(labelled), np.array(counted), hits
