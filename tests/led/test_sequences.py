"""Stored sequences through the client, on the native board."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lsm.errors import IlluminatorError, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, single_led
from lsm.led import Edge, LedBoardClient, SequencePlan, When
from lsm.led._constants import SequenceState
from lsm_sim.board import NativeBoard, read_led_frames

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
SETTLE_US = 2000


def random_patterns(count: int, *, high: int = 40, seed: int = 0) -> list[Pattern]:
    rng = np.random.default_rng(seed)
    return [Pattern.of(BOARD, rng.integers(0, high, (169, 3)) / 255) for _ in range(count)]


def on_off_patterns(count: int, *, seed: int = 0) -> list[Pattern]:
    rng = np.random.default_rng(seed)
    return [Pattern.of_colour(BOARD, (rng.random(169) < 0.2) * 1.0) for _ in range(count)]


def mono_patterns(count: int, *, seed: int = 0) -> list[Pattern]:
    rng = np.random.default_rng(seed)
    return [Pattern.of_colour(BOARD, rng.integers(0, 100, 169) / 255, colour=2) for _ in range(count)]


@pytest.fixture
def client(native: NativeBoard) -> Iterator[LedBoardClient]:
    with LedBoardClient(native.open_transport(), BOARD) as client:
        yield client


def finished(client: LedBoardClient) -> None:
    deadline = time.monotonic() + 10.0
    while client.sequences.status().state not in (SequenceState.DONE, SequenceState.FAULT):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def emitted_after(native: NativeBoard, latch: int) -> list[np.ndarray]:
    return [levels for _, levels in read_led_frames(native.frames_path)[latch:]]


@pytest.mark.parametrize(
    ("make", "bits"), [(on_off_patterns, 1), (mono_patterns, 8), (random_patterns, 24)], ids=["1", "8", "24"]
)
def test_every_pattern_is_emitted_as_it_was_made(
    native: NativeBoard, client: LedBoardClient, make: Callable[[int], list[Pattern]], bits: int
):
    patterns = make(7)
    assert client.sequences.load(patterns) == bits
    armed = client.sequences.arm(SequencePlan(period_us=500, rounds=2))
    finished(client)
    emitted = emitted_after(native, armed.latch)
    assert len(emitted) == 15
    assert not emitted[14].any()
    for levels, pattern in zip(emitted[:14], patterns * 2, strict=True):
        np.testing.assert_array_equal(levels, pattern.levels)


def test_edges_step_and_the_last_one_puts_the_light_out(native: NativeBoard, client: LedBoardClient):
    patterns = on_off_patterns(5)
    client.sequences.load(patterns)
    client.sequences.trigger_in(0, Edge.RISING)
    armed = client.sequences.arm(SequencePlan())
    assert client.sequences.status().state == SequenceState.ARMED
    assert not native.lit().any()
    for index, pattern in enumerate(patterns):
        native.inject_edges(1, period_us=0)
        assert client.sequences.status().index == index
        np.testing.assert_array_equal(native.lit(), pattern.levels)
        np.testing.assert_array_equal(client.latched(), armed.levels[index])
    native.inject_edges(1, period_us=0)
    time.sleep(0.05)
    assert client.sequences.status().state == SequenceState.DONE
    assert not native.lit().any()
    native.inject_edges(3, period_us=1000)
    status = client.sequences.status()
    assert (status.steps, status.missed) == (5, 3)
    assert not native.lit().any()


def test_pattern_0_may_be_on_when_armed(native: NativeBoard, client: LedBoardClient):
    patterns = on_off_patterns(2)
    client.sequences.load(patterns)
    armed = client.sequences.arm(SequencePlan(at_first_step=False))
    np.testing.assert_array_equal(native.lit(), patterns[0].levels)
    np.testing.assert_array_equal(emitted_after(native, armed.latch)[0], patterns[0].levels)
    assert client.sequences.step() == 1
    assert client.sequences.step() is None
    assert client.sequences.status().state == SequenceState.DONE


def test_edges_while_a_pattern_settles_are_missed_and_said_so(native: NativeBoard, client: LedBoardClient):
    client.sequences.load(on_off_patterns(4))
    client.sequences.trigger_in(1, Edge.RISING)
    armed = client.sequences.arm(SequencePlan(settle_us=100_000))
    native.inject_edges(6, period_us=0, pin=1)
    time.sleep(0.2)
    status = client.sequences.status()
    assert (status.steps, status.missed, status.index) == (1, 5, 0)
    assert len(emitted_after(native, armed.latch)) == 1


def test_edges_of_a_pin_that_is_not_set_up_do_nothing(native: NativeBoard, client: LedBoardClient):
    client.sequences.load(on_off_patterns(4))
    client.sequences.trigger_in(0, Edge.RISING)
    client.sequences.arm(SequencePlan())
    native.inject_edges(2, period_us=500, pin=1)
    status = client.sequences.status()
    assert (status.steps, status.missed) == (0, 0)


def test_bouncing_edges_count_once(native: NativeBoard, client: LedBoardClient):
    client.sequences.load(on_off_patterns(4))
    client.sequences.trigger_in(0, Edge.RISING, debounce_us=60_000)
    client.sequences.arm(SequencePlan())
    native.inject_edges(5, period_us=1000)
    status = client.sequences.status()
    assert (status.steps, status.missed) == (1, 0)


def test_the_output_fires_after_latching_settling_and_the_delay(native: NativeBoard, client: LedBoardClient):
    delay_us, width_us = 3000, 5000
    client.sequences.load(on_off_patterns(3))
    client.sequences.trigger_out(0, When.PATTERN, delay_us=delay_us, width_us=width_us)
    client.sequences.trigger_out(1, When.END, active_high=False, width_us=1000)
    armed = client.sequences.arm(SequencePlan(period_us=40_000, settle_us=SETTLE_US))
    before = len(native.trigger_outs())
    finished(client)
    time.sleep(0.05)
    edges = native.trigger_outs()[before:]
    latched_ns = [t_ns for t_ns, _ in read_led_frames(native.frames_path)[armed.latch :]]
    rises = [t_ns for t_ns, pin, high in edges if (pin, high) == (0, True)]
    falls = [t_ns for t_ns, pin, high in edges if (pin, high) == (0, False)]
    assert len(rises) == len(falls) == 3
    for latched, rise, fall in zip(latched_ns[:3], rises, falls, strict=True):
        assert rise - latched >= (SETTLE_US + delay_us - 1) * 1000
        assert fall - rise >= (width_us - 1) * 1000  # the board's clock counts whole microseconds
    assert [(pin, high) for t_ns, pin, high in edges if pin == 1] == [(1, False), (1, True)]
    assert edges[-2][0] >= latched_ns[3]


def test_its_own_longest_time_ends_a_sequence_without_a_host(native: NativeBoard, client: LedBoardClient):
    """Silent for longer than the watchdog: the sequence goes on, and is dark when its time is over."""
    client.sequences.load(on_off_patterns(2))
    armed = client.sequences.arm(SequencePlan(at_first_step=False, rounds=0, longest_s=2.6))
    began_ns = read_led_frames(native.frames_path)[armed.latch][0]
    time.sleep(2.4)
    assert native.lit().any()
    time.sleep(0.5)
    frames = read_led_frames(native.frames_path)[armed.latch :]
    assert len(frames) == 2
    assert not frames[1][1].any()
    # armed before the first frame was logged; the board looks every 20 us, a loaded machine later
    assert 2.59 <= (frames[1][0] - began_ns) / 1e9 <= 2.6 + 0.25
    assert client.sequences.status().state == SequenceState.FAULT


def test_the_watchdog_rules_again_after_a_sequence(native: NativeBoard, client: LedBoardClient):
    client.sequences.load(on_off_patterns(2))
    client.sequences.arm(SequencePlan(period_us=1000))
    finished(client)
    client.show(bright_field(BOARD, na=0.1), hold_ms=10.0)
    time.sleep(2.4)
    assert not native.lit().any()


def test_too_much_light_scales_all_patterns_alike(native: NativeBoard, client: LedBoardClient):
    patterns = [Pattern.of(BOARD, np.full((169, 3), duty)) for duty in (0.1, 0.5, 1.0)]
    client.sequences.load(patterns)
    armed = client.sequences.arm(SequencePlan(period_us=500))
    finished(client)
    assert armed.limited
    assert armed.scale_q16 == int(0.3 * 65536)
    emitted = emitted_after(native, armed.latch)
    for index in range(3):
        np.testing.assert_array_equal(emitted[index], armed.levels[index])


def test_a_running_sequence_is_not_disturbed_and_dark_ends_it(native: NativeBoard, client: LedBoardClient):
    client.sequences.load(on_off_patterns(3))
    client.sequences.arm(SequencePlan(at_first_step=False))
    with pytest.raises(IlluminatorError, match="busy"):
        client.show(single_led(BOARD, 3), hold_ms=10.0)
    assert not native.lit().any()  # show() that fails leaves darkness
    client.sequences.arm(SequencePlan(at_first_step=False))
    with pytest.raises(IlluminatorError, match="busy"):
        client.sequences.load(on_off_patterns(3))
    assert native.lit().any()
    client.dark()
    assert client.sequences.status().state == SequenceState.IDLE
    assert not native.lit().any()


def test_more_patterns_than_the_memory_holds_are_refused(client: LedBoardClient):
    fits = 65536 // 22
    assert client.sequences.load([single_led(BOARD, i % 169) for i in range(fits)]) == 1
    with pytest.raises(IlluminatorError, match="memory"):
        client.sequences.load([single_led(BOARD, i % 169) for i in range(fits + 1)])
    with pytest.raises(IlluminatorError, match="No sequence is stored"):
        client.sequences.arm(SequencePlan())


def test_only_committed_patterns_can_be_armed(client: LedBoardClient):
    with pytest.raises(IlluminatorError, match="No sequence is stored"):
        client.sequences.arm(SequencePlan())
    with pytest.raises(WrongFormat):
        client.sequences.load([])
    with pytest.raises(WrongFormat, match="longest_s"):
        SequencePlan(longest_s=0.0)
    with pytest.raises(WrongFormat, match="rounds"):
        SequencePlan(rounds=-1)


def test_settings_survive_power_off(tmp_path: Path):
    kept = tmp_path / "flash.bin"
    with (
        NativeBoard(config_path=kept) as native,
        LedBoardClient(native.open_transport(), BOARD, limit_ma=777) as client,
    ):
        client.sequences.trigger_in(0, Edge.FALLING, debounce_us=5)
        client.show(bright_field(BOARD, na=0.1), hold_ms=10.0)
        with pytest.raises(IlluminatorError, match="busy"):
            client.save_settings()
        client.dark()
        client.save_settings()
    with NativeBoard(config_path=kept) as native, LedBoardClient(native.open_transport(), BOARD) as client:
        assert client.hello.limit_ma == 777
        client.forget_settings()
    with NativeBoard(config_path=kept) as native, LedBoardClient(native.open_transport(), BOARD) as client:
        assert client.hello.limit_ma == 3042


@pytest.mark.parametrize("position", [0, 5, 9, 20, 43])
def test_damaged_settings_are_not_believed(tmp_path: Path, position: int):
    kept = tmp_path / "flash.bin"
    with (
        NativeBoard(config_path=kept) as native,
        LedBoardClient(native.open_transport(), BOARD, limit_ma=777) as client,
    ):
        client.save_settings()
    damaged = bytearray(kept.read_bytes())
    damaged[position] ^= 4
    kept.write_bytes(damaged)
    with NativeBoard(config_path=kept) as native, LedBoardClient(native.open_transport(), BOARD) as client:
        assert client.hello.limit_ma == 3042


def test_a_board_without_flash_says_so(client: LedBoardClient):
    with pytest.raises(IlluminatorError, match="CFG_SAVE"):
        client.save_settings()
