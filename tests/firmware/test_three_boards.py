"""What every board promises, held by each of the three that run here: native, ATmega2560, STM32F405."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lsm.illum import LedBoard, Pattern, dark
from lsm.led import Edge, LedBoardClient, SequencePlan, SequenceState
from lsm_sim.board import Board, NativeBoard, read_led_frames
from lsm_sim.emulators import AvrBoard, Stm32Board

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(300)]  # a loaded machine compiles and emulates slowly

GRID = LedBoard.grid(rows=32, columns=32, pitch_mm=3.0, distance_mm=50.0)
PATTERNS = 64
EDGES = 1000
ANSWER_S = 5.0  # emulated chips answer in 0.1 s; the machine may be loaded

MAKERS: dict[str, Callable[[Path], Board]] = {
    "native": lambda folder: NativeBoard(rows=32, columns=32, run_dir=folder),
    "avr_mega": lambda folder: AvrBoard(run_dir=folder),
    "avr_mega_mono": lambda folder: AvrBoard(mono=True, run_dir=folder),
    "stm32f405": lambda folder: Stm32Board(run_dir=folder),
}
# The AVR takes 18 ms to put out 1024 LEDs, QEMU's serial port in place of SPI 1 ms.
STEP_US = {"native": 1000, "avr_mega": 25_000, "avr_mega_mono": 25_000, "stm32f405": 5000}


@pytest.fixture(params=MAKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def board(kind: str, tmp_path: Path) -> Iterator[Board]:
    with MAKERS[kind](tmp_path) as started:
        yield started


@pytest.fixture
def client(board: Board) -> Iterator[LedBoardClient]:
    with LedBoardClient(board.open_transport(), GRID, reply_s=ANSWER_S) as client:
        yield client


def random_frame(client: LedBoardClient, *, most: int) -> Pattern:
    """All levels of all channels; one channel on a board whose frame has one colour."""
    levels = np.random.default_rng(1024).integers(0, most, (1024, 3))
    if client.hello.frame_channels == 1:
        levels[:, [0, 2]] = 0
    return Pattern.of(GRID, levels / 255)


def on_off(count: int) -> list[Pattern]:
    rng = np.random.default_rng(count)
    return [Pattern.of_colour(GRID, (rng.random(1024) < 0.1) * 0.5) for _ in range(count)]


def patterns_that_fit(client: LedBoardClient) -> list[Pattern]:
    return on_off(min(PATTERNS, client.hello.sequence_bytes // 128))


def test_power_on_is_dark(board: Board):
    frames = read_led_frames(board.frames_path)
    assert len(frames) == 1
    assert frames[0][1].shape == (1024, 3)
    assert not frames[0][1].any()


def test_the_log_keeps_the_board_s_own_time(kind: str, board: Board, client: LedBoardClient):
    before_ns = board.now_ns()
    client.show(random_frame(client, most=70), hold_ms=10.0)
    assert before_ns <= read_led_frames(board.frames_path)[-1][0] <= board.now_ns()
    assert board.virtual_time == (kind != "native")


def test_every_led_of_a_random_frame_is_emitted_as_uploaded(board: Board, client: LedBoardClient):
    pattern = random_frame(client, most=70)
    shown = client.show(pattern, hold_ms=10.0)
    np.testing.assert_array_equal(board.lit(), pattern.levels)
    np.testing.assert_array_equal(shown.levels, pattern.levels)
    np.testing.assert_array_equal(client.latched(), pattern.levels)
    client.show(dark(GRID), hold_ms=10.0)
    assert not board.lit().any()


def test_the_current_limit_scales_and_says_so(board: Board, client: LedBoardClient):
    channels = [0, 1, 2] if client.hello.frame_channels == 3 else [1]
    duty = np.zeros((1024, 3))
    duty[:, channels] = np.linspace(0.8, 1.0, 1024)[:, None]
    shown = client.show(Pattern.of(GRID, duty), hold_ms=10.0)
    limit_ma = 1024 * 60 * 30 // 100
    if client.hello.frame_channels == 3:
        assert shown.limited
    np.testing.assert_array_equal(board.lit(), shown.levels)
    assert shown.levels.sum(dtype=np.int64) * 20 <= limit_ma * 255
    client.limit(6000)
    shown = client.show(Pattern.of(GRID, duty), hold_ms=10.0)
    assert shown.limited
    np.testing.assert_array_equal(board.lit(), shown.levels)
    # each of 24 to 79 levels is rounded down
    assert 6000 * 255 * 0.95 < shown.levels.sum(dtype=np.int64) * 20 <= 6000 * 255


def test_a_thousand_edges_give_exactly_the_frames_expected(kind: str, board: Board, client: LedBoardClient):
    patterns = patterns_that_fit(client)
    assert len(patterns) == (PATTERNS if not kind.startswith("avr") else client.hello.sequence_bytes // 128)
    assert client.sequences.load(patterns) == 1
    client.sequences.trigger_in(0, Edge.RISING)
    armed = client.sequences.arm(SequencePlan(rounds=0, longest_s=600.0))
    board.inject_edges(EDGES, period_us=STEP_US[kind])
    settled(client)
    status = client.sequences.status()
    assert (status.steps, status.missed) == (EDGES, 0)
    client.dark()
    *emitted, last = [levels for _, levels in read_led_frames(board.frames_path)[armed.latch :]]
    assert not last.any()
    assert len(emitted) == EDGES
    for step, levels in enumerate(emitted):
        np.testing.assert_array_equal(levels, patterns[step % len(patterns)].levels, err_msg=f"step {step}")


def test_early_edges_are_counted_as_missed_and_never_obeyed_later(board: Board, client: LedBoardClient):
    edges = 200
    patterns = patterns_that_fit(client)
    client.sequences.load(patterns)
    client.sequences.trigger_in(1, Edge.RISING)
    armed = client.sequences.arm(SequencePlan(rounds=0, settle_us=20_000, longest_s=600.0))
    board.inject_edges(edges, period_us=1000, pin=1)
    settled(client)
    status = client.sequences.status()
    assert status.missed > edges / 2
    assert status.steps + status.missed == edges
    client.dark()
    *emitted, last = [levels for _, levels in read_led_frames(board.frames_path)[armed.latch :]]
    assert not last.any()
    assert len(emitted) == status.steps
    for step, levels in enumerate(emitted):
        np.testing.assert_array_equal(levels, patterns[step % len(patterns)].levels)


def test_silence_is_dark_on_time(kind: str, board: Board, client: LedBoardClient):
    """By the board's own clock; SHOW feeds the watchdog and latches up to 60 ms later, on the AVR."""
    client.show(random_frame(client, most=50), hold_ms=10.0)
    deadline = time.monotonic() + 60.0
    while board.lit().any():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (lit_ns, _), (dark_ns, levels) = read_led_frames(board.frames_path)[-2:]
    assert not levels.any()
    loaded_s = 0.25 if kind == "native" else 0.0  # its clock is the wall's, and the machine may be busy
    # the frame that goes out takes 18 ms on the AVR
    assert 2.0 - 0.06 <= (dark_ns - lit_ns) / 1e9 <= 2.0 + 0.03 + loaded_s
    assert client.status().dark_by_watchdog == 1


def settled(client: LedBoardClient) -> None:
    deadline = time.monotonic() + 10.0
    while client.sequences.status().state != SequenceState.EXPOSING:
        assert time.monotonic() < deadline
        time.sleep(0.01)
