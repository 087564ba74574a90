"""What a burst is on rigs of every kind."""

import numpy as np
import pytest

from lsm.devices import Burst, BurstMicroscope, Observe, observe_all
from lsm.errors import CameraError, WrongFormat
from lsm.illum import LedBoard, bright_field, single_led
from lsm.scope import MicroManagerMicroscope, connect
from lsm.scope.rig import Trigger
from scope.fakes import BOARD, FakeCore, FakeLight, make_rig
from scope.painted import WIRED, Painted, asked, lit_in


@pytest.mark.firmware
def test_light_above_the_current_limit_is_scaled_alike_and_told():
    weak = WIRED.model_copy(update={"led": WIRED.led.model_copy(update={"limit_ma": 100})})
    with connect(weak, renderer=Painted()) as scope:
        frames = scope.burst(Burst((bright_field(scope.board, na=0.1), single_led(scope.board, 84)), 2.0))
    assert all(frame.shown.limited for frame in frames)
    strongest = [int(frame.shown.levels.max()) for frame in frames]
    assert strongest[0] == strongest[1] < 255
    assert [int(frame.image[0, 84]) for frame in frames] == [200 * level for level in strongest]


@pytest.mark.firmware
@pytest.mark.parametrize("trigger", [Trigger(), Trigger(input=0), Trigger(output=0)])
def test_a_rig_without_both_wires_takes_its_bursts_one_by_one(trigger: Trigger):
    with connect(WIRED.model_copy(update={"trigger": trigger}), renderer=Painted()) as scope:
        frames = observe_all(scope, Burst(tuple(single_led(scope.board, led) for led in (3, 84, 5)), 2.0))
    assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames] == [[3], [84], [5]]
    assert {frame.metadata["burst"] for frame in frames} == {"software"}


@pytest.mark.firmware
def test_trigger_settings_that_the_camera_refuses_are_an_error_and_put_back():
    settings = [["Camera", "TriggerMode", "External"], ["Camera", "TriggerMode", "Sideways"]]
    trigger = Trigger.model_validate({"input": 1, "output": 0, "camera_properties": settings})
    with connect(WIRED.model_copy(update={"trigger": trigger}), renderer=Painted()) as scope:
        with pytest.raises(CameraError, match="Sideways"):
            scope.burst(Burst((single_led(scope.board, 3), single_led(scope.board, 84)), 2.0))
        assert lit_in(scope.observe(Observe(single_led(scope.board, 84), 2.0))) == [84]


@pytest.mark.parametrize("output", [None, 0])
def test_a_board_that_stores_no_patterns_takes_bursts_one_by_one(output: int | None):
    diary: list[str] = []
    microscope = MicroManagerMicroscope(
        FakeCore(diary), FakeLight(diary), make_rig(trigger={"input": 0} | ({} if output is None else {"output": 0}))
    )
    frames = microscope.burst(Burst((single_led(BOARD, 0), single_led(BOARD, 8)), 2.0, (10.0, 20.0)))
    assert isinstance(microscope, BurstMicroscope)
    assert diary == ["move xy", "wait XY", "show", "snap", "dark", "show", "snap", "dark"]
    assert [frame.metadata["burst"] for frame in frames] == ["software", "software"]
    assert [np.flatnonzero(frame.shown.levels.any(axis=1)).tolist() for frame in frames] == [[0], [8]]


def test_a_burst_that_cannot_be_is_refused_before_anything_moves():
    diary: list[str] = []
    microscope = MicroManagerMicroscope(FakeCore(diary), FakeLight(diary), make_rig())
    other = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(WrongFormat, match="no patterns"):
        microscope.burst(Burst((), 2.0))
    with pytest.raises(WrongFormat, match="another board"):
        microscope.burst(Burst((single_led(BOARD, 0), single_led(other, 0)), 2.0, (10.0, 20.0)))
    assert diary == []
