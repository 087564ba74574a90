"""The twin, and the same optics behind Micro-Manager's core and the firmware, give the same frames."""

from typing import Any

import numpy as np
import pytest

from lsm.devices import Frame, Microscope, Observe
from lsm.illum import bright_field, dark, dark_field, single_led
from lsm.optics import AxisErrors, ImagingSystem, StageErrors
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.scope import RigConfig, connect, find_rig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

pytestmark = pytest.mark.firmware

SMEAR = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 0)
SIDE_PX, MARGIN_PX = 256, 8
# what swings while the shutter is open is blurred in the twin and seen at its mean place in the simulated world
STAGE = StageErrors(
    xy=AxisErrors(repeatability_um=0.4, backlash_um=3.0),
    z=AxisErrors(repeatability_um=0.1, backlash_um=1.0),
    z_drift_um_per_min=300.0,
    z_walk_um_per_sqrt_min=10.0,
    move_ms=80.0,
    wait_ms=40.0,
)
SEED = 7


def make_rig(stage: StageErrors | None) -> RigConfig:
    options: dict[str, Any] = {
        "sample_px": SIDE_PX,
        "margin_px": MARGIN_PX,
        "repeatability_um": 0.0,
        "stage": stage,
    }
    return RigConfig.from_file(
        find_rig("simulated"),
        led={"board": {"rows": 5, "columns": 5, "pitch_mm": 4.0}},
        camera={"pixel_um": 4.8, "shape_px": [48, 48]},
        limits={"x_um": [0, 300], "y_um": [0, 200], "z_um": [-10, 10]},
        simulator={"entry": "simulated", "options": options},
    )


def requests(microscope: Microscope) -> list[Observe]:
    board = microscope.board
    bright, oblique = bright_field(board, na=0.1), dark_field(board, na=0.1)
    return [
        Observe(bright, 10.0),
        Observe(bright, 10.0, (120.0, 90.0), 2.0),
        Observe(dark(board), 5.0, (120.0, 90.0)),
        Observe(single_led(board, 7), 40.0, (150.0, 110.0), -1.0),
        Observe(oblique, 100.0, (140.0, 100.0)),
        Observe(bright, 10.0, z_um=1.5),
    ]


def take(microscope: Microscope, skip: int = 0) -> list[Frame]:
    return [microscope.observe(request) for request in requests(microscope)[skip:]]


def same(one: list[Frame], other: list[Frame]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.image, b.image)
        and np.array_equal(a.shown.levels, b.shown.levels)
        and (a.xy_um, a.z_um) == (b.xy_um, b.z_um)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("stage", [None, STAGE], ids=["perfect stage", "worn stage"])
def test_twin_and_simulated_rig_agree_to_the_bit(stage: StageErrors | None):
    rig = make_rig(stage)
    twin = Twin(
        SMEAR,
        TwinConfig(
            system=ImagingSystem(sample_px=SIDE_PX, margin_px=MARGIN_PX),
            led_board=GridBoardConfig(rows=5, columns=5, pitch_mm=4.0),
            stage=stage,
        ),
        SEED,
    )
    expected = take(twin)
    with connect(rig, sample=SMEAR, seed=SEED) as scope:
        frames = take(scope)
    assert same(frames, expected)
    with connect(rig, sample=SMEAR, seed=SEED + 1) as scope:
        assert not same(take(scope), expected)


def test_a_simulated_run_goes_on_to_the_bit():
    rig = make_rig(None)
    with connect(rig, sample=SMEAR, seed=SEED) as scope:
        whole = take(scope)
        past = requests(scope)[:4]
    with connect(rig, sample=SMEAR, seed=SEED, history=past) as scope:
        rest = take(scope, skip=4)
    assert same(rest, whole[4:])
