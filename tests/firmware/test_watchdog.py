"""Silence means dark, measured on the LED lane."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wire import Wire

from lsm.led import BoardStatus
from lsm.led._constants import Command
from lsm_sim.board import NativeBoard, dark_delay_s, last_led_frame, read_led_frames

pytestmark = pytest.mark.firmware

LATE_S = 0.5  # the board looks every 2 ms; a loaded two-core machine may let it wait
EARLY_S = 0.002  # the board counts whole milliseconds

HOST = """
import sys, time
from pathlib import Path
from lsm.illum import LedBoard, bright_field
from lsm.led import LedBoardClient
from lsm_sim.board import NativeBoard
native = NativeBoard(run_dir=Path(sys.argv[1]))
board = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
client = LedBoardClient(native.open_transport(), board)
client.show(bright_field(board, na=0.1), hold_ms=100.0)
print(native.pid, time.monotonic_ns(), flush=True)
time.sleep(60)
"""


def light(wire: Wire, watchdog_ms: int | None = None):
    wire.hello()
    if watchdog_ms is not None:
        wire.ask(Command.WATCHDOG, struct.pack("<I", watchdog_ms))
    wire.ask(Command.FB_FILL, struct.pack("<HHBBB", 0, 9, 0, 50, 0))
    before_ns = time.monotonic_ns()
    wire.ask(Command.SHOW)
    return before_ns


def wait_for_dark(native: NativeBoard, timeout_s: float):
    deadline = time.monotonic() + timeout_s
    while native.lit().any() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_light_goes_out_after_the_time_set_and_status_says_so(native: NativeBoard, wire: Wire):
    shown_ns = light(wire, 200)
    wait_for_dark(native, 2.0)
    assert 0.2 - EARLY_S <= dark_delay_s(native.frames_path, shown_ns) <= 0.2 + LATE_S
    status = BoardStatus.parse(wire.ask(Command.STATUS).payload)
    assert status.dark_by_watchdog == 1
    assert status.latch == len(read_led_frames(native.frames_path))


def test_valid_frames_keep_the_light_on(native: NativeBoard, wire: Wire):
    light(wire, 300)
    for _ in range(6):
        time.sleep(0.1)
        wire.ask(Command.PING)
    assert native.lit().any()


@pytest.mark.parametrize("noise", [b"version\n", b"\0\x05damaged\0", b"\0", b"\xff"])
def test_text_and_damaged_frames_do_not_keep_the_light_on(native: NativeBoard, wire: Wire, noise: bytes):
    shown_ns = light(wire, 300)
    for _ in range(6):
        time.sleep(0.1)
        wire.send(noise)
    assert dark_delay_s(native.frames_path, shown_ns) <= 0.3 + LATE_S


def test_text_light_obeys_the_binary_watchdog_while_that_runs(native: NativeBoard, wire: Wire):
    light(wire, 200)
    wire.text("ff")
    wait_for_dark(native, 2.0)
    assert not native.lit().any()


def test_light_by_text_alone_goes_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Built with a text watchdog of 0.3 s instead of 60 s."""
    monkeypatch.setenv("CFLAGS", "-O1 -g -DLSM_TEXT_WATCHDOG_MS=300u")
    with NativeBoard(run_dir=tmp_path) as native:
        transport = native.open_transport()
        time.sleep(0.4)
        lit_ns = time.monotonic_ns()
        transport.write(b"ff\n")
        assert transport.read(2.0).endswith(b"-==-\n")
        assert native.lit().any()
        wait_for_dark(native, 2.0)
        assert 0.3 - EARLY_S <= dark_delay_s(native.frames_path, lit_ns) <= 0.3 + LATE_S
        transport.close()


def test_light_by_text_stays_on_longer_than_the_binary_watchdog(native: NativeBoard, wire: Wire):
    wire.text("ff")
    time.sleep(2.2)
    assert native.lit().any()


def test_a_killed_host_leaves_the_board_dark_and_then_the_board_ends(tmp_path: Path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    host = subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
    assert host.stdout is not None
    line = host.stdout.readline().split()
    board_pid, shown_ns = int(line[0]), int(line[1])
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    assert last_led_frame(tmp_path / "frames.bin")[1].any()
    assert is_running(board_pid)
    deadline = time.monotonic() + 8.0
    while is_running(board_pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    ended_ns = time.monotonic_ns()
    assert not is_running(board_pid)
    delay_s = dark_delay_s(tmp_path / "frames.bin", shown_ns)
    assert delay_s <= 2.0 + LATE_S
    assert 0.9 <= (ended_ns - shown_ns) / 1e9 - delay_s <= 1.0 + 2 * LATE_S
    assert not (tmp_path / "port").exists()


def is_running(pid: int):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
