"""The binaries for real chips, each on its emulated chip: they boot dark, talk, and emit what was uploaded."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wire import Wire

from lsm.errors import DeviceError, ToolMissing
from lsm.illum import LedBoard, Pattern
from lsm.led import LedBoardClient
from lsm.led._constants import MAX_FRAME
from lsm.led.sequence import Edge, SequencePlan, When
from lsm_sim._build import firmware_folder
from lsm_sim.board import read_led_frames
from lsm_sim.emulators import AVR, AvrBoard, Stm32Board

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300)]  # a loaded machine compiles and emulates slowly

GRID = LedBoard.grid(rows=32, columns=32, pitch_mm=3.0, distance_mm=50.0)
BOARDS = {
    "avr_mega": AvrBoard,
    "avr_mega_mono": lambda run_dir: AvrBoard(mono=True, run_dir=run_dir),
    "stm32f405": Stm32Board,
}


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest, tmp_path: Path):
    with BOARDS[request.param](run_dir=tmp_path) as emulated:
        yield emulated


@pytest.fixture
def avr(tmp_path: Path):
    with AvrBoard(run_dir=tmp_path, realtime=False) as emulated:
        yield emulated


def client(board: AvrBoard | Stm32Board, **options: int):
    return LedBoardClient(board.open_transport(), GRID, reply_s=5.0, **options)


def random_pattern(client: LedBoardClient, *, most: int = 70):
    levels = np.random.default_rng(3).integers(0, most, (1024, 3))
    if client.hello.frame_channels == 1:
        levels[:, [0, 2]] = 0
    return Pattern.of(GRID, levels / 255)


def test_boots_dark_and_answers_in_text(board: AvrBoard | Stm32Board):
    frames = read_led_frames(board.frames_path)
    assert [frame[1].shape for frame in frames] == [(1024, 3)]
    assert not frames[0][1].any()
    transport = board.open_transport()
    assert Wire(transport).text("version").strip().count(".") == 2
    transport.close()
    assert board.virtual_time
    assert board.running
    assert os.getpgid(board.pid) == board.pid


def test_a_long_text_answer_is_no_hang(board: AvrBoard | Stm32Board):
    transport = board.open_transport()
    wire = Wire(transport)
    wire.send(b"pledposna\n")
    answer = wire.answer(60.0)
    assert answer is not None
    assert answer.text.count("\n") > 1024
    assert len(read_led_frames(board.frames_path)) == 1
    transport.close()


def test_emits_every_led_as_uploaded(board: AvrBoard | Stm32Board):
    with client(board) as illuminator:
        pattern = random_pattern(illuminator)
        shown = illuminator.show(pattern, hold_ms=0.0)
        assert not shown.limited
        np.testing.assert_array_equal(board.lit(), pattern.levels)


def test_a_window_full_of_bytes_is_received(board: AvrBoard | Stm32Board):
    with client(board) as illuminator:
        window, longest = illuminator.hello.rx_window, min(illuminator.hello.max_frame, MAX_FRAME)
        assert window >= longest
        for _ in range(5):
            illuminator.show(random_pattern(illuminator), hold_ms=0.0)
        assert illuminator.status().damaged_frames == 0


def test_edges_step_a_sequence_and_give_pulses(board: AvrBoard | Stm32Board):
    masks = np.eye(1024, dtype=np.float64)[[0, 31, 992, 1023]]
    with client(board) as illuminator:
        sequences = illuminator.sequences
        sequences.load([Pattern.of_colour(GRID, mask) for mask in masks])
        sequences.trigger_in(0, Edge.RISING)
        sequences.trigger_out(1, When.PATTERN, width_us=200)
        armed = sequences.arm(SequencePlan(rounds=0))
        seen = len(read_led_frames(board.frames_path))
        board.inject_edges(10, period_us=60_000)
        deadline = time.monotonic() + 20.0
        while len(board.trigger_outs()) < 20 and time.monotonic() < deadline:  # a question would hold up a pulse's end
            time.sleep(0.01)
        assert (sequences.status().steps, sequences.status().missed) == (10, 0)
        shown = [frame[1] for frame in read_led_frames(board.frames_path)[seen:]]
        for levels, expected in zip(shown, itertools.cycle(armed.levels), strict=False):
            np.testing.assert_array_equal(levels, expected)
        assert len(shown) == 10
        sequences.stop()
    edges = board.trigger_outs()
    assert [(pin, level) for _, pin, level in edges] == [(1, True), (1, False)] * 10
    widths_us = [(down[0] - up[0]) / 1000 for up, down in itertools.pairwise(edges)][::2]
    assert min(widths_us) >= 199  # the clock counts whole microseconds
    assert max(widths_us) < 1000  # the main loop ends pulses, here without anything else to do


def test_the_clock_is_right_inside_the_interrupt(board: AvrBoard | Stm32Board):
    """At 1001 us the edges wander through the AVR clock's millisecond, past every place where it turns over.

    An edge that seemed to come less than 950 us after the one before would be taken for a bounce.
    """
    with client(board) as illuminator:
        sequences = illuminator.sequences
        sequences.load([Pattern.of_colour(GRID, np.ones(1024))])
        sequences.trigger_in(0, Edge.RISING, debounce_us=950)
        sequences.arm(SequencePlan(rounds=0))
        count = 1000 if isinstance(board, AvrBoard) else 100  # the other clock has no place to turn over
        board.inject_edges(count, period_us=1001)
        deadline = time.monotonic() + 20.0
        while (status := sequences.status()).steps + status.missed < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert status.steps + status.missed == count
        assert status.steps > 0


def test_edges_on_an_input_that_is_off_mean_nothing(board: AvrBoard | Stm32Board):
    with client(board) as illuminator:
        illuminator.sequences.load([Pattern.of_colour(GRID, np.ones(1024))])
        illuminator.sequences.trigger_in(0, Edge.RISING)
        illuminator.sequences.trigger_in(0, Edge.NONE)
        illuminator.sequences.arm(SequencePlan(rounds=0))
        board.inject_edges(3, period_us=1000)
        assert illuminator.sequences.status().steps == 0
        assert not board.lit().any()


def test_saved_settings_outlive_a_reset_and_light_does_not(board: AvrBoard | Stm32Board):
    with client(board) as illuminator:
        default_ma = illuminator.hello.limit_ma
    with client(board, limit_ma=4000) as illuminator:
        illuminator.save_settings()
        illuminator.show(random_pattern(illuminator, most=30), hold_ms=0.0)
        assert board.lit().any()
        before = len(read_led_frames(board.frames_path))
        board.reset()
        assert not any(frame[1].any() for frame in read_led_frames(board.frames_path)[before:])
        assert not board.lit().any()
    with client(board) as illuminator:
        assert illuminator.hello.limit_ma == 4000 != default_ma


def test_the_eeprom_file_outlives_the_board(tmp_path: Path):
    eeprom = tmp_path / "eeprom.bin"
    with AvrBoard(eeprom_path=eeprom) as board, client(board, limit_ma=4000) as illuminator:
        illuminator.save_settings()
    assert eeprom.stat().st_size == 4096
    with AvrBoard(eeprom_path=eeprom) as board, client(board) as illuminator:
        assert illuminator.hello.limit_ma == 4000


def test_a_program_that_hangs_with_its_light_on_is_reset_by_the_chip(avr: AvrBoard):
    transport = avr.open_transport()
    wire = Wire(transport)
    wire.text("l.5")
    assert avr.lit().any()
    hung_ns = avr.now_ns()
    avr.hang()
    assert not avr.lit().any()
    # the watchdog's oscillator is not that of the clock: libsimavr takes 1.02 s for WDTO_1S, and booting 0.1 s
    assert 0.9e9 < avr.now_ns() - hung_ns < 1.3e9
    assert wire.text("version")
    transport.close()


def test_virtual_time_of_the_avr_board_does_not_pass_the_wall_clock(tmp_path: Path):
    with AvrBoard(run_dir=tmp_path) as board:
        start_s, start_ns = time.monotonic(), board.now_ns()
        time.sleep(0.5)
        passed_ns = board.now_ns() - start_ns
        # half a millisecond of sleep in the harness, twice
        assert passed_ns <= (time.monotonic() - start_s) * 1e9 + 1e6


def test_a_dead_harness_is_reported(avr: AvrBoard):
    os.kill(avr.pid, signal.SIGKILL)
    with pytest.raises(DeviceError):
        avr.now_ns()


def test_an_emulator_ends_with_the_process_that_started_it(board: AvrBoard | Stm32Board, tmp_path: Path):
    kind = type(board).__name__
    script = f"import os; from lsm_sim.emulators import {kind}; print({kind}().pid, flush=True); os.abort()"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == -signal.SIGABRT
    deadline = time.monotonic() + 20.0
    while Path(f"/proc/{int(run.stdout)}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{int(run.stdout)}").exists()


def test_a_missing_tool_names_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    without_header = replace(
        AVR, programs=(), libraries=("cc", "-include", "no/such.h", "-x", "c", "-", "-o", "/dev/null")
    )
    with pytest.raises(ToolMissing, match=AVR.packages):
        without_header.check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="libsimavr-dev"):
        AvrBoard(build_dir=tmp_path)
    with pytest.raises(ToolMissing, match=AVR.packages):
        AVR.check()
    with pytest.raises(ToolMissing, match="qemu-system-arm"):
        Stm32Board(build_dir=tmp_path)


def test_the_build_fails_above_its_budget(board: AvrBoard | Stm32Board):
    size_tool = "arm-none-eabi-size" if isinstance(board, Stm32Board) else "avr-size"
    image = board.image

    def budget(flash: int, ram: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "size_budget.py", "board", size_tool, str(image), str(flash), str(ram)]
        return subprocess.run(command, cwd=firmware_folder(), capture_output=True, text=True, check=False)

    flash, ram = (int(part.split()[1]) for part in budget(2**20, 2**20).stdout.split(": ")[1].split(", "))
    assert budget(flash, ram).returncode == 0
    over = budget(flash - 1, ram)
    assert (over.returncode, "flash is 1 bytes over" in over.stderr) == (1, True)
    over = budget(flash, ram - 1)
    assert (over.returncode, "RAM is 1 bytes over" in over.stderr) == (1, True)
