"""A simulated world whose stage is not where its devices say."""

import numpy as np
import torch

from lsm.optics.stage import AxisErrors, StageErrors
from lsm.types import DutyLevels, Image
from lsm_sim.world import World

START = (100.0, 100.0)


class Diary:
    """A Renderer that notes where it is asked to look."""

    def __init__(self) -> None:
        self.prepared: list[tuple[float, float, float]] = []
        self.seen: list[tuple[float, float, float]] = []

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        self.prepared.append((*xy_um, z_um))

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        self.seen.append((*xy_um, z_um))
        return np.zeros((2, 2), np.uint16)


def world(diary: Diary, stage: StageErrors | None) -> World:
    return World(diary, lambda: np.zeros((1, 3), np.uint8), xy_um=START, seed=3, repeatability_um=0.5, stage=stage)


def test_without_errors_the_camera_looks_where_the_stage_says():
    diary = Diary()
    plain = world(diary, None)
    plain.move_xy(50.0, 60.0)
    plain.move_z(2.0)
    plain.expose(10.0)
    assert diary.seen == [(*plain.xy_um, plain.z_um)] == diary.prepared[1:]


def test_backlash_and_drift_are_seen_and_not_reported():
    diary = Diary()
    stage = StageErrors(xy=AxisErrors(backlash_um=4.0), z_drift_um_per_min=60.0)
    worn = world(diary, stage)
    worn.move_xy(50.0, 60.0)
    worn.expose(1000.0)
    (x_um, y_um, z_um) = diary.seen[0]
    assert (x_um, y_um) == (worn.xy_um[0] + 4.0, worn.xy_um[1] + 4.0)
    # a micrometre each second
    assert (round(z_um, 9), worn.z_um) == (1.0, 0.0)


def test_an_early_picture_is_displaced_and_a_late_one_is_not():
    axis = AxisErrors(ringing_um=5.0, settling_ms=20.0)
    off_um = []
    for wait_ms in (0.0, 300.0):
        diary = Diary()
        soft = world(diary, StageErrors(xy=axis, wait_ms=wait_ms))
        soft.move_xy(150.0, 100.0)
        soft.expose(20.0)
        off_um.append(soft.xy_um[0] - diary.seen[0][0])
    # the mean over one time constant: 5 (1 - 1/e); in twelve steps good to a thousandth
    np.testing.assert_allclose(off_um, [5 * (1 - np.exp(-1.0)), 0.0], atol=0.005)
