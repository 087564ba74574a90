"""Every network behind the one interface: learnt, saved, loaded, the same."""

from pathlib import Path

import numpy as np
import pytest
from ring_images import CATEGORIES, ring_image
from test_nothing_found import OPTIONS

from lsm.vision.data import AnnotatedImage, AnnotatedSet, Mask, Objects
from lsm.vision.detect import MODELS, Detector, FitConfig, model_of


def rings(name: str, size: int) -> AnnotatedImage:
    pixels, target = ring_image(size)
    masks = tuple(Mask.of(mask.numpy().astype(bool)) for mask in target["masks"])
    objects = Objects(target["boxes"].double().numpy(), target["labels"].numpy() - 1, masks)
    return AnnotatedImage.of(name, pixels.numpy(), objects)


def test_every_kind_goes_by_its_own_name():
    assert {kind: config.model_fields["kind"].default for kind, config in MODELS.items()} == {
        kind: kind for kind in MODELS
    }
    assert set(OPTIONS) < set(MODELS)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_saved_detector_finds_the_same(kind: str, tmp_path: Path):
    data = AnnotatedSet((rings("one", 96), rings("other", 110)), CATEGORIES)
    detector = Detector.of(model_of(OPTIONS[kind] | {"kind": kind}), data)
    record = detector.fit(data, fit=FitConfig(steps=4, images_per_step=1, average=0.5))
    assert all(np.isfinite(loss) for tenth in record.losses for loss in tenth.values())
    detector.save(tmp_path / "detector.safetensors")
    loaded = Detector.load(tmp_path / "detector.safetensors")
    assert loaded.model == detector.model
    for image in data.images:
        mine, theirs = (each.predict([image.pixels()])[0] for each in (detector, loaded))
        assert len(mine) > 0
        for name in ("box_px", "category", "score"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        assert (mine.masks is None) == (kind == "faster-rcnn")
