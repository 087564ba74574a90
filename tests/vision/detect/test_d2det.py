"""D2Det: votes and pooled features worked by hand, then whether it learns."""

import math

import pytest
import torch
from ring_images import learn_by_heart, ring_facts, ring_image

from lsm.errors import WrongFormat
from lsm.vision.detect.d2det import D2DetConfig
from lsm.vision.detect.d2det.dense import decided, distances, jittered, on_object, overlap_loss, vote_loss, voted
from lsm.vision.detect.d2det.pooling import DiscriminativePool, weighted_mean
from lsm.vision.detect.two_stage.config import region_align

SMALL = {
    "backbone": "tiny",
    "pyramid_channels": 32,
    "head_width": 64,
    "samples": 64,
    "proposals": 100,
    "local_width": 32,
    "local_layers": 3,
}
SQUARE = torch.tensor([[0.0, 0.0, 7.0, 7.0]])


def test_distances_are_in_sides_of_the_region():
    region, thing = torch.tensor([[0.0, 0.0, 14.0, 7.0]]), torch.tensor([[1.0, 0.5, 13.0, 6.5]])
    found = distances(region, thing)[0]
    # the first part has its middle at x = 1, y = 0.5, the last at x = 13, y = 6.5
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([0.0, 0.0, 12 / 14, 6 / 7]))
    torch.testing.assert_close(found[:, 6, 6], torch.tensor([12 / 14, 6 / 7, 0.0, 0.0]))
    # row 0, column 6: right of the object's middle, at its upper edge
    torch.testing.assert_close(found[:, 0, 6], torch.tensor([12 / 14, 0.0, 0.0, 6 / 7]))


def test_every_part_votes_for_the_object_that_it_measured():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(5, 2, 4, generator=generator) * 50
    region, thing = (torch.cat([each[:, :2], each[:, :2] + 5 + each[:, 2:]], dim=1) for each in corners.unbind(1))
    votes = voted(region, distances(region, thing))
    # float32 sums of numbers up to 100
    torch.testing.assert_close(votes, thing[:, :, None, None].expand(-1, -1, 7, 7), rtol=0, atol=1e-4)


def test_parts_on_the_object():
    on = on_object(SQUARE, torch.tensor([[2.0, 2.0, 5.0, 5.0]]))
    wanted = torch.zeros(1, 7, 7, dtype=torch.bool)
    wanted[0, 2:5, 2:5] = True
    assert torch.equal(on, wanted)


def test_the_mean_of_believed_votes_decides():
    one, other = torch.tensor([[1.0, 1.0, 6.0, 6.0]]), torch.tensor([[2.0, 1.0, 6.0, 5.0]])
    found = distances(SQUARE, one)
    found[0, :, 3, 3] = distances(SQUARE, other)[0, :, 3, 3]
    found[0, :, 0, 0] = 99.0
    odds = torch.full((1, 7, 7), -4.0)
    odds[0, 3, 2:5] = 0.1
    torch.testing.assert_close(decided(SQUARE, found, odds), (2 * one + other) / 3)
    # where no part is believed, the likeliest one decides
    odds[0, 3, 2:5] = -5.0
    odds[0, 3, 3] = -3.0
    torch.testing.assert_close(decided(SQUARE, found, odds), other)


def test_vote_loss_is_the_logarithm_of_the_overlap():
    wanted = distances(SQUARE, SQUARE)
    counted = torch.zeros(1, 7, 7, dtype=torch.bool)
    counted[0, 3, 3] = True
    assert float(vote_loss(SQUARE, wanted, SQUARE, counted)) == pytest.approx(0, abs=1e-6)
    # half as far to every side: a quarter of the area
    assert float(vote_loss(SQUARE, wanted / 2, SQUARE, counted)) == pytest.approx(math.log(4))
    none = torch.zeros_like(counted)
    found = (wanted / 2).requires_grad_()
    loss = vote_loss(SQUARE, found, SQUARE, none)
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(overlap_loss(torch.zeros(1, 7, 7), counted)) == pytest.approx(math.log(2))


def test_jitter_stays_in_the_image_and_within_its_amount():
    torch.manual_seed(0)
    boxes = torch.tensor([[20.0, 30.0, 40.0, 70.0]]).repeat(500, 1)
    moved = jittered(boxes, 0.15, (100, 60))
    # the middle moves by 0.15 sides, an edge by half of 0.15 more
    assert float((moved - boxes).abs()[:, ::2].max()) <= 20 * 0.225 + 1e-4
    assert float((moved - boxes).abs()[:, ::2].max()) > 20 * 0.18
    torch.testing.assert_close(jittered(boxes, 0.0, (100, 60)), boxes)
    assert float(jittered(boxes, 0.4, (50, 38)).amax(dim=0)[3]) == 50


def features(channels: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {str(k): torch.rand(2, channels, 64 >> k, 64 >> k, generator=generator) for k in range(4)}


BOXES = [torch.tensor([[20.0, 30.0, 60.0, 55.0], [8.0, 8.0, 240.0, 230.0]]), torch.tensor([[100.0, 4.0, 180.0, 130.0]])]
SIZES = [(256, 256), (256, 256)]


def test_pooling_starts_as_a_plain_region_align():
    """Two by two samples in each part, of the level that fits the region."""
    pool = DiscriminativePool(region_align(3), 3, 8, 7)
    held = features()
    # places come from other float32 sums
    torch.testing.assert_close(pool(held, BOXES, SIZES), region_align(7)(held, BOXES, SIZES), rtol=1e-4, atol=1e-4)


def test_moves_are_in_tenths_of_the_region():
    pool = DiscriminativePool(region_align(3), 1, 8, 7)
    ramp = {str(k): torch.arange(64.0 / 2**k).expand(2, 1, 64 >> k, -1).contiguous() for k in range(4)}
    before = pool(ramp, BOXES, SIZES)
    with torch.no_grad():
        pool.moves[-1].bias[:49] = 1.0
    moved = pool(ramp, BOXES, SIZES) - before
    # 40 pixels wide at a stride of 4, and 80 of 126 pixels' side at a stride of 4 as well
    torch.testing.assert_close(moved[0], torch.full((1, 7, 7), 0.1 * 40 / 4))
    torch.testing.assert_close(moved[2], torch.full((1, 7, 7), 0.1 * 80 / 4))


def test_weights_are_shares():
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert float(weighted_mean(values, values.log())) == pytest.approx((1 + 4 + 9 + 16) / 10)
    # each group of 2 x 2 is its own
    field = torch.arange(16.0).reshape(1, 1, 4, 4)
    torch.testing.assert_close(
        weighted_mean(field, torch.zeros_like(field))[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    )


def test_it_learns_one_image_by_heart():
    torch.manual_seed(0)
    learn_by_heart(D2DetConfig.from_table(SMALL).build(ring_facts()), steps=60)


def test_without_outlines_it_learns_from_boxes():
    torch.manual_seed(0)
    learn_by_heart(D2DetConfig.from_table(SMALL | {"outlines": False}).build(ring_facts()), steps=60, masks=False)


def test_an_image_without_objects_and_one_without_outlines():
    torch.manual_seed(0)
    network = D2DetConfig.from_table(SMALL).build(ring_facts()).train()
    image, target = ring_image()
    nothing = {name: value[:0] for name, value in target.items()}
    losses = network([image], [nothing])
    assert all(torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    del target["masks"]
    with pytest.raises(WrongFormat, match="none"):
        network([image], [target])
