"""A simulated world whose stage is not where its devices say."""

from typing import Any

import numpy as np
import torch

from lsm.devices import Observe
from lsm.illum import LedBoard, dark
from lsm.optics.stage import AxisErrors, StageErrors
from lsm.types import DutyLevels, Image
from lsm_sim.world import World

START = (100.0, 100.0)


class Diary:
    """A Renderer that notes where it is asked to look."""

    def __init__(self) -> None:
        self.prepared: list[tuple[float, float, float]] = []
        self.noise: list[float] = []
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
        self.noise.append(float(torch.rand(1, generator=generator)))
        return np.zeros((2, 2), np.uint16)


def world(diary: Diary, stage: StageErrors | None, **start: Any) -> World:
    options = {"xy_um": START, "seed": 3, "repeatability_um": 0.5} | start
    return World(diary, lambda: np.zeros((1, 3), np.uint8), stage=stage, **options)


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


WORN = StageErrors(
    xy=AxisErrors(repeatability_um=0.3, backlash_um=4.0),
    z=AxisErrors(repeatability_um=0.1, backlash_um=1.0),
    z_drift_um_per_min=30.0,
    z_walk_um_per_sqrt_min=2.0,
    move_ms=70.0,
    wait_ms=30.0,
)
DARK = dark(LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0))
RUN = [
    Observe(DARK, 10.0, START, 0.0),
    Observe(DARK, 10.0, (50.0, 60.0), 2.0),
    Observe(DARK, 10.0, (50.0, 60.0), 2.0),
    Observe(DARK, 250.0, (80.0, 60.0), 1.0),
    Observe(DARK, 20.0, (40.0, 90.0)),
    Observe(DARK, 20.0, None, 5.0),
]


def carry_out(world: World, requests: list[Observe]) -> None:
    for request in requests:
        if request.xy_um is not None:
            world.move_xy(*request.xy_um)
        if request.z_um is not None:
            world.move_z(request.z_um)
        world.expose(request.exposure_ms)


def test_a_run_that_goes_on_has_the_noise_and_the_play_of_the_whole():
    whole, rest = Diary(), Diary()
    uninterrupted, resumed = world(whole, None), world(rest, None)
    carry_out(uninterrupted, RUN[:3])
    resumed.relive(RUN[:3])
    assert (uninterrupted.exposures, uninterrupted.moves) == (resumed.exposures, resumed.moves) == (3, 2)
    carry_out(uninterrupted, RUN[3:])
    # a program that has just started commands the place where the stage stands already
    resumed.move_xy(50.0, 60.0)
    carry_out(resumed, RUN[3:])
    assert (rest.seen, rest.noise) == (whole.seen[3:], whole.noise[3:])


def test_a_run_that_is_relived_goes_on_with_its_drift_and_backlash():
    whole, rest = Diary(), Diary()
    carry_out(world(whole, WORN), RUN)
    resumed = world(rest, WORN)
    resumed.relive(RUN[:4])
    assert rest.prepared == rest.seen == []
    carry_out(resumed, RUN[4:])
    assert (rest.seen, rest.noise) == (whole.seen[4:], whole.noise[4:])


def test_the_noise_of_an_exposure_is_its_own_and_follows_the_seed():
    one, other = Diary(), Diary()
    carry_out(world(one, None), RUN)
    carry_out(world(other, None, seed=4), RUN)
    assert len({*one.noise, *other.noise}) == 2 * len(RUN)


def test_a_stage_stays_where_it_stands_near_enough():
    still = world(Diary(), None)
    still.move_xy(50.0, 60.0)
    there = still.xy_um
    still.move_xy(50.0, 60.0)
    assert (still.xy_um, still.moves) == (there, 1)
