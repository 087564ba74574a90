"""Simulated rigs from start to end: what they are given, how they end, and what a death leaves lit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lsm.devices import Microscope, Observe
from lsm.errors import IlluminatorTimeout
from lsm.illum import bright_field, dark, single_led
from lsm.safety import Interlock
from lsm.scope import RigConfig, connect, find_rig
from lsm.types import DutyLevels, Transmission
from lsm_sim.board import NativeBoard, dark_delay_s, read_led_frames
from lsm_sim.rig import SimulatedMicroscope

pytestmark = pytest.mark.firmware

OFFSET_ADU = 20.0
RIG = RigConfig.from_file(find_rig("simulated"))


def native_board(scope: Interlock) -> NativeBoard:
    assert isinstance(scope.microscope, SimulatedMicroscope)
    return scope.microscope.native_board


class OpaqueSlide:
    """A Smear through which no light passes."""

    extent_um = (2304.0, 1382.4)

    def transmission(
        self, *, x_um: float, y_um: float, n_px: int, pixel_um: float, wavelength_um: float
    ) -> Transmission:
        return np.zeros((n_px, n_px), np.complex64)

    def truth(self) -> None:
        raise AssertionError("nothing that observes may ask for the truth")


def test_the_sample_comes_from_outside_and_everything_is_released():
    with connect(RIG, sample=OpaqueSlide()) as scope:
        assert isinstance(scope.microscope, Microscope)
        board = native_board(scope)
        frame = scope.observe(Observe(bright_field(scope.board, na=0.1), 2.0, (600.0, 600.0)))
        assert frame.shown.levels.any()
        assert frame.image.mean() == pytest.approx(OFFSET_ADU, abs=0.1)
    scope.close()
    assert not board.running
    assert not board.frames_path.exists()


class Grey:
    """A Renderer that needs no time: the same light everywhere."""

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        pass

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> np.ndarray:
        noise = torch.rand(192, 192, generator=generator).numpy()
        return (levels.sum(dtype=int) * exposure_ms / 255 + 10 * noise).astype(np.uint16)


def test_the_same_seed_gives_the_same_run():
    def run(seed: int) -> list[tuple[tuple[float, float], bytes]]:
        with connect(RIG, renderer=Grey(), seed=seed) as scope:
            frames = [scope.observe(Observe(dark(scope.board), 1.0, (x, 50.0))) for x in (10.0, 20.0)]
            return [(frame.xy_um, frame.image.tobytes()) for frame in frames]

    first = run(4)
    assert run(4) == first
    assert run(5) != first


def test_a_shutter_is_opened_for_the_image_and_closed_after_it():
    """Micro-Manager's autoshutter leaves it closed, and the image dark."""
    assert RIG.simulator is not None
    options = {**RIG.simulator.options, "shutter": True}
    rig = RIG.model_copy(update={"simulator": RIG.simulator.model_copy(update={"options": options})})
    with connect(rig, renderer=Grey()) as scope:
        frame = scope.observe(Observe(bright_field(scope.board, na=0.1), 50.0))
        # nine LEDs at full duty for 50 ms give 450, the dark at most 10
        assert frame.image.mean() > 400
        assert isinstance(scope.microscope, SimulatedMicroscope)
        assert scope.microscope.world is not None
        assert not scope.microscope.world.shutter_open


def test_a_board_that_dies_is_an_error_within_seconds():
    with connect(RIG, renderer=Grey()) as scope:
        scope.observe(Observe(single_led(scope.board, 84), 1.0))
        os.kill(native_board(scope).pid, signal.SIGKILL)
        started_s = time.monotonic()
        with pytest.raises(IlluminatorTimeout):
            scope.observe(Observe(single_led(scope.board, 84), 1.0))
        # the client's patience: a few tries of half a second, twice
        assert time.monotonic() - started_s < 8.0


HOST = """
import sys
from pathlib import Path
from lsm.devices import Observe
from lsm.illum import single_led
from lsm.led import LedBoardClient
from lsm.scope import RigConfig, find_rig, open_microscope
from lsm_sim.board import NativeBoard
board = NativeBoard(run_dir=Path(sys.argv[1]))
rig = RigConfig.from_file(find_rig("demo_camera"))
scope = open_microscope(rig, LedBoardClient(board.open_transport(), rig.led.board.build()))
scope.observe(Observe(single_led(scope.board, 84), float(sys.argv[2])))
"""


@pytest.mark.parametrize(("exposure_ms", "lit_for_s"), [(1000.0, 0.0), (10_000.0, 2.5)])
def test_the_leds_go_dark_when_the_host_is_killed_during_an_exposure(
    tmp_path: Path, exposure_ms: float, lit_for_s: float
):
    """Seen in what the board emitted: lit when the host died, dark within the watchdog's 2 s."""
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path), str(exposure_ms)])
    log = tmp_path / "frames.bin"
    try:
        lit = wait_until(
            lambda: log.exists() and bool(read_led_frames(log)) and read_led_frames(log)[-1][1].any(), 60.0
        )
        # a board that heard nothing for so long would be dark
        time.sleep(lit_for_s)
        lit = lit and bool(read_led_frames(log)[-1][1].any())
    finally:
        host.kill()
    killed_ns = time.monotonic_ns()
    host.wait()
    assert lit
    assert wait_until(lambda: dark_delay_s(log, killed_ns) < 60.0, 10.0)
    # 2 s after the last byte, and a loaded computer
    assert dark_delay_s(log, killed_ns) < 2.5


def wait_until(is_so: Callable[[], bool], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    while not is_so() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return is_so()
