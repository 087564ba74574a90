"""The grid detector keeps the networks' convention, suits its sizes to the data, and learns."""

import numpy as np
import pytest
import torch
from grid_scenes import facts, painted
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from lsm.errors import InputError
from lsm.vision.detect.grid import GridConfig, GridNetwork
from lsm.vision.detect.grid.shape import reach_px

SMALL = GridConfig(width=16, shrink=1, stride=4)


def _network(config: GridConfig = SMALL, **of: object) -> GridNetwork:
    torch.manual_seed(0)
    return config.build(facts(**of))


@pytest.fixture(scope="module")
def taught() -> GridNetwork:
    torch.set_num_threads(1)
    network, rng = _network(), np.random.default_rng(0)
    network.train()
    steps = 110
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    for _ in range(steps):
        images, targets = zip(*(painted(rng, 6) for _ in range(4)), strict=True)
        optimizer.zero_grad()
        losses = network(list(images), list(targets))
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def test_it_finds_and_names_cells_of_two_sizes(taught: GridNetwork):
    rng = np.random.default_rng(99)
    metric = MeanAveragePrecision(max_detection_thresholds=[1, 100, 500], backend="faster_coco_eval")
    for _ in range(10):
        image, targets = painted(rng, 5, (120, 152))
        metric.update(taught([image]), [targets])
    precision = metric.compute()
    # cells lie on each other at random, and a hidden one cannot be found
    assert float(precision["map_50"]) > 0.9
    assert float(precision["map"]) > 0.5


def test_detections_keep_the_convention(taught: GridNetwork):
    image, _ = painted(np.random.default_rng(5), 6, (101, 139))
    found = taught([image])[0]
    boxes, labels, scores = found["boxes"], found["labels"], found["scores"]
    assert len(boxes) == len(labels) == len(scores) > 0
    assert set(labels.tolist()) <= {1, 2}
    assert bool((scores.diff() <= 0).all())
    assert bool((scores >= taught.least_score).all())
    assert bool((boxes >= 0).all())
    assert bool((boxes[:, 2] <= 139).all())
    assert bool((boxes[:, 3] <= 101).all())
    assert bool((boxes[:, 2:] > boxes[:, :2]).all())


def test_no_more_than_the_most_are_kept(taught: GridNetwork):
    image, _ = painted(np.random.default_rng(5), 6)
    strongest = taught([image])[0]["scores"][:3]
    taught.most = 3
    try:
        assert torch.equal(taught([image])[0]["scores"], strongest)
    finally:
        taught.most = 500


def test_an_image_is_searched_alike_beside_a_larger_one(taught: GridNetwork):
    rng = np.random.default_rng(6)
    small, large = painted(rng, 3, (96, 96))[0], painted(rng, 9, (160, 200))[0]
    alone, beside = taught([small])[0], taught([small, large])[0]
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_a_moved_image_gives_moved_boxes(taught: GridNetwork):
    coarsest_px = 2 ** (taught.shape.stages + 1)
    rng = np.random.default_rng(7)
    image = torch.from_numpy(rng.normal(0, 1, (1, 1, 384, 384)).astype(np.float32))
    with torch.no_grad():
        here = taught.rasters(image)
        moved = taught.rasters(torch.roll(image, (coarsest_px, coarsest_px), (2, 3)))
    side, shift = 384 // taught.shape.step_px, coarsest_px // taught.shape.step_px
    inner = slice(side // 2 - shift, side // 2)
    later = slice(side // 2, side // 2 + shift)
    odds, odds_moved = (each.odds[0].reshape(side, side, 2) for each in (here, moved))
    # the square in the middle lies farther from every border than a point sees; float32 convolutions
    torch.testing.assert_close(odds_moved[later, later], odds[inner, inner], rtol=1e-4, atol=1e-4)
    boxes, boxes_moved = (each.boxes[0].reshape(side, side, 8) for each in (here, moved))
    torch.testing.assert_close(boxes_moved[later, later], boxes[inner, inner] + coarsest_px, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_any_number_of_channels_and_sizes_learns(channels: int):
    network = _network(channels=channels)
    network.train()
    images = [torch.randn(channels, 64, 50), torch.randn(channels, 40, 72)]
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    one = {"boxes": torch.tensor([[10.0, 12.0, 34.0, 30.0]]), "labels": torch.tensor([2])}
    losses = network(images, [nothing, one])
    torch.stack(list(losses.values())).sum().backward()
    assert set(losses) == {"loss_score", "loss_box"}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_an_empty_batch_teaches_that_there_is_nothing():
    network = _network()
    network.train()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    losses = network([torch.randn(1, 48, 48)], [nothing])
    assert float(losses["loss_box"].detach()) == 0
    assert float(losses["loss_score"].detach()) > 0


def test_the_padding_of_a_batch_teaches_nothing():
    network = _network()
    network.train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    image, empty = torch.randn(1, 32, 32), torch.zeros(1, 96, 96)

    def score(*images: Tensor) -> float:
        return float(network(list(images), [nothing] * len(images))["loss_score"].detach())

    alone, both, large = score(image), score(image, empty), score(empty)
    # what is left is that features near the border see zeros instead of nothing
    assert both == pytest.approx(alone + large, rel=0.02)


def test_training_without_targets_and_wrong_images_are_refused():
    network = _network()
    with pytest.raises(InputError, match="targets"):
        network.train()([torch.zeros(1, 32, 32)])
    for shape in ((2, 32, 32), (1, 1, 32)):
        with pytest.raises(InputError, match="1 channels of at least 2 x 2"):
            network.eval()([torch.zeros(*shape)])


def test_sizes_follow_the_objects():
    config = GridConfig()
    # blood at 102, 190 and 40 px: shrunk until the platelets have 20 px
    blood = config.shape(facts(side_px=(102.0, 190.0, 40.0), smallest_px=87.0, largest_px=240.0))
    assert (blood.shrink, blood.stride) == (2, 4)
    assert reach_px(blood.stages, blood.depth) >= 2 * 240 / 2
    nuclei = config.shape(facts(side_px=(19.0,), smallest_px=10.0, largest_px=60.0))
    assert (nuclei.shrink, nuclei.stride) == (1, 4)
    dots = config.shape(facts(side_px=(4.0,), smallest_px=3.0, largest_px=5.0))
    assert (dots.shrink, dots.stride) == (1, 2)
    assert config.model_copy(update={"shrink": 3, "stride": 8}).shape(facts()).step_px == 24


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_the_grid_has_its_step(stride: int):
    network = _network(SMALL.model_copy(update={"stride": stride, "shrink": 3}))
    with torch.no_grad():
        points = network.eval().rasters(torch.zeros(1, 1, 100, 130)).points
    assert points[0].tolist() == [1.5, 1.5]
    assert sorted({round(x) for x in points[:, 0].diff().tolist() if x > 0}) == [3 * stride]
    assert float(points[:, 0].max()) > 130 - 2 * 3 * stride


def test_the_fast_form_has_a_quarter_of_the_width():
    assert GridConfig(width=64).fast().width == 16
    assert GridConfig(width=64).fast().kind == "grid"
