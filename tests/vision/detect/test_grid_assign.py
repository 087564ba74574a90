"""Which points learn which object, and which boxes suppress which."""

import torch
from torch import Tensor

from lsm.vision.detect.grid.assign import POINTS, assign
from lsm.vision.detect.grid.suppress import suppress


def _points(side: int, step: float) -> Tensor:
    x = torch.arange(side) * step + step / 2
    return torch.stack((x.repeat(side), x.repeat_interleave(side)), dim=-1)


def _around(points: Tensor, half: float, categories: int = 1) -> Tensor:
    """The same box around each point, in all categories."""
    return torch.cat((points - half, points + half), dim=-1)[:, None].expand(-1, categories, -1)


def test_points_inside_the_object_learn_it_and_the_best_weighs_one():
    points = _points(16, 4.0)
    boxes = _around(points, 10.0, 3)
    truth = torch.tensor([[20.0, 20.0, 40.0, 40.0]])
    found = assign(torch.full((256, 3), 0.01), boxes, points, truth, torch.tensor([1]))
    taken = found.number == 0
    assert int(taken.sum()) == POINTS
    assert bool(((points[taken] > 20) & (points[taken] < 40)).all())
    assert float(found.weight.max()) == 1
    best = points[found.weight.argmax()]
    # the point in the middle, whose box of 20 px is the object's own
    assert best.tolist() == [30.0, 30.0]
    assert float(found.quality.max()) == 1
    assert bool((found.weight[~taken] == 0).all())


def test_a_point_that_two_objects_want_goes_to_the_one_it_overlaps_most():
    points = torch.tensor([[10.0, 10.0]])
    boxes = _around(points, 5.0)
    truth = torch.tensor([[0.0, 0.0, 40.0, 40.0], [4.0, 4.0, 16.0, 16.0]])
    assert assign(torch.full((1, 1), 0.5), boxes, points, truth, torch.zeros(2, dtype=torch.int64)).number == 1


def test_a_higher_score_of_the_category_wins_between_equal_boxes():
    points = torch.tensor([[10.0, 10.0], [11.0, 10.0]])
    boxes = torch.tensor([[2.0, 2.0, 18.0, 18.0]]).expand(2, 2, 4)
    scores = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    truth = torch.tensor([[2.0, 2.0, 18.0, 18.0]])
    assert assign(scores, boxes, points, truth, torch.tensor([0])).weight.argmax() == 0
    assert assign(scores, boxes, points, truth, torch.tensor([1])).weight.argmax() == 1


def test_each_object_is_compared_with_the_boxes_of_its_category():
    points = torch.tensor([[10.0, 10.0], [12.0, 10.0]])
    # the first point's box fits in the first category, the second point's in the second
    boxes = torch.tensor(
        [[[5.0, 5.0, 15.0, 15.0], [0.0, 0.0, 40.0, 40.0]], [[0.0, 0.0, 40.0, 40.0], [5.0, 5.0, 15.0, 15.0]]]
    )
    truth = torch.tensor([[5.0, 5.0, 15.0, 15.0]])
    for category in (0, 1):
        found = assign(torch.full((2, 2), 0.5), boxes, points, truth, torch.tensor([category]))
        assert found.weight.argmax() == category
        assert float(found.quality.max()) == 1


def test_an_object_between_the_points_has_the_nearest():
    points = _points(4, 8.0)
    truth = torch.tensor([[13.0, 13.0, 15.0, 15.0]])
    found = assign(torch.full((16, 1), 0.01), _around(points, 4.0), points, truth, torch.tensor([0]))
    assert points[found.number == 0].tolist() == [[12.0, 12.0]]


def test_without_objects_no_point_learns_any():
    points = _points(4, 8.0)
    found = assign(
        torch.rand(16, 2), _around(points, 4.0, 2), points, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    )
    assert bool((found.number == -1).all())
    assert float(found.weight.sum()) == 0


def test_only_boxes_of_one_category_suppress_each_other():
    boxes = torch.tensor([[10.0, 10.0, 50.0, 50.0], [11.0, 10.0, 51.0, 50.0], [60.0, 60.0, 90.0, 120.0]])
    boxes = boxes[:, None].expand(-1, 2, -1)
    scores = torch.tensor([[0.9, 0.7], [0.8, 0.01], [0.005, 0.6]])
    found = suppress(boxes, scores, (100, 80), overlap=0.5, least_score=0.02, most=10)
    assert found.category.tolist() == [0, 1, 1]
    assert torch.equal(found.score, torch.tensor([0.9, 0.7, 0.6]))
    # cut at the image's edge
    assert found.boxes[2].tolist() == [60.0, 60.0, 80.0, 100.0]
    assert len(suppress(boxes, scores, (100, 80), overlap=0.99, least_score=0.02, most=10).score) == 4
    assert suppress(boxes, scores, (100, 80), overlap=0.5, least_score=0.02, most=1).category.tolist() == [0]


def test_a_box_outside_the_image_is_no_detection():
    boxes = torch.tensor([[[200.0, 10.0, 220.0, 30.0]]])
    assert len(suppress(boxes, torch.ones(1, 1), (100, 100), overlap=0.5, least_score=0.02, most=5).boxes) == 0
