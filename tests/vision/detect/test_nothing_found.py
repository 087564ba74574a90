"""Blank images: nothing to learn from, and nothing found, in every network."""

import pytest
import torch
from ring_images import ring_facts
from test_d2det import SMALL as D2DET
from test_mask_scoring import SMALL as SCORING
from test_two_stage import SMALL, SMALL_OUTLINES
from test_yolact import SMALL as YOLACT

from lsm.vision.detect.models import MODELS

OPTIONS = {
    "faster-rcnn": SMALL,
    "mask-rcnn": SMALL_OUTLINES,
    "mask-scoring": SCORING,
    "d2det": D2DET,
    "yolact": YOLACT,
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_blank_images(kind: str):
    torch.manual_seed(0)
    network = MODELS[kind].from_table(OPTIONS[kind] | {"lowest_score": 0.999}).build(ring_facts())
    blank = torch.zeros(1, 70, 50)
    nothing = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 70, 50, dtype=torch.uint8),
    }
    losses = network.train()([blank, blank], [nothing, nothing])
    assert all(torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    with torch.no_grad():
        found = network.eval()([blank])[0]
    assert found["boxes"].shape == (0, 4)
    assert found["scores"].shape == found["labels"].shape == (0,)
    assert kind == "faster-rcnn" or (found["mask_boxes"].shape, found["mask_pixels"].shape) == ((0, 4), (0,))
    # smaller than one step of the coarsest level
    with torch.no_grad():
        assert len(network([torch.zeros(1, 9, 5)])[0]["boxes"]) == 0
