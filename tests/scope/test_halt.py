"""Somebody presses stop: dark and still, whatever is under way, until it is released."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from lsm.devices import Burst, HaltingMicroscope, Observe
from lsm.errors import Halted, StageError
from lsm.illum import bright_field
from lsm.safety import Interlock
from lsm.scope import MicroManagerMicroscope, RigConfig, connect, find_rig
from lsm_sim.board import read_led_frames
from lsm_sim.rig import SimulatedMicroscope
from scope.fakes import BOARD, FakeCore, FakeLight, make_rig
from scope.painted import Painted

PATTERN = bright_field(BOARD, na=0.1)
DARK_WITHIN_S = 0.2
"""What an operator is promised."""


class Bench:
    """A guarded microscope of fakes, and the diary of what they did."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.core = FakeCore(self.diary)
        rig = make_rig()
        self.scope = Interlock(MicroManagerMicroscope(self.core, FakeLight(self.diary), rig), rig.limits)

    def halted_during(self, step: str, request: Observe) -> list[str]:
        """Press stop while `step` is under way; what the devices did afterwards."""

        def press() -> None:
            del self.core.during[step]
            thread = threading.Thread(target=self.scope.halt)
            thread.start()
            thread.join(5.0)
            assert not thread.is_alive()
            self.diary.append("halted")

        self.core.during[step] = press
        with pytest.raises(Halted):
            self.scope.observe(request)
        return self.diary[self.diary.index("halted") + 1 :]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.core.released.set()
    bench.scope.close()


def test_the_light_goes_out_in_mid_exposure_and_the_drives_are_told_to_stop(bench: Bench):
    assert isinstance(bench.scope.microscope, HaltingMicroscope)
    after = bench.halted_during("snap", Observe(PATTERN, 2.0))
    assert [entry for entry in bench.diary if entry.startswith("stop")] == ["stop XY", "stop Z"]
    # the capture that was under way puts it out once more, and is not repeated
    assert set(after) == {"dark"}


@pytest.mark.parametrize("step", ["move xy", "wait XY"])
def test_nothing_moves_or_shines_after_a_stop_in_mid_move(bench: Bench, step: str):
    after = bench.halted_during(step, Observe(PATTERN, 2.0, (50.0, 50.0), 3.0))
    assert not {"move xy", "move z", "show", "snap"} & set(after)


def test_what_is_asked_afterwards_reaches_no_device_until_it_is_released(bench: Bench):
    bench.halted_during("snap", Observe(PATTERN, 2.0))
    before = list(bench.diary)
    assert bench.scope.halted
    for request in (Observe(PATTERN, 2.0), Observe(PATTERN, 2.0, (1.0, 1.0), 0.0)):
        with pytest.raises(Halted):
            bench.scope.observe(request)
    with pytest.raises(Halted):
        bench.scope.burst(Burst((PATTERN, PATTERN), 2.0))
    assert bench.diary == before
    bench.scope.release()
    assert bench.diary == before
    assert bench.scope.observe(Observe(PATTERN, 2.0, (1.0, 1.0))).shown.levels.any()


def test_it_is_halted_also_where_a_drive_does_not_answer(bench: Bench):
    bench.core.during["stop XY"] = bench.core.hang
    with pytest.raises(StageError):
        bench.scope.halt()
    assert bench.diary[0] == "dark"
    with pytest.raises(Halted):
        bench.scope.observe(Observe(PATTERN, 2.0))


@pytest.mark.firmware
def test_the_firmware_is_dark_in_time_in_mid_exposure():
    rig = RigConfig.from_file(find_rig("simulated"))
    options = rig.simulator.options | {"exposure_takes_time": True} if rig.simulator else {}
    slow = rig.model_copy(update={"simulator": rig.simulator.model_copy(update={"options": options})})
    with connect(slow, renderer=Painted()) as scope:
        raised: list[type[BaseException]] = []

        def observe() -> None:
            try:
                scope.observe(Observe(bright_field(scope.board, na=0.1), 500.0))
            except Halted as error:
                raised.append(type(error))

        simulated = scope.microscope
        assert isinstance(simulated, SimulatedMicroscope)
        path = simulated.native_board.frames_path
        capture = threading.Thread(target=observe)
        capture.start()
        while not simulated.native_board.lit().any():
            time.sleep(0.005)
        pressed_ns = time.monotonic_ns()
        scope.halt()
        capture.join()
        frames = read_led_frames(path)
    assert raised == [Halted]
    lit_ns = [t_ns for t_ns, levels in frames if levels.any()]
    dark_ns = [t_ns for t_ns, levels in frames if not levels.any() and t_ns > lit_ns[-1]]
    assert (dark_ns[0] - pressed_ns) / 1e9 < DARK_WITHIN_S
    assert not np.any(frames[-1][1])
