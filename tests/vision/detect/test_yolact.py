"""YOLACT: its parts worked by hand or by brute force, then whether it learns."""

import math

import pytest
import torch
from ring_images import learn_by_heart, ring_facts, ring_image
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, nms

from lsm.errors import WrongFormat
from lsm.vision.detect.pieces import windows
from lsm.vision.detect.yolact import YolactConfig
from lsm.vision.detect.yolact.boxes import BACKGROUND, NEITHER, assigned, decoded, encoded, fast_nms
from lsm.vision.detect.yolact.losses import FEWEST_NEGATIVES, kind_loss, label_loss
from lsm.vision.detect.yolact.outlines import assembled, coarse, cropped, drawn, outline_loss

SMALL = {"backbone": "tiny", "pyramid_channels": 32, "prototypes": 8}


def random_boxes(count: int, seed: int, side: float = 60.0) -> Tensor:
    corners = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * side
    return torch.cat([corners[:, :2], corners[:, :2] + 3 + corners[:, 2:] / 2], dim=1)


def test_anchors_belong_to_objects_by_overlap():
    objects = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
    anchors = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],
            [0.0, 0.0, 10.0, 5.0],
            # 0.45 of the first object
            [0.0, 0.0, 10.0, 4.5],
            [0.0, 0.0, 10.0, 3.9],
            # 0.25 of the second, and nothing else has more of it
            [50.0, 50.0, 55.0, 55.0],
        ]
    )
    assert assigned(anchors, objects).tolist() == [0, 0, NEITHER, BACKGROUND, 1]
    assert assigned(anchors, objects[:0]).tolist() == [BACKGROUND] * 5


def test_offsets_by_hand_and_back():
    anchor, box = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[5.0, 0.0, 15.0, 20.0]])
    torch.testing.assert_close(encoded(anchor, box), torch.tensor([[5.0, 5.0, 0.0, math.log(2) / 0.2]]))
    some, others = random_boxes(50, 0), random_boxes(50, 1)
    # float32 logarithms of boxes of 60 pixels
    torch.testing.assert_close(decoded(some, encoded(some, others)), others, rtol=0, atol=1e-3)
    huge = decoded(anchor, torch.tensor([[0.0, 0.0, 1e6, 0.0]]))
    assert float(huge[0, 2] - huge[0, 0]) == pytest.approx(10 * 1000 / 16)


@pytest.mark.parametrize("seed", range(5))
def test_fast_nms_is_its_definition(seed: int):
    boxes = random_boxes(40, seed)
    scores = torch.rand(40, generator=torch.Generator().manual_seed(seed + 100))
    between = box_iou(boxes, boxes)
    wanted = [
        not any(float(scores[j]) > float(scores[i]) and float(between[i, j]) > 0.3 for j in range(40))
        for i in range(40)
    ]
    found = fast_nms(boxes, scores, 0.3)
    assert found.tolist() == wanted
    # it never keeps what the sequential rule drops
    assert set(torch.where(found)[0].tolist()) <= set(nms(boxes, scores, 0.3).tolist())


def test_fast_nms_lets_dropped_boxes_drop_others():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0], [8.0, 0.0, 18.0, 10.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert sorted(nms(boxes, scores, 0.4).tolist()) == [0, 2]
    assert fast_nms(boxes, scores, 0.4).tolist() == [True, False, False]
    assert fast_nms(boxes[:0], scores[:0], 0.4).tolist() == []


def test_outlines_are_sums_of_prototypes():
    prototypes = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 1.0]]])
    odds = assembled(prototypes, torch.tensor([[1.0, -1.0], [0.5, 3.0]]))
    assert odds.tolist() == [[[1.0, -1.0], [-1.0, 1.0]], [[0.5, 3.0], [3.0, 4.0]]]


def test_a_box_crops_the_entries_it_touches():
    inside = cropped(torch.tensor([[1.2, 0.0, 3.0, 1.5], [-2.0, 1.0, 0.5, 9.0]]), 3, 4).int()
    assert inside[0].tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert inside[1].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_outline_loss_is_per_area_and_blind_outside():
    odds = torch.full((2, 8, 8), 50.0)
    odds[0, 1:3, 1:3] = 0
    odds[1, 0:6, 0:4] = 0
    boxes = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 4.0, 6.0]])
    # every entry inside is undecided, whatever is right: log 2 for the small object and for the large one
    for wanted in (torch.zeros(2, 8, 8), torch.ones(2, 8, 8)):
        assert float(outline_loss(odds, wanted, boxes)) == pytest.approx(math.log(2))
    assert float(outline_loss(odds[:0], odds[:0], boxes[:0])) == 0


def test_coarse_outlines_need_half_of_an_entry():
    mask = torch.zeros(1, 5, 4, dtype=torch.uint8)
    mask[0, 0:2, 0:2] = 1
    mask[0, 2, 2:4] = 1
    mask[0, 4, 0:2] = 1
    mask[0, 3, 0] = 1
    assert coarse(mask, 2, (3, 2))[0].tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("stride", [(2.0, 2.0), (4.0, 3.0)])
def test_drawing_in_pieces_is_drawing_whole(stride: tuple[float, float]):
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(6, 12, 15, generator=generator)
    size = (int(12 * stride[0]), int(15 * stride[1]))
    boxes = torch.tensor(
        [[3.3, 2.0, 12.0, 9.5], [-5.0, -1.0, 99.0, 99.0], [20.0, 15.0, 20.9, 15.4], [7.0, 7.0, 7.0, 7.0]]
    )
    coefficients = torch.randn(4, 6, generator=generator)
    places = windows(boxes, size).tolist()
    whole = F.interpolate(
        assembled(prototypes, coefficients).sigmoid()[None], size=size, mode="bilinear", align_corners=False
    )[0]
    assert places[1] == [0, 0, size[1], size[0]]
    for k, (x0, y0, x1, y1) in enumerate(places):
        found = drawn(prototypes, coefficients[k], (x0, y0, x1, y1), stride=stride)
        # the same interpolation from other float32 sums
        torch.testing.assert_close(found, whole[k, y0:y1, x0:x1], rtol=1e-4, atol=1e-4)


def test_the_worst_backgrounds_teach():
    odds = torch.zeros(200, 3)
    odds[:, 1] = torch.linspace(-3, 3, 200)
    owner = torch.full((200,), BACKGROUND)
    owner[100:112] = torch.arange(12) % 2
    owner[150] = NEITHER
    labels = torch.tensor([2, 1])
    surprise = -F.log_softmax(odds, dim=1)[:, 0]
    surprise[owner != BACKGROUND] = -1
    wanted = surprise.sort(descending=True).values[:36].sum()
    wanted = wanted - F.log_softmax(odds[100:112], dim=1)[torch.arange(12), labels[torch.arange(12) % 2]].sum()
    torch.testing.assert_close(label_loss(odds, owner, labels), wanted)
    nothing = label_loss(odds, torch.full((200,), BACKGROUND), labels[:0])
    torch.testing.assert_close(nothing, (-F.log_softmax(odds, dim=1)[:, 0]).topk(FEWEST_NEGATIVES).values.sum())


def test_pixels_of_every_category():
    masks = torch.zeros(2, 4, 4)
    masks[0, :2] = 1
    masks[1, 2:] = 1
    # three categories, each undecided: log 2 of each in every pixel
    assert float(kind_loss(torch.zeros(3, 2, 2), masks, torch.tensor([1, 3]))) == pytest.approx(3 * math.log(2))
    sure = torch.full((3, 2, 2), -50.0)
    sure[0, 0], sure[2, 1] = 50.0, 50.0
    assert float(kind_loss(sure, masks, torch.tensor([1, 3]))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("side_px", "finest"), [(12.0, 4), (80.0, 8)])
def test_small_objects_get_finer_levels(side_px: float, finest: int):
    network = YolactConfig.from_table(SMALL).build(ring_facts(side_px=side_px)).eval()
    assert network.finest == finest
    with torch.no_grad():
        found = network([torch.zeros(1, 100, 130)])[0]
    assert len(found["mask_boxes"]) == len(found["boxes"])
    assert found["mask_boxes"].amax(dim=0).tolist() <= [130, 100, 130, 100]


def test_many_anchors_on_some_objects_do_not_crowd_out_others():
    """Two hundred objects, each found by twenty anchors, which all score higher than those of the next object."""
    facts = ring_facts().model_copy(update={"most_objects": 200})
    network = YolactConfig.from_table(SMALL).build(facts)
    corners = torch.cartesian_prod(torch.arange(20.0), torch.arange(10.0)).repeat_interleave(20, 0) * 20
    boxes = torch.cat([corners, corners + 12], dim=1)
    scores = torch.linspace(0.99, 0.6, len(boxes))
    kept = network._of_label(boxes, scores, torch.ones(len(boxes), dtype=torch.bool))
    assert len(boxes[kept].unique(dim=0)) == 200


@pytest.mark.parametrize("options", [{}, {"finest": 8, "scale": 2.0}])
def test_it_learns_one_image_by_heart(options: dict):
    torch.manual_seed(0)
    learn_by_heart(YolactConfig.from_table(SMALL | options).build(ring_facts()), steps=60)


def test_an_image_without_objects_and_one_without_outlines():
    torch.manual_seed(0)
    network = YolactConfig.from_table(SMALL).build(ring_facts(channels=3)).train()
    image, target = ring_image(channels=3)
    nothing = {name: value[:0] for name, value in target.items()}
    losses = network([image, image], [nothing, target])
    assert all(torch.isfinite(loss) for loss in losses.values())
    empty = network([image], [nothing])
    assert float(empty["loss_label"].detach()) > 0
    assert float(empty["loss_mask"].detach()) == float(empty["loss_box"].detach()) == 0
    torch.stack(list(empty.values())).sum().backward()
    del target["masks"]
    with pytest.raises(WrongFormat, match="none"):
        network([image], [target])
