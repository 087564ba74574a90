"""Mask R-CNN with weights in torchvision's form, from a file to a drawn result in the README's few lines."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models.detection import maskrcnn_resnet50_fpn

from lsm.vision.data import read_pixels
from lsm.vision.detect.pretrained import coco_detector
from lsm.vision.draw import Look, draw_objects, save_png


def test_a_photograph_is_searched_and_drawn(tmp_path: Path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict(), tmp_path / "weights.pth")
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "street.png")

    # weights that learned nothing find everything a little
    detector = coco_detector(tmp_path / "weights.pth", detections=20, lowest_score=0.0, resize=(96, 128))
    photograph = read_pixels(tmp_path / "street.png")
    (found,) = detector.predict([photograph])
    picture = draw_objects(photograph, found, detector.facts.categories, look=Look(colour_by="object"))
    path = save_png(picture, tmp_path / "seen.png")

    assert len(found) > 0
    assert found.masks is not None
    with Image.open(path) as drawn:
        untouched = np.asarray(Image.fromarray(noise).resize(drawn.size, Image.Resampling.BICUBIC))
        assert (np.asarray(drawn) != untouched).any(axis=2).mean() > 0.01
