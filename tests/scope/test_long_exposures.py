"""Exposures through which a board would have to stay lit for longer than it may."""

from collections.abc import Iterator

import pytest

from lsm.devices import Burst, Illuminator, Observe
from lsm.errors import LimitExceeded
from lsm.illum import single_led
from lsm.led import IlluminateClient, LedBoardClient
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect
from lsm_sim.board import Board, read_led_frames
from lsm_sim.illuminate_board import EmulatedBoard
from lsm_sim.illuminate_firmware import Lamps
from lsm_sim.illuminate_v2 import FirmwareV2
from lsm_sim.rig import SimulatedMicroscope
from scope.painted import WIRED, Painted, asked, lit_in

pytestmark = pytest.mark.firmware

LIMITS = WIRED.limits.model_copy(update={"exposure_ms": (0.05, 1e5), "capture_dose_led_ms": 1e6})
PATIENT = WIRED.model_copy(update={"limits": LIMITS})
HERE = (600.0, 500.0)


def held_ms_more(rig: RigConfig, margin_ms: float) -> RigConfig:
    return rig.model_copy(update={"led": rig.led.model_copy(update={"hold_margin_ms": margin_ms})})


@pytest.fixture(params=["another firmware", "a long margin"])
def refusing(request: pytest.FixtureRequest) -> Iterator[tuple[Interlock, float]]:
    """A rig and the longest exposure that its board holds."""
    geometry = PATIENT.led.board.build()
    with EmulatedBoard(FirmwareV2(Lamps(geometry))) as emulated:

        def light(board: Board) -> Illuminator:
            if request.param == "another firmware":
                return IlluminateClient(emulated.open_transport(), geometry)
            return LedBoardClient(board.open_transport(), geometry)

        margin_ms = 500.0 if request.param == "another firmware" else 59_000.0
        with connect(held_ms_more(PATIENT, margin_ms), renderer=Painted(), light=light) as scope:
            yield scope, 60_000.0 - margin_ms


def test_one_too_long_for_the_board_moves_lights_and_costs_nothing(refusing: tuple[Interlock, float]):
    scope, longest_ms = refusing
    assert isinstance(scope.microscope, SimulatedMicroscope)
    world = scope.microscope.world
    assert world is not None
    pattern = single_led(scope.board, 84)
    spent, lit = scope.spent_led_ms, len(read_led_frames(scope.microscope.native_board.frames_path))
    for exposure_ms in (longest_ms + 1, longest_ms + 100):
        with pytest.raises(LimitExceeded, match="allows 60000 ms"):
            scope.observe(Observe(pattern, exposure_ms, HERE, 1.0))
        with pytest.raises(LimitExceeded, match="allows 60000 ms"):
            scope.burst(Burst((pattern, pattern), exposure_ms, HERE, 1.0))
    assert (world.moves, world.exposures, scope.spent_led_ms) == (0, 0, spent)
    assert len(read_led_frames(scope.microscope.native_board.frames_path)) == lit
    # the simulated camera takes no time for it
    assert scope.observe(Observe(pattern, longest_ms, HERE, 1.0)).exposure_ms == longest_ms
    assert (world.moves, scope.spent_led_ms) == (2, longest_ms)


def test_a_burst_too_long_for_a_dead_host_goes_frame_by_frame():
    with connect(PATIENT, renderer=Painted()) as scope:
        patterns = tuple(single_led(scope.board, led) for led in (3, 5))
        short, long = (scope.burst(Burst(patterns, exposure_ms, HERE)) for exposure_ms in (1000.0, 1700.0))
    assert {frame.metadata["burst"] for frame in short} == {"hardware"}
    assert {frame.metadata["burst"] for frame in long} == {"software"}
    assert [lit_in(frame) for frame in long] == [asked(frame) for frame in long]
