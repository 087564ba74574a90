"""The shipped recipes of the live detector are what they say."""

from importlib.resources import files
from pathlib import Path

import pytest
from grid_scenes import facts

from lsm.experiments.detections.config import ArmConfig
from lsm.vision.detect.grid import GridConfig

FOLDER = Path(str(files("lsm") / "configs" / "vision"))
BLOOD = facts(side_px=(102.0, 190.0, 40.0), smallest_px=87.0, largest_px=240.0)


def _model(name: str) -> GridConfig:
    model = ArmConfig.from_file(FOLDER / f"{name}.toml").built()
    assert isinstance(model, GridConfig)
    return model


def test_the_fast_recipe_is_the_fast_form_of_the_other():
    assert _model("grid_blood_fast") == _model("grid_blood").fast()


@pytest.mark.parametrize("name", ["grid_blood", "grid_blood_fast"])
def test_the_crop_holds_the_largest_cells_and_whole_steps_of_the_coarsest_stage(name: str):
    crop_px = ArmConfig.from_file(FOLDER / f"{name}.toml").fit.augmentation.crop_px
    shape = _model(name).shape(BLOOD)
    low, high = ArmConfig.from_file(FOLDER / f"{name}.toml").fit.augmentation.scale
    assert crop_px is not None
    # the images are 480 px high: a square that is always full needs no padding
    assert crop_px <= low * 480
    assert crop_px >= high * BLOOD.box_side_px[-1]
    assert crop_px % (shape.shrink * 2 ** (shape.stages + 1)) == 0
