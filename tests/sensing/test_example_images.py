"""The examples under a light's picture show what they say."""

import numpy as np
import torch
from sensing_phantom import BOARD, phantom_fields

from lsm.sensing.config import DesignConfig
from lsm.sensing.design import design_light, example_images
from lsm.sensing.fields import FieldCells, FieldSet

CONFIG = DesignConfig.from_table(
    {
        "name": "examples",
        "rig": {"led_board": {"rows": 5, "columns": 5, "pitch_mm": 6.0}},
        "classifier": {"crop_px": 16},
    }
)


def test_each_example_is_the_cell_that_stands_most_alone():
    """Dark-field light shows an infected cell of the phantom twice as bright as a healthy one."""
    fields = phantom_fields(3)
    duty = torch.from_numpy(np.stack([BOARD.na <= 0.13, BOARD.na > 0.13])).float()
    images = example_images(CONFIG, fields, duty)
    assert {name: image.shape for name, image in images.items()} == {
        "field": (2, 64, 64),
        "infected": (2, 16, 16),
        "healthy": (2, 16, 16),
    }
    above = {name: float(image[1].max() - image[1].min()) for name, image in images.items()}
    # 0.06 against 0.03 above the background; neighbours' tails and the pixel grid take some
    assert 1.5 < above["infected"] / above["healthy"] < 2.5
    assert images["infected"][0].argmin() in {7 * 16 + 7, 7 * 16 + 8, 8 * 16 + 7, 8 * 16 + 8}


def test_a_class_that_is_not_there_has_no_example():
    whole = phantom_fields(1)
    healthy = FieldSet(whole.stacks, whole.slide, whole.cells.where(~whole.cells.infected))
    none = FieldCells(*(np.zeros(0, dtype=getattr(whole.cells, name).dtype) for name in whole.cells.__annotations__))
    duty = torch.ones(1, 25)
    assert set(example_images(CONFIG, healthy, duty)) == {"field", "healthy"}
    assert set(example_images(CONFIG, FieldSet(whole.stacks, whole.slide, none), duty)) == {"field"}


def test_the_board_of_the_examples_is_that_of_the_phantom():
    assert design_light(CONFIG).board.digest == BOARD.digest
