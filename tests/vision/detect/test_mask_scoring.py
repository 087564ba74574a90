"""Mask scoring: overlaps worked by hand, and scores that follow them."""

import pytest
import torch
from ring_images import learn_by_heart, outlines, ring_facts, ring_image
from torch import nn

from lsm.vision.detect import Detector
from lsm.vision.detect.mask_scoring import MaskScoringConfig, outline_overlaps, whole_areas
from lsm.vision.detect.two_stage.regions import Outlined, outlines_wanted

SMALL = {
    "backbone": "tiny",
    "pyramid_channels": 32,
    "head_width": 64,
    "samples": 64,
    "proposals": 100,
    "mask_width": 32,
    "mask_layers": 2,
    "scoring_width": 32,
    "scoring_dense": 64,
}


@pytest.mark.parametrize(
    ("whole", "wanted"),
    [
        (8.0, 4 / (8 + 8 - 4)),
        # half of the object lies outside the region
        (16.0, 4 / (8 + 16 - 4)),
        # rounding to entries left more inside than there is
        (7.5, 4 / (8 + 8 - 4)),
    ],
)
def test_overlap_of_an_outline_with_its_object(whole: float, wanted: float):
    true, outline = torch.zeros(1, 4, 4), torch.full((1, 4, 4), 0.49)
    true[0, :, :2] = 0.8
    outline[0, :2] = 0.5
    found = outline_overlaps(outline, true, torch.tensor([whole]))
    assert float(found) == pytest.approx(wanted)


def test_an_empty_outline_overlaps_nothing():
    assert float(outline_overlaps(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.zeros(1))) == 0


def test_a_perfect_outline_of_half_an_object_has_half():
    masks = torch.zeros(2, 40, 40, dtype=torch.uint8)
    masks[1, 8:24, 8:24] = 1
    # the left half, counted from the centre of the first pixel
    region = Outlined(torch.tensor([[7.5, 7.5, 15.5, 23.5]]), torch.tensor([1]), torch.tensor([1]))
    whole = whole_areas([{"masks": masks}], [region], 28)
    # 256 pixels in a region of 8 x 16 pixels and 28 x 28 entries
    assert float(whole) == pytest.approx(2 * 28**2)
    wanted = outlines_wanted([{"masks": masks}], [region], 28)
    assert float(outline_overlaps(torch.ones(1, 28, 28), wanted, whole)) == pytest.approx(0.5)


def test_the_foretold_overlap_multiplies_the_score():
    torch.manual_seed(1)
    network = MaskScoringConfig.from_table(SMALL | {"lowest_score": 0.0, "detections": 12}).build(ring_facts()).eval()
    last = network.roi_heads.scoring.dense[-1]
    nn.init.zeros_(last.weight)
    image, _ = ring_image()

    def found(*overlaps: float) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, *overlaps]))
            return network([image])[0]

    plain = found(1.0, 1.0)
    torch.testing.assert_close(found(0.25, 0.25)["scores"], 0.25 * plain["scores"])
    # an overlap is between 0 and 1
    torch.testing.assert_close(found(7.0, 7.0)["scores"], plain["scores"])
    assert set(plain["labels"].tolist()) == {1, 2}
    turned = found(1.0, 0.01)
    factor = torch.where(plain["labels"] == 1, 1.0, 0.01)
    order = torch.argsort(plain["scores"] * factor, descending=True, stable=True)
    for name in ("boxes", "labels", "scores", "mask_boxes"):
        wanted = plain[name] * factor if name == "scores" else plain[name]
        torch.testing.assert_close(turned[name], wanted[order])
    assert torch.equal(outlines(turned, (96, 96)), outlines(plain, (96, 96))[order])


def test_a_full_image_is_known_by_the_scores_before_the_overlaps_lower_them():
    model = MaskScoringConfig.from_table(SMALL | {"lowest_score": 0.0, "detections": 12})
    detector = Detector(model, ring_facts(), seed=1)
    pixels = ring_image()[0].numpy()
    before = detector.predict([pixels])[0]
    last = detector.network.roi_heads.scoring.dense[-1]
    with torch.no_grad():
        nn.init.zeros_(last.weight)
        last.bias.copy_(torch.tensor([0.0, 0.5, 0.001]))
    found = detector.predict([pixels])[0]
    assert len(found) == 12
    assert before.cut_at is not None
    assert found.cut_at is not None
    # what was left out may have an overlap of 1: only its score of the category bounds it
    assert found.score.min() < 0.01 * found.cut_at
    assert found.full(found.cut_at)


def test_it_learns_one_image_by_heart():
    torch.manual_seed(0)
    learn_by_heart(MaskScoringConfig.from_table(SMALL).build(ring_facts()), steps=70)
