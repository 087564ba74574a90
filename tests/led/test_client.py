"""The client against the real firmware, over good and bad lines."""

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lines import (
    CountingLine,
    DisturbedLine,
    doubled,
    flipped,
    lost,
    once,
    truncated,
    without_first_byte,
    without_last_byte,
)

from lsm.devices import Illuminator
from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark, half_disc, single_led
from lsm.led import LedBoardClient
from lsm.led._constants import HISTORY, Command, Flag
from lsm.led.protocol import encode_request
from lsm_sim.board import NativeBoard, dark_delay_s, read_led_frames

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
CENTRE = bright_field(BOARD, na=0.1)
REPLY_S = 0.1  # an answer takes 0.1 ms; short, so that lost bytes do not make the tests slow


@pytest.fixture
def line(native: NativeBoard) -> DisturbedLine:
    return DisturbedLine(native.open_transport())


@pytest.fixture
def client(line: DisturbedLine) -> Iterator[LedBoardClient]:
    with LedBoardClient(line, BOARD, reply_s=REPLY_S) as client:
        yield client


def test_it_is_an_illuminator(client: LedBoardClient):
    assert isinstance(client, Illuminator)
    assert client.board is BOARD
    assert client.properties["led_count"] == 169


@pytest.mark.parametrize("pattern", [CENTRE, half_disc(BOARD, na=0.3, angle_rad=1.0), single_led(BOARD, 168)])
def test_what_is_shown_is_what_the_firmware_emits(native: NativeBoard, client: LedBoardClient, pattern: Pattern):
    shown = client.show(pattern, hold_ms=10.0)
    np.testing.assert_array_equal(shown.levels, pattern.levels)
    np.testing.assert_array_equal(native.lit(), pattern.levels)
    np.testing.assert_array_equal(client.latched(), pattern.levels)
    assert not shown.limited
    assert shown.latch == len(read_led_frames(native.frames_path))


def test_every_level_of_every_channel_arrives_in_its_place(native: NativeBoard, client: LedBoardClient):
    duty = np.random.default_rng(3).integers(0, 90, (169, 3)) / 255
    shown = client.show(Pattern.of(BOARD, duty), hold_ms=10.0)
    np.testing.assert_array_equal(native.lit(), np.round(duty * 255))
    np.testing.assert_array_equal(shown.levels, native.lit())


def test_too_much_light_is_limited_and_the_true_levels_returned(native: NativeBoard, client: LedBoardClient):
    white = Pattern.of(BOARD, np.ones((169, 3)))
    shown = client.show(white, hold_ms=10.0)
    assert shown.limited
    np.testing.assert_array_equal(shown.levels, native.lit())
    assert shown.levels.sum(dtype=np.int64) <= 0.3 * white.levels.sum(dtype=np.int64)
    assert client.still_lit(shown)


def test_a_lower_limit_can_be_asked_for(native: NativeBoard):
    with LedBoardClient(native.open_transport(), BOARD, limit_ma=90) as client:
        shown = client.show(CENTRE, hold_ms=10.0)
        assert shown.limited
        assert shown.levels.max() == 127  # 90 mA of the 180 mA that nine LEDs draw, rounded down


def test_dark_puts_everything_out(native: NativeBoard, client: LedBoardClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    client.dark()
    assert not native.lit().any()
    assert not client.still_lit(shown)


def test_a_dark_pattern_can_be_shown(native: NativeBoard, client: LedBoardClient):
    shown = client.show(dark(BOARD), hold_ms=10.0)
    assert client.still_lit(shown)
    assert not native.lit().any()


def test_still_lit_is_false_after_another_light(client: LedBoardClient):
    first = client.show(CENTRE, hold_ms=10.0)
    second = client.show(CENTRE, hold_ms=10.0)
    assert not client.still_lit(first)
    assert client.still_lit(second)


def test_silence_longer_than_the_watchdog_is_noticed(native: NativeBoard, client: LedBoardClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    shown_ns = time.monotonic_ns()
    time.sleep(2.3)
    assert dark_delay_s(native.frames_path, shown_ns) <= 2.0 + 0.25  # the board looks every 2 ms
    assert not client.still_lit(shown)
    assert client.status().dark_by_watchdog == 1
    assert client.still_lit(client.show(CENTRE, hold_ms=10.0))


def test_the_hold_time_sets_the_watchdog(client: LedBoardClient):
    client.show(CENTRE, hold_ms=3500.5)
    assert client.status().watchdog_ms == 3501
    client.show(CENTRE, hold_ms=1.0)
    assert client.status().watchdog_ms == 2000


@pytest.mark.parametrize("hold_ms", [60001.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_hold_time_lights_nothing(native: NativeBoard, client: LedBoardClient, hold_ms: float):
    with pytest.raises(LimitExceeded):
        client.show(CENTRE, hold_ms=hold_ms)
    assert not native.lit().any()


def test_a_pattern_for_another_board_is_refused(native: NativeBoard, client: LedBoardClient):
    other = LedBoard.grid(rows=13, columns=13, pitch_mm=4.0, distance_mm=50.0)
    with pytest.raises(WrongFormat):
        client.show(bright_field(other, na=0.1), hold_ms=10.0)
    assert not native.lit().any()


def test_another_number_of_leds_is_refused(native: NativeBoard):
    with pytest.raises(ConfigError, match="169 LEDs"):
        LedBoardClient(native.open_transport(), LedBoard.grid(rows=8, columns=8, pitch_mm=3.0, distance_mm=50.0))
    native.open_transport().close()  # the port is free again


@pytest.mark.parametrize("mirrored", [[-1, 1, 1], [1, -1, 1]])
def test_a_mirrored_board_is_refused(native: NativeBoard, mirrored: list[int]):
    board = LedBoard("mirrored", BOARD.positions_mm * mirrored, BOARD.normals)
    with pytest.raises(ConfigError, match="LED 0"):
        LedBoardClient(native.open_transport(), board)


DISTURBANCES = [lost, doubled, truncated, flipped, without_first_byte, without_last_byte]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("change", DISTURBANCES)
def test_a_disturbed_request_is_repeated_and_executed_once(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient, change: Callable[[bytes], bytes], nth: int
):
    """Piece 1 is FB_WRITE, piece 2 is SHOW."""
    before = len(read_led_frames(native.frames_path))
    line.write_filter = once(change, nth=nth)
    shown = client.show(CENTRE, hold_ms=10.0)
    np.testing.assert_array_equal(native.lit(), CENTRE.levels)
    assert len(read_led_frames(native.frames_path)) == before + 1 == shown.latch


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("change", DISTURBANCES)
def test_a_disturbed_answer_is_asked_for_again_without_a_second_latch(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient, change: Callable[[bytes], bytes], nth: int
):
    before = len(read_led_frames(native.frames_path))
    line.read_filter = once(change, nth=nth)
    shown = client.show(CENTRE, hold_ms=10.0)
    line.read_filter = None
    assert len(read_led_frames(native.frames_path)) == before + 1 == shown.latch
    assert client.still_lit(shown)


def test_a_board_that_falls_silent_raises_and_goes_dark(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient
):
    client.show(CENTRE, hold_ms=10.0)
    line.read_filter = lost
    with pytest.raises(IlluminatorTimeout):
        client.show(CENTRE, hold_ms=10.0)
    assert not native.lit().any()


def test_a_board_that_disappears_raises_and_close_does_not(native: NativeBoard, client: LedBoardClient):
    client.show(CENTRE, hold_ms=10.0)
    native.close()
    with pytest.raises(IlluminatorTimeout):
        client.show(CENTRE, hold_ms=10.0)
    client.close()


def test_a_shutter_closed_from_a_terminal_is_opened_by_greeting_again(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient
):
    line.transport.write(b"gs.0\n")
    assert line.transport.read(2.0)
    shown = client.show(CENTRE, hold_ms=3000.0)
    np.testing.assert_array_equal(native.lit(), CENTRE.levels)
    assert client.still_lit(shown)
    assert client.status().watchdog_ms == 3000


def fill_of_another_program(seq: int) -> bytes:
    return encode_request(seq, Command.FB_FILL, struct.pack("<HH3B", 160, 9, 50, 50, 50))


@pytest.mark.parametrize("seq", range(0, 256, 5))
def test_another_program_on_the_line_never_changes_the_light(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient, seq: int
):
    """Its FB_FILL comes between FB_WRITE and SHOW, with whatever number: the right light, or none and an error."""
    line.write_filter = once(lambda data: fill_of_another_program(seq) + data, nth=2)
    with contextlib.suppress(IlluminatorError):
        np.testing.assert_array_equal(client.show(CENTRE, hold_ms=10.0).levels, CENTRE.levels)
    emitted = [levels for _, levels in read_led_frames(native.frames_path) if levels.any()]
    assert all(np.array_equal(levels, CENTRE.levels) for levels in emitted)


def test_text_cannot_light_anything_while_a_program_holds_the_board(
    native: NativeBoard, line: DisturbedLine, client: LedBoardClient
):
    client.show(CENTRE, hold_ms=10.0)
    for word in (b"l.168\n", b"ff\n", b"sb.255\n", b"gs.1\n", b"rseq.5\n", b"sad.9\n"):
        line.transport.write(word)
        assert b"ERROR[7]" in line.transport.read(2.0)
    np.testing.assert_array_equal(native.lit(), CENTRE.levels)
    line.transport.write(b"x\n")
    assert line.transport.read(2.0) == b"-==-\n"
    assert not native.lit().any()


@pytest.mark.parametrize(
    "rest", [b"half a li", b"\0\x30\x10half a fr", b"\0", b"\xff\xfe noise", b"\0\x03ab\0half a li"]
)
def test_what_an_earlier_program_left_behind_does_not_confuse(native: NativeBoard, rest: bytes):
    transport = native.open_transport()
    transport.write(b"pledpos\npledposna\nff\n" + rest)
    time.sleep(0.05)
    transport.close()
    with LedBoardClient(native.open_transport(), BOARD, reply_s=REPLY_S) as client:
        assert client.still_lit(client.show(CENTRE, hold_ms=10.0))


def test_something_else_on_the_port_is_recognised(line: DisturbedLine):
    line.read_filter = lambda data: b"login: -==-\n"
    with pytest.raises(IlluminatorError, match="no LED board"):
        LedBoardClient(line, BOARD, reply_s=REPLY_S)


def test_an_illuminate_board_is_named_as_such(line: DisturbedLine):
    line.read_filter = lambda data: b'{"led_count" : 169}\n-==-\n'
    with pytest.raises(IlluminatorError, match="illuminate text only"):
        LedBoardClient(line, BOARD, reply_s=REPLY_S)


def test_a_small_board_with_little_memory_is_served_within_its_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """1024 LEDs through frames of 64 bytes; unanswered bytes stay below the window of 200."""
    monkeypatch.setenv("CFLAGS", "-O1 -g -DLSM_MAX_FRAME=64u -DLSM_RX_WINDOW=200u")
    board = LedBoard.grid(rows=32, columns=32, pitch_mm=1.0, distance_mm=50.0)
    levels = np.random.default_rng(9).integers(0, 60, (1024, 3))
    with NativeBoard(rows=32, columns=32, pitch_mm=1.0, run_dir=tmp_path) as native:
        line = CountingLine(native.open_transport())
        with LedBoardClient(line, board) as client:
            line.most = line.unanswered = 0
            client.show(Pattern.of(board, levels / 255), hold_ms=10.0)
            np.testing.assert_array_equal(native.lit(), levels)
            np.testing.assert_array_equal(client.latched(), levels)
    assert 64 < line.most <= min(200, HISTORY * 66)


def test_flags_tell_that_the_watchdog_runs(client: LedBoardClient):
    client.show(CENTRE, hold_ms=10.0)
    assert client.status().flags == Flag.LIT | Flag.LIVE | Flag.CONFIG_DEFAULTS


def test_a_thousand_patterns_in_a_row_are_all_right(native: NativeBoard, client: LedBoardClient):
    """Numbers go round three times; each latch is the next one and no light is another's."""
    patterns = [single_led(BOARD, int(i)) for i in np.random.default_rng(1).integers(0, 169, 500)]
    first = client.show(patterns[0], hold_ms=10.0).latch
    latches = [client.show(pattern, hold_ms=10.0).latch for pattern in patterns]
    assert latches == list(range(first + 1, first + 501))
    emitted = read_led_frames(native.frames_path)[first:]
    assert all(np.array_equal(frame[1], pattern.levels) for frame, pattern in zip(emitted, patterns, strict=True))
