"""Real photographs of blood under the coarse objective: the cells stay where they are, and absorb."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from lsm.optics import ImagingSystem
from lsm.sensing.capture import ExposureConfig
from lsm.twin import TwinConfig
from lsm.vision.data import read_annotations
from lsm.vision.field import (
    FieldLight,
    FieldLightConfig,
    LedFields,
    PhotographConfig,
    Photographs,
    annotated_fields,
)

pytestmark = pytest.mark.data


def test_photographs_of_bccd_come_back_coarser_with_their_marks(data_dir: Path, tmp_path: Path):
    rig = TwinConfig(system=ImagingSystem(sample_px=224, margin_px=4))
    whole = read_annotations(data_dir / "bccd" / "BCCD", repair=True)
    data = whole.where([k for k, image in enumerate(whole.images) if 10 <= len(image.objects) <= 20][:3])
    scenes = Photographs(data, PhotographConfig(defocus_um=0.0), rig.system)
    # red cells of 7.8 um are about 100 pixels wide
    assert 0.06 < scenes.pixel_um < 0.1
    fields = LedFields.cached(scenes, rig, tmp_path)
    light = FieldLight(rig, FieldLightConfig(kind="bright field"), ExposureConfig(), torch.Generator())
    light.freeze(fields)
    shown = annotated_fields(light, fields, torch.Generator().manual_seed(1))
    assert shown.categories == data.categories
    assert shown.counts() == data.counts()
    for image, original in zip(shown.images, data.images, strict=True):
        assert image.size == tuple(int(side * scenes.pixel_um / 1.2) for side in original.size)
        green = torch.from_numpy(original.pixels()[1])[None, None]
        coarse = interpolate(green, size=image.size, mode="bilinear", antialias=True)[0, 0].numpy()
        # the same picture but for the objective's blur, phase and noise; a shift by half a cell would leave nothing
        assert np.corrcoef(coarse.ravel(), image.pixels()[0].ravel())[0, 1] > 0.7
        assert np.corrcoef(np.roll(coarse, 4, axis=1).ravel(), image.pixels()[0].ravel())[0, 1] < 0.5
