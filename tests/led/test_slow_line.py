"""Lines with latency, late answers and floods of damage: the right answer, or none."""

import threading
import time
from collections import deque

import numpy as np
import pytest
from lines import DisturbedLine, flipped, once

from lsm.errors import IlluminatorTimeout
from lsm.illum import LedBoard, bright_field, single_led
from lsm.led import LedBoardClient
from lsm.led._constants import Command
from lsm.led._link import Link
from lsm.led.transport import Transport
from lsm_sim.board import NativeBoard, read_led_frames

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
CENTRE = bright_field(BOARD, na=0.1)


class LateLine:
    """Every answer takes `late_s` longer."""

    def __init__(self, transport: Transport, late_s: float) -> None:
        self.late_s = late_s
        self._transport = transport
        self._held: deque[tuple[float, bytes]] = deque()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._transport.name

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def read(self, timeout_s: float) -> bytes:
        end = time.monotonic() + timeout_s
        while True:
            if data := self._transport.read(0.0):
                self._held.append((time.monotonic() + self.late_s, data))
            if self._held and self._held[0][0] <= time.monotonic():
                return self._held.popleft()[1]
            if time.monotonic() >= end:
                return b""
            time.sleep(0.001)

    def reopen(self) -> None:
        self._held.clear()
        self._transport.reopen()

    def close(self) -> None:
        self._transport.close()


@pytest.mark.parametrize("late_s", [0.016, 0.021, 0.1, 0.3])
def test_a_line_with_latency_can_be_opened_and_used(native: NativeBoard, late_s: float):
    with LedBoardClient(LateLine(native.open_transport(), late_s), BOARD) as client:
        shown = client.show(CENTRE, hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), CENTRE.levels)
        assert client.still_lit(shown)
        assert client.text("version").count(".") == 2


def test_an_answer_that_comes_after_its_time_is_never_taken_for_the_next(native: NativeBoard):
    line = LateLine(native.open_transport(), 0.0)
    with LedBoardClient(line, BOARD, retries=0) as client:
        line.late_s = 0.7
        with pytest.raises(IlluminatorTimeout):
            client.text("about")
        line.late_s = 0.0
        assert client.text("version").count(".") == 2
        assert client.text("na") == "NA.10"


def test_what_an_earlier_program_did_not_end_is_not_obeyed(native: NativeBoard):
    for unfinished in (b"ff", b"l.1", b"bf"):
        transport = native.open_transport()
        transport.write(unfinished)
        time.sleep(0.05)
        transport.close()
        with LedBoardClient(native.open_transport(), BOARD):
            pass
    assert not any(levels.any() for _, levels in read_led_frames(native.frames_path))


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_damaged_piece_of_a_sparse_pattern_costs_no_light(native: NativeBoard, nth: int):
    """FB_FILL that is repeated behind FB_SPARSE clears it: all of it is sent again."""
    line = DisturbedLine(native.open_transport())
    with LedBoardClient(line, BOARD) as client:
        line.write_filter = once(flipped, nth=nth)
        pattern = single_led(BOARD, 9)
        client.show(pattern, hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), pattern.levels)


def test_bursts_of_damage_do_not_use_up_the_patience(native: NativeBoard):
    line = DisturbedLine(native.open_transport())
    with LedBoardClient(line, BOARD) as client:
        noise_until = time.monotonic() + 0.5
        line.write_filter = lambda data: flipped(data) if time.monotonic() < noise_until else data
        client.show(CENTRE, hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), CENTRE.levels)


class Recorder:
    """A transport without a board: notes what is written and answers what it is told to."""

    name = "nowhere"

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def read(self, timeout_s: float) -> bytes:
        time.sleep(min(timeout_s, 0.005))
        return b""

    def reopen(self) -> None: ...

    def close(self) -> None: ...


def test_numbers_in_flight_stay_within_what_the_board_remembers():
    recorder = Recorder()
    link = Link(recorder, reply_s=0.02, retries=1)
    link.rx_window = 10**6
    with pytest.raises(IlluminatorTimeout):
        link.call_all([(Command.PING, bytes([i])) for i in range(40)])
    frames = [frame for data in recorder.written for frame in data.strip(b"\0").split(b"\0\0")]
    assert len({frame[:4] for frame in frames}) == 8
