"""Outlines as pieces: those of torchvision's whole images, at the cost of the objects' own pixels."""

import numpy as np
import pytest
import torch
from ring_images import outlines, ring_facts
from test_d2det import SMALL as D2DET
from test_mask_scoring import SMALL as SCORING
from test_two_stage import SMALL_OUTLINES
from test_yolact import SMALL as YOLACT
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torchvision.models.detection.roi_heads import paste_masks_in_image

from lsm.vision.detect import Detector, model_of
from lsm.vision.detect.pieces import masks, packed, windows
from lsm.vision.detect.two_stage.frame import Frame
from lsm.vision.detect.two_stage.paste import paste, paste_at_whole_pixels

SIZE = (70, 90)


def blobs(count: int) -> tuple[Tensor, Tensor]:
    """Ellipses [object, 1, 28, 28] with soft edges and boxes of 3 to 60 pixels, some cut by the image's edges."""
    generator = torch.Generator().manual_seed(count)
    middle = 14 + 4 * (torch.rand(count, 2, 1, 1, generator=generator) - 0.5)
    radius = 6 + 10 * torch.rand(count, 1, 1, generator=generator)
    place = torch.arange(28.0) + 0.5
    distance = torch.hypot(place[:, None] - middle[:, 0], place - middle[:, 1])
    soft = torch.sigmoid(radius - distance)[:, None]
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([90.0, 70.0])
    sides = 3 + 57 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corner - sides / 2, corner + sides / 2], dim=1)
    last = torch.tensor([90.0, 70.0, 90.0, 70.0])
    return soft, torch.minimum(boxes.clamp(min=0), last)


def test_pasted_at_whole_pixels_is_what_torchvision_pastes():
    given, boxes = blobs(200)
    whole = paste_masks_in_image(given, boxes, SIZE)[:, 0]
    for k, (x0, y0, x1, y1) in enumerate(windows(boxes, SIZE).tolist()):
        piece = paste_at_whole_pixels(given[k, 0], boxes[k], (x0, y0, x1, y1))
        assert torch.equal(piece, whole[k, y0:y1, x0:x1])


def test_pasted_at_centres_is_what_torchvision_pastes_but_for_the_rim():
    given, boxes = blobs(300)
    # beyond the image's edges torchvision's outlines have no rim to compare
    away = ((boxes[:, :2] > 3) & (boxes[:, 2:] < torch.tensor([87.0, 67.0]))).all(dim=1)
    given, boxes = given[away], boxes[away]
    assert len(boxes) > 60
    theirs = paste_masks_in_image(given, boxes, SIZE)[:, 0] >= 0.5
    ours = outlines(packed(boxes, SIZE, lambda k, window: paste(given[k, 0], boxes[k], window)), SIZE)
    # torchvision puts the box at whole pixels and gives it one more: an edge moves by less than a pixel each way
    grown = F.max_pool2d(theirs[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
    shrunk = F.max_pool2d((~theirs)[:, None].float(), 3, stride=1, padding=1)[:, 0] == 0
    around = torch.zeros_like(theirs)
    for k, (x0, y0, x1, y1) in enumerate(windows(boxes, SIZE).tolist()):
        around[k, y0:y1, x0:x1] = True
    assert not (ours & ~grown).any()
    assert not (shrunk & around & ~ours).any()


def test_a_full_outline_covers_the_pixels_of_its_box():
    boxes = torch.tensor([[3.0, 5.0, 9.0, 12.0], [-4.0, 14.0, 5.0, 30.0]])
    full = torch.ones(28, 28)
    found = packed(boxes, (20, 16), lambda k, window: paste(full, boxes[k], window))
    assert found["mask_boxes"].tolist() == [[3, 5, 9, 12], [0, 14, 5, 20]]
    wanted = torch.zeros(2, 20, 16, dtype=torch.bool)
    wanted[0, 5:12, 3:9] = True
    wanted[1, 14:20, 0:5] = True
    assert torch.equal(outlines(found, (20, 16)), wanted)


@pytest.mark.parametrize("put", [paste, paste_at_whole_pixels])
def test_every_object_keeps_a_pixel_of_the_image(put: object):
    boxes = torch.tensor(
        [[4.0, 4.0, 4.0, 4.0], [16.0, 20.0, 16.0, 20.0], [30.0, 40.0, 50.0, 60.0], [-9.0, -9.0, -3.0, -3.0]]
    )
    found = packed(boxes, (20, 16), lambda k, window: put(torch.full((28, 28), 0.1), boxes[k], window))
    assert found["mask_boxes"].tolist() == [[4, 4, 5, 5], [15, 19, 16, 20], [15, 19, 16, 20], [0, 0, 1, 1]]
    assert [(each.top, each.left, each.inside.tolist()) for each in masks(found)] == [
        (4, 4, [[True]]),
        (19, 15, [[True]]),
        (19, 15, [[True]]),
        (0, 0, [[True]]),
    ]


def test_a_faint_outline_keeps_its_strongest_pixel():
    faint = torch.zeros(28, 28)
    faint[20:, 20:] = 0.3
    box = torch.tensor([[2.0, 3.0, 6.0, 7.0]])
    piece = masks(packed(box, SIZE, lambda _, window: paste(faint, box[0], window)))[0]
    assert (piece.top, piece.left) == (3, 2)
    assert piece.inside.sum() == 1
    assert piece.inside[3, 3]


def test_one_object_that_is_kept_does_not_keep_the_others():
    given, boxes = blobs(20)
    kept = masks(packed(boxes, SIZE, lambda k, window: paste(given[k, 0], boxes[k], window)))
    assert all(each.inside.base is None or each.inside.base.size == each.inside.size for each in kept)


def test_frames_give_pieces_in_both_coordinates():
    given, boxes = blobs(30)
    for coordinates in ("centred", "torchvision"):
        frame = Frame(scale=1.0, resize=None, coordinates=coordinates).eval()
        found = frame.postprocess([{"boxes": boxes.clone(), "masks": given.clone()}], [SIZE], [(140, 180)])[0]
        assert set(found) == {"boxes", "mask_boxes", "mask_pixels"}
        assert torch.equal(found["mask_boxes"], windows(found["boxes"], (140, 180)))


def peak_bytes(detector: Detector, pixels: np.ndarray) -> int:
    """Most bytes that torch held at a time during a prediction, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        detector.predict([pixels])
    taken = [each for each in watched.profiler.kineto_results.events() if each.name() == "[memory]"]
    held = np.cumsum([each.nbytes() for each in sorted(taken, key=lambda each: each.start_ns())])
    return int(held.max())


@pytest.mark.parametrize(
    ("kind", "options"),
    [("mask-rcnn", SMALL_OUTLINES), ("mask-scoring", SCORING), ("d2det", D2DET), ("yolact", YOLACT)],
)
def test_500_finds_in_a_large_image_cost_no_large_images(kind: str, options: dict):
    side, finds = 1000, 500
    forced = {"lowest_score": 0.0, "overlap": 1.0, "detections": finds}
    if "proposals" in options:
        forced["proposals"] = 600
    detector = Detector.of(model_of(options | forced | {"kind": kind}), ring_facts(), seed=1)
    pixels = np.random.default_rng(0).random((1, side, side)).astype(np.float32)
    found = detector.predict([pixels])[0]
    assert len(found) == finds
    assert found.masks is not None
    sides = found.box_px[:, 2:] - found.box_px[:, :2]
    # less than a pixel more at each edge of a box
    assert sum(each.inside.nbytes for each in found.masks) <= np.prod(sides + 2, axis=1).sum()
    # the networks' features take up to 200 MB, 500 whole images of probabilities 2,000 MB
    assert peak_bytes(detector, pixels) < 400e6
