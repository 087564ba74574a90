"""Average precision and counts by hand-worked cases."""

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.detect.average_precision import average_precision
from lsm.vision.detect.detections import Detections
from lsm.vision.detect.matching import judge, match
from lsm.vision.detect.scores import DetectionScores, score

LEAST = np.array([0.5, 0.5])


def squares(*corners: tuple[float, float], side: float = 10) -> np.ndarray:
    return np.array([[x, y, x + side, y + side] for x, y in corners], dtype=np.float64).reshape(-1, 4)


def a_set(*objects: Objects) -> AnnotatedSet:
    pixels = np.zeros((1, 64, 64), dtype=np.float32)
    images = tuple(AnnotatedImage.of(f"image {k}", pixels, each) for k, each in enumerate(objects))
    return AnnotatedSet(images, ("red", "white"))


def found(boxes: np.ndarray, category: list[int], score: list[float]) -> Detections:
    return Detections(boxes, np.array(category, dtype=np.int64), np.array(score))


def test_what_is_right_scores_one():
    boxes = squares((2, 2), (30, 30))
    scores = score([found(boxes, [0, 1], [0.9, 0.8])], a_set(Objects(boxes, np.array([0, 1]))), thresholds=LEAST)
    assert (scores.map, scores.map_50, scores.mar) == pytest.approx((1, 1, 1))
    assert scores.categories["red"].counted_percent == 100
    assert scores.masks is None


def test_a_stronger_false_one_halves_the_precision():
    data = a_set(Objects(squares((2, 2)), np.array([0])))
    scores = score([found(squares((40, 40), (2, 2)), [0, 0], [0.9, 0.8])], data, thresholds=LEAST)
    assert scores.map_50 == pytest.approx(0.5)
    assert scores.categories["red"].found == 2
    assert scores.categories["red"].hits == 1
    assert scores.categories["white"].ap is None


def test_a_shifted_box_counts_up_to_its_overlap():
    """Two pixels of ten aside: intersection 80, union 120, so the IoU thresholds 0.50 to 0.65 of ten are met."""
    data = a_set(Objects(squares((10, 10)), np.array([0])))
    scores = score([found(squares((12, 10)), [0], [0.9])], data, thresholds=LEAST)
    assert scores.map == pytest.approx(0.4)
    assert scores.map_50 == pytest.approx(1)
    assert scores.map_75 == pytest.approx(0)


def test_more_than_a_hundred_in_one_image_are_asked_for():
    corners = [(float(x), float(y)) for x in range(0, 60, 4) for y in range(0, 60, 4)]
    boxes = squares(*corners, side=3)
    data = a_set(Objects(boxes, np.zeros(len(boxes), dtype=np.int64)))
    scores = score([found(boxes, [0] * len(boxes), [0.9] * len(boxes))], data, thresholds=LEAST)
    assert len(boxes) > 200
    assert scores.mar == pytest.approx(1)
    assert scores.mar_100 == pytest.approx(100 / len(boxes))


def test_masks_have_both_limits_and_scores_without_the_lower_one_are_read():
    boxes = squares(*[(float(x), float(y)) for x in range(0, 60, 5) for y in range(0, 60, 5)], side=4)
    scores = score([outlined(boxes, [0.9] * len(boxes))], outlined_set(boxes), thresholds=LEAST)
    assert scores.masks is not None
    assert (scores.masks.mar, scores.masks.mar_100) == pytest.approx((1, 100 / 144))
    table = scores.model_dump()
    del table["mar_100"], table["masks"]["mar_100"]
    assert DetectionScores.from_table(table, source="an older file").mar_100 is None


def test_objects_to_ignore_are_neither_missed_nor_false():
    boxes = squares((2, 2), (30, 30))
    objects = Objects(boxes, np.array([0, 0]), ignore=np.array([False, True]))
    for seen in (found(boxes[:1], [0], [0.9]), found(boxes, [0, 0], [0.8, 0.9])):
        scores = score([seen], a_set(objects), thresholds=LEAST)
        assert scores.map == pytest.approx(1)
        assert (scores.categories["red"].labelled, scores.categories["red"].found) == (1, 1)


def test_a_crowd_excuses_all_that_lie_in_it():
    """A crowd of 40 by 40 pixels with 16 finds, one cell outside of it that is found, one find that is wrong."""
    crowd = np.array([[0.0, 0.0, 40.0, 40.0]])
    objects = Objects(np.concatenate([crowd, squares((50, 50))]), np.array([0, 0]), ignore=np.array([True, False]))
    inside = squares(*[(float(x), float(y)) for x in range(0, 40, 10) for y in range(0, 40, 10)])
    boxes = np.concatenate([inside, squares((50, 50), (50, 0))])
    row = score([found(boxes, [0] * 18, [0.9] * 17 + [0.8])], a_set(objects), thresholds=LEAST).categories["red"]
    assert (row.labelled, row.found, row.hits, row.count_mae) == (1, 2, 1, 1)
    assert row.ap == pytest.approx(1)
    # a crowd of another category excuses none of them
    row = score([found(boxes, [1] * 18, [0.9] * 18)], a_set(objects), thresholds=LEAST).categories["white"]
    assert (row.labelled, row.found) == (0, 18)


def test_what_is_an_object_is_not_given_to_one_to_ignore():
    """The box to ignore is nearer, but one that is asked for fits as well; only half of the last lies in it."""
    objects = Objects(squares((12, 10), (10, 10)), np.array([0, 0]), ignore=np.array([False, True]))
    judged = judge(found(squares((10, 10), (10, 11), (0, 10), (4, 10)), [0] * 4, [0.9, 0.8, 0.7, 0.6]), objects)
    assert judged.partner.tolist() == [0, -1, -1, -1]
    assert judged.counted.tolist() == [True, False, True, True]
    assert judge(found(squares((5, 10)), [0], [0.9]), objects).counted.tolist() == [False]
    other = found(squares((10, 10)), [1], [0.9])
    assert judge(other, objects).counted.tolist() == [True]
    assert judge(other, objects.where(np.array([1])), same_category=False).counted.tolist() == [False]


def test_counts_use_the_threshold_of_their_category():
    boxes = squares((2, 2), (30, 30))
    seen = found(boxes, [0, 1], [0.4, 0.4])
    scores = score([seen], a_set(Objects(boxes, np.array([0, 1]))), thresholds=np.array([0.3, 0.5]))
    assert (scores.categories["red"].found, scores.categories["white"].found) == (1, 0)


def test_errors_of_counts_are_per_image():
    """Labelled 1 and 3, found 2 and 3: MAE 1/2, MSE 1/2, variance of the labels 1."""
    one, three = squares((2, 2)), squares((2, 2), (20, 20), (40, 40))
    seen = [found(squares((2, 2), (40, 40)), [0, 0], [0.9, 0.9]), found(three, [0] * 3, [0.9] * 3)]
    scores = score(seen, a_set(Objects(one, np.array([0])), Objects(three, np.array([0] * 3))), thresholds=LEAST)
    row = scores.categories["red"]
    assert (row.count_mae, row.count_mse, row.count_r2) == pytest.approx((0.5, 0.5, 0.5))


def test_masks_are_scored_where_both_have_them():
    whole = np.zeros((64, 64), dtype=bool)
    whole[10:20, 10:20] = True
    half = whole.copy()
    half[10:20, 14:20] = False
    data = a_set(Objects(squares((10, 10)), np.array([0]), (Mask.of(whole),)))
    seen = Detections(squares((10, 10)), np.array([0]), np.array([0.9]), (Mask.of(half),))
    scores = score([seen], data, thresholds=LEAST)
    assert scores.masks is not None
    assert scores.map == pytest.approx(1)
    assert scores.masks.map == pytest.approx(0)  # 40 of 100 pixels is below every threshold


def outlined(boxes: np.ndarray, score: list[float]) -> Detections:
    """Detections of red squares whose masks fill their boxes."""
    return Detections(boxes, np.zeros(len(boxes), dtype=np.int64), np.array(score), full_masks(boxes))


def full_masks(boxes: np.ndarray) -> tuple[Mask, ...]:
    return tuple(Mask(y0, x0, np.ones((y1 - y0, x1 - x0), dtype=bool)) for x0, y0, x1, y1 in boxes.astype(int).tolist())


def outlined_set(*boxes: np.ndarray) -> AnnotatedSet:
    return a_set(*(Objects(each, np.zeros(len(each), dtype=np.int64), full_masks(each)) for each in boxes))


def test_false_masks_where_nothing_is_marked_are_false():
    """Before the one that is right comes one false find, or three: the precision is 1/2 or 1/4 at all recalls."""
    one, none = squares((10, 10)), squares()
    for false in (1, 3):
        seen = [outlined(one, [0.5]), *[outlined(squares((30, 30)), [0.9])] * false]
        scores = score(seen, outlined_set(one, *[none] * false), thresholds=LEAST)
        assert scores.masks is not None
        assert (scores.masks.map, scores.masks.map_50) == pytest.approx([1 / (1 + false)] * 2)
        assert scores.masks.mar == pytest.approx(1)
        assert scores.map == pytest.approx(scores.masks.map)  # masks fill their boxes


def test_masks_of_two_images_by_hand():
    """Of three marked, one is found by 64 of 100 pixels, one exactly, one not, beside one false in an empty image.

    In the order of the scores, with the IoU thresholds 0.50, 0.55 and 0.60: right, false, right, so the precision is 1
    up to the recall of 1/3 (34 of COCO's 101 recalls), 2/3 up to that of 2/3 (33 more) and 0 beyond; with the seven
    thresholds above: false, false, right, so 1/3 up to the recall of 1/3.
    """
    part = squares((10, 10))
    part[:, 2:] -= 2
    seen = [
        outlined(np.concatenate([part, squares((30, 30))]), [0.9, 0.7]),
        outlined(squares((30, 30)), [0.8]),
        outlined(squares(), []),
    ]
    data = outlined_set(squares((10, 10), (30, 30)), squares(), squares((5, 5)))
    masks = score(seen, data, thresholds=LEAST).masks
    assert masks is not None
    low, high = (34 + 33 * 2 / 3) / 101, 34 / 3 / 101
    assert masks.map_50 == pytest.approx(low)
    assert masks.map == pytest.approx((3 * low + 7 * high) / 10)
    assert masks.mar == pytest.approx((3 * 2 / 3 + 7 * 1 / 3) / 10)


def test_an_image_without_marks_does_not_take_the_masks_from_a_set():
    boxes = squares((10, 10))
    marked = outlined_set(boxes).images[0]
    empty = AnnotatedImage.of("empty", np.zeros((64, 64), dtype=np.float32))
    data = AnnotatedSet((marked, empty), ("red", "white"))
    assert data.has_masks
    masks = score([outlined(boxes, [0.9]), outlined(squares(), [])], data, thresholds=LEAST).masks
    assert masks is not None
    assert masks.map == pytest.approx(1)
    assert not a_set(Objects(boxes, np.array([0])), Objects(squares(), np.zeros(0, dtype=np.int64))).has_masks


def test_a_network_of_masks_that_finds_nothing_scores_zero():
    scores = score([outlined(squares(), [])], outlined_set(squares((10, 10))), thresholds=LEAST)
    assert scores.masks is not None
    assert (scores.masks.map, scores.masks.map_50, scores.masks.mar) == (0, 0, 0)


def test_the_strongest_chooses_first():
    objects = Objects(squares((10, 10)), np.array([0]))
    seen = found(squares((11, 10), (10, 10), (10, 10)), [0, 0, 1], [0.9, 0.8, 0.7])
    assert match(seen, objects).tolist() == [0, -1, -1]
    assert match(seen.where(np.array([2])), objects, same_category=False).tolist() == [0]


def test_numbers_must_agree():
    with pytest.raises(InputError, match="0 images were searched, the set has 1"):
        score([], a_set(Objects(squares((2, 2)), np.array([0]))), thresholds=LEAST)


def test_average_precision_is_that_of_torchmetrics():
    """With the same package behind it, which it is given whole images of masks."""
    rng = np.random.default_rng(5)
    images, searched = [], []
    for k in range(6):
        objects, guesses = _scattered(rng, 12), _scattered(rng, 4)
        moved = objects.box_px + rng.uniform(-2, 2, objects.box_px.shape)
        boxes = np.concatenate([moved, guesses.box_px])
        category = np.concatenate([objects.category, guesses.category])
        images.append(AnnotatedImage.of(f"image {k}", np.zeros((1, 80, 70), dtype=np.float32), objects))
        masks = tuple(_disc(box) for box in boxes)
        searched.append(Detections(boxes, category, rng.random(len(boxes)), masks))
    data = AnnotatedSet(tuple(images), ("red", "white", "never there"))
    metric = MeanAveragePrecision(
        iou_type=("bbox", "segm"),
        # its own are of float32: an overlap of exactly 0.55 lies below
        iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
        rec_thresholds=np.linspace(0, 1, 101).tolist(),
        max_detection_thresholds=[1, 100, 500],
        class_metrics=True,
        backend="faster_coco_eval",
    )
    for each, image in zip(searched, data.images, strict=True):
        shown = {"scores": torch.from_numpy(each.score).float()}
        ignored = {"iscrowd": torch.from_numpy(image.objects.ignore).long()}
        metric.update([_tensors(each, image.size) | shown], [_tensors(image.objects, image.size) | ignored])
    theirs = metric.compute()
    for kind in ("bbox", "segm"):
        ours = average_precision(searched, data, kind)
        # float32 boxes and scores there
        close = {"abs": 1e-6}
        assert ours.of(ours.ap) == pytest.approx(float(theirs[f"{kind}_map"]), **close)
        assert ours.of(ours.ap_50) == pytest.approx(float(theirs[f"{kind}_map_50"]), **close)
        assert ours.of(ours.ap_75) == pytest.approx(float(theirs[f"{kind}_map_75"]), **close)
        assert ours.of(ours.ar) == pytest.approx(float(theirs[f"{kind}_mar_500"]), **close)
        assert ours.of(ours.ar_100) == pytest.approx(float(theirs[f"{kind}_mar_100"]), **close)
        assert ours.ap[:2].tolist() == pytest.approx(theirs[f"{kind}_map_per_class"].tolist(), **close)
        assert 0.2 < ours.of(ours.ap) < 0.8
        assert np.isnan(ours.ap[2])


def _scattered(rng: np.random.Generator, count: int) -> Objects:
    corner, side = rng.uniform(0, 58, (count, 2)), rng.uniform(6, 12, (count, 2))
    boxes = np.concatenate([corner, corner + side], axis=1)
    category = rng.integers(0, 2, count)
    return Objects(boxes, category, masks=tuple(_disc(box) for box in boxes), ignore=rng.random(count) < 0.1)


def _disc(box: np.ndarray) -> Mask:
    y, x = np.mgrid[:80, :70] + 0.5
    across, down = (x - box[[0, 2]].mean()) / np.ptp(box[[0, 2]]), (y - box[[1, 3]].mean()) / np.ptp(box[[1, 3]])
    return Mask.of(across**2 + down**2 < 0.25)


def _tensors(marked: Objects | Detections, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    assert marked.masks is not None
    return {
        "boxes": torch.from_numpy(marked.box_px).float(),
        "labels": torch.from_numpy(marked.category).long(),
        "masks": torch.from_numpy(np.stack([mask.whole(*size) for mask in marked.masks])),
    }


def test_where_nothing_is_marked_no_precision_is_told():
    nobody = np.zeros((0, 4))
    data = a_set(Objects(nobody, np.zeros(0, dtype=np.int64)))
    told = score([found(nobody, [], [])], data, thresholds=LEAST).as_table()
    assert "mAP" not in told
    assert "nothing is marked" in told
