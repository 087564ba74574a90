"""The simulated board's housekeeping."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from lsm.errors import DeviceError, ToolMissing, WrongFormat
from lsm.illum import LedBoard
from lsm.led import Decoder, LedBoardClient
from lsm.led._constants import PROTOCOL_VERSION, Command
from lsm.led.protocol import crc16, encode_request
from lsm_sim import _build
from lsm_sim._build import build_board, firmware_folder
from lsm_sim.board import (
    HEADER,
    NativeBoard,
    dark_delay_s,
    decode_apa102,
    last_led_frame,
    read_executed,
    read_led_frames,
)


@pytest.mark.parametrize("missing", ["make", "cc"])
def test_a_missing_tool_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str):
    present = tmp_path / "bin"
    present.mkdir()
    for name in {"make", "cc"} - {missing}:
        (present / name).write_text("#!/bin/sh\n")
        (present / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(present))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(ToolMissing, match=f"'{missing}'.*apt-get install gcc libc6-dev make"):
        NativeBoard(build_dir=tmp_path)


@pytest.mark.firmware
def test_a_compiler_that_refuses_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: NativeBoard):
    monkeypatch.setenv("CFLAGS", "-DLSM_MAX_LEDS=nonsense")
    with pytest.raises(DeviceError, match="'make native' failed"):
        build_board(build_dir=tmp_path)
    assert not list(tmp_path.glob("lsm-board-*"))


@pytest.mark.firmware
def test_the_program_is_compiled_once(native: NativeBoard):
    first = build_board()
    built_ns = first.stat().st_mtime_ns
    assert build_board() == first
    assert first.stat().st_mtime_ns == built_ns


def test_the_sources_are_found_in_a_checkout():
    assert (firmware_folder() / "core" / "core.c").is_file()


@pytest.mark.firmware
def test_the_board_has_the_geometry_it_was_given(tmp_path: Path):
    board = LedBoard.grid(rows=4, columns=7, pitch_mm=2.5, distance_mm=60.0)
    with (
        NativeBoard(rows=4, columns=7, pitch_mm=2.5, distance_mm=60.0, run_dir=tmp_path) as native,
        LedBoardClient(native.open_transport(), board) as client,
    ):
        np.testing.assert_allclose(client.read_geometry(), board.positions_mm, atol=1e-3)  # whole micrometres
        assert native.lit().shape == (28, 3)
        assert native.n_leds == 28


@pytest.mark.firmware
def test_too_many_leds_are_refused(tmp_path: Path, native: NativeBoard):
    with pytest.raises(DeviceError, match="more LEDs"):
        NativeBoard(rows=100, columns=100, run_dir=tmp_path)


@pytest.mark.firmware
def test_the_time_of_a_latch_is_pythons_monotonic_clock(native: NativeBoard):
    before_ns = time.monotonic_ns()
    transport = native.open_transport()
    transport.write(b"l.3\n")
    assert transport.read(2.0)
    after_ns = time.monotonic_ns()
    latched_ns, levels = last_led_frame(native.frames_path)
    assert before_ns < latched_ns < after_ns
    assert levels[3].any()
    transport.close()


@pytest.mark.firmware
def test_switching_off_leaves_the_last_frame_dark_and_nothing_behind(tmp_path: Path):
    native = NativeBoard(run_dir=tmp_path)
    transport = native.open_transport()
    transport.write(b"ff\n")
    assert transport.read(2.0)
    transport.close()
    native.close()
    native.close()
    assert not native.running
    assert not (tmp_path / "port").exists()
    assert not last_led_frame(tmp_path / "frames.bin")[1].any()


@pytest.mark.firmware
def test_a_temporary_folder_is_removed():
    with NativeBoard() as native:
        folder = native.frames_path.parent
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.firmware
def test_a_log_cut_anywhere_gives_its_whole_frames(native: NativeBoard, tmp_path: Path):
    transport = native.open_transport()
    for line in (b"l.1\n", b"l.2\n"):
        transport.write(line)
        assert transport.read(2.0)
    transport.close()
    data = native.frames_path.read_bytes()
    whole = read_led_frames(native.frames_path)
    size = len(data) // 3
    cut = tmp_path / "cut"
    for length in range(size, len(data), 97):
        cut.write_bytes(data[:length])
        frames = read_led_frames(cut)
        assert len(frames) == length // size
        assert last_led_frame(cut)[0] == frames[-1][0] == whole[length // size - 1][0]
    assert dark_delay_s(native.frames_path, whole[1][0]) == float("inf")


@pytest.mark.firmware
@pytest.mark.parametrize("count", [0, 200, 20_000])
def test_the_last_frame_is_found_behind_any_number_of_trigger_records(native: NativeBoard, tmp_path: Path, count: int):
    frame = native.frames_path.read_bytes()
    edge = HEADER.pack(b"LSMT", 1, 2) + b"\0\1"
    log = tmp_path / "log"
    for before in (b"", frame, edge):
        log.write_bytes(before + frame + edge * count)
        t_ns, levels = last_led_frame(log)
        assert t_ns == read_led_frames(native.frames_path)[0][0]
        assert levels.shape == (169, 3)
    log.write_bytes(edge * count)
    with pytest.raises(WrongFormat):
        last_led_frame(log)


@pytest.mark.firmware
def test_executed_requests_are_logged_where_asked(tmp_path: Path):
    """A request that is repeated is answered again and not executed again."""
    bodies = [bytes([7, Command.HELLO, PROTOCOL_VERSION]), bytes([8, Command.WATCHDOG]) + (500).to_bytes(4, "little")]
    with NativeBoard(run_dir=tmp_path, trace=True) as native:
        transport, decoder = native.open_transport(), Decoder()
        for body in (bodies[0], bodies[1], bodies[1]):
            transport.write(encode_request(body[0], Command(body[1]), body[2:]))
            assert decoder.feed(transport.read(5.0))
        transport.close()
        executed = read_executed(native.frames_path)
        assert [entry[1:] for entry in executed] == [(body[0], body[1], crc16(body)) for body in bodies]
        assert executed[0][0] < executed[1][0] < native.now_ns()
        assert native.lit().shape == (169, 3)
        assert len(read_led_frames(native.frames_path)) > 0


@pytest.mark.firmware
def test_requests_are_not_logged_otherwise(native: NativeBoard):
    transport = native.open_transport()
    transport.write(encode_request(1, Command.HELLO, bytes([PROTOCOL_VERSION])))
    assert transport.read(5.0)
    transport.close()
    assert read_executed(native.frames_path) == []


@pytest.mark.firmware
def test_a_board_that_died_takes_no_edges(native: NativeBoard):
    os.kill(native.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match=r"simulated LED board"):
        native.inject_edges(3, period_us=0)


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"\0\0\0\0\xef\1\2\3\0\0\0\0", b"\1\0\0\0\xff\1\2\3"])
def test_bytes_that_are_no_apa102_frame_are_refused(data: bytes):
    with pytest.raises(WrongFormat):
        decode_apa102(data)


def test_apa102_bytes_are_blue_green_red():
    frame = b"\0\0\0\0" + b"\xff\3\2\1" + b"\xff\6\5\4" + b"\0\0\0\0\0"
    assert decode_apa102(frame).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_damaged_log_is_refused(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"no frames here, but long enough for a header")
    with pytest.raises(WrongFormat):
        read_led_frames(log)
    with pytest.raises(WrongFormat):
        last_led_frame(log)


def test_the_sources_are_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed = tmp_path / "site-packages" / "lsm_sim"
    shutil.copytree(firmware_folder(), installed / "firmware")
    monkeypatch.setattr(_build, "__file__", str(installed / "_build.py"))
    assert firmware_folder() == installed / "firmware"
    shutil.rmtree(installed / "firmware")
    with pytest.raises(ToolMissing, match="sources"):
        firmware_folder()
