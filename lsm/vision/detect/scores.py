"""How good detections are: average precision as COCO defines it, and counts as a blood count needs them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from lsm.config import Config
from lsm.errors import InputError
from lsm.vision.data import AnnotatedSet
from lsm.vision.detect.average_precision import AveragePrecision, average_precision
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import judge


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

    @property
    def marked(self) -> int:
        """Objects that are asked for; without any, means of precision and recall say nothing and are 0."""
        return sum(row.labelled for row in self.categories.values())

    def as_table(self) -> str:
        """A few lines of text for a terminal."""
        lines = [f"{self.images} images"]
        if not self.marked:
            lines.append("nothing is marked in them: there is no precision to tell")
        else:
            of = f"{self.map:.3f}, at IoU 0.5 {self.map_50:.3f}, at 0.75 {self.map_75:.3f}"
            lines.append(f"boxes: mAP {of}; mAR {self.mar:.3f}")
        if (masks := self.masks) is not None and self.marked:
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
    box = average_precision(found, data, "bbox")
    mask = average_precision(found, data, "segm") if masks else None
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


def _category(
    k: int, found: Sequence[Detections], data: AnnotatedSet, threshold: float, box: AveragePrecision
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
