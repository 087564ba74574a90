"""Crops turned, mirrored and scaled: exact where no interpolation is needed, to a fraction of a pixel elsewhere."""

import math

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError
from lsm.vision.classify import COUNT_AUGMENT, NO_AUGMENT, CropAugmentConfig, augment

FAR_PX = 4.0
"""From the middle of the crop; so near that no turn brings the spot's mirror image into the corners."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spot(n: int, *, right_px: float, down_px: float, height: int = 41, width: int = 41) -> torch.Tensor:
    """A smooth spot off the middle of each crop."""
    y, x = np.mgrid[:height, :width]
    y, x = y - (height - 1) / 2 - down_px, x - (width - 1) / 2 - right_px
    return torch.from_numpy(np.exp(-(x**2 + y**2) / 8)).float().expand(n, 1, height, width).clone()


def places(crops: torch.Tensor) -> np.ndarray:
    """(right, down) of each spot from the middle."""
    held = crops[:, 0].double().numpy()
    height, width = held.shape[1:]
    y, x = np.mgrid[:height, :width]
    total = held.sum(axis=(1, 2))
    middle = np.stack([(held * x).sum(axis=(1, 2)), (held * y).sum(axis=(1, 2))], axis=1) / total[:, None]
    return middle - np.array([(width - 1) / 2, (height - 1) / 2])


def test_nothing_asked_for_nothing_done():
    crops = torch.rand(3, 2, 7, 7)
    assert augment(crops, NO_AUGMENT, seeded()) is crops


def test_quarters_and_mirrors_only_move_pixels_and_reach_all_eight_places():
    crops = torch.arange(36.0).reshape(1, 1, 6, 6).expand(400, 1, 6, 6)
    found = augment(crops, COUNT_AUGMENT, seeded())
    assert torch.equal(found.flatten(1).sort(dim=1).values, crops.flatten(1))
    assert len({tuple(each.tolist()) for each in found.flatten(1)}) == 8
    without = augment(crops, CropAugmentConfig(turn="quarter", mirror=False, scale=(1, 1)), seeded())
    assert len({tuple(each.tolist()) for each in without.flatten(1)}) == 4


def test_oblong_crops_make_half_turns():
    crops = torch.arange(12.0).reshape(1, 1, 3, 4).expand(200, 1, 3, 4)
    found = augment(crops, COUNT_AUGMENT, seeded())
    assert found.shape == crops.shape
    assert len({tuple(each.tolist()) for each in found.flatten(1)}) == 4


def test_any_turn_keeps_the_distance_from_the_middle_and_reaches_all_directions():
    crops = spot(300, right_px=FAR_PX, down_px=0)
    found = places(augment(crops, CropAugmentConfig(turn="any", mirror=False, scale=(1, 1), sharp=0), seeded()))
    # linear interpolation of a spot of sigma 2 px
    assert np.hypot(*found.T) == pytest.approx(FAR_PX, abs=0.02)
    angle = np.arctan2(found[:, 1], found[:, 0])
    assert np.histogram(angle, bins=6, range=(-math.pi, math.pi))[0].min() > 20


@pytest.mark.parametrize("shape", [(41, 41), (61, 71)])
def test_a_turn_has_the_same_angle_along_both_sides(shape: tuple[int, int]):
    config = CropAugmentConfig(turn="any", mirror=False, scale=(1, 1), sharp=0)
    right = places(augment(spot(50, right_px=FAR_PX, down_px=0, height=shape[0], width=shape[1]), config, seeded()))
    down = places(augment(spot(50, right_px=0, down_px=FAR_PX, height=shape[0], width=shape[1]), config, seeded()))
    assert np.hypot(*right.T) == pytest.approx(FAR_PX, abs=0.02)
    # the same seed makes the same turns, so a right angle stays one
    assert (right * down).sum(axis=1) == pytest.approx(0, abs=0.2)
    # and no crop is mirrored
    assert (right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]).min() > 0


def test_half_of_the_crops_are_mirrored():
    config = CropAugmentConfig(turn="any", mirror=True, scale=(1, 1), sharp=0)
    right = places(augment(spot(400, right_px=FAR_PX, down_px=0), config, seeded()))
    down = places(augment(spot(400, right_px=0, down_px=FAR_PX), config, seeded()))
    mirrored = (right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]) < 0
    assert 140 < mirrored.sum() < 260  # six standard deviations of 400 coins


def test_scale_moves_things_outward_within_its_limits():
    config = CropAugmentConfig(turn="none", mirror=False, scale=(0.8, 1.4), sharp=0)
    found = places(augment(spot(200, right_px=6, down_px=-3), config, seeded()))
    scale = found[:, 0] / 6
    assert 0.79 < scale.min() < 0.85
    assert 1.32 < scale.max() < 1.41
    assert found[:, 1] == pytest.approx(-3 * scale, abs=0.02)


def test_a_share_of_the_crops_stays_sharp():
    crops = torch.rand(400, 1, 9, 9, generator=seeded(1))
    found = augment(crops, CropAugmentConfig(sharp=0.3), seeded())
    sharp = (found.flatten(1).sort(dim=1).values == crops.flatten(1).sort(dim=1).values).all(dim=1)
    assert 80 < sharp.sum() < 160  # four standard deviations of 400 coins
    # these too are turned
    assert (found[sharp] == crops[sharp]).flatten(1).all(dim=1).float().mean() < 0.3


def test_same_generator_same_crops():
    crops = spot(5, right_px=3, down_px=2)
    config = CropAugmentConfig()
    assert torch.equal(augment(crops, config, seeded(4)), augment(crops, config, seeded(4)))
    assert not torch.equal(augment(crops, config, seeded(4)), augment(crops, config, seeded(5)))


def test_which_augmentation_keeps_counts():
    assert COUNT_AUGMENT.keeps_counts
    assert NO_AUGMENT.keeps_counts
    assert not CropAugmentConfig().keeps_counts
    assert not CropAugmentConfig(turn="quarter").keeps_counts


def test_refuses_an_empty_range_of_scales():
    with pytest.raises(ConfigError, match="empty"):
        CropAugmentConfig.from_table({"scale": [1.2, 0.8]})
