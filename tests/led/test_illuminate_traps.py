"""The traps of illuminate boards: that the emulated boards have them, and that the client does not fall into them."""

import json

import numpy as np
import pytest

from lsm.illum import LedBoard, Pattern, bright_field, single_led
from lsm.led.illuminate import IlluminateClient
from lsm_sim.illuminate_firmware import IlluminateFirmware, Lamps
from lsm_sim.illuminate_line import IlluminateLine
from lsm_sim.illuminate_v1 import FirmwareV1
from lsm_sim.illuminate_v2 import FirmwareV2

BOARD = LedBoard.grid(rows=20, columns=20, pitch_mm=4.0, distance_mm=60.0)
ALL_GREEN = Pattern.of_colour(BOARD, np.ones(BOARD.n_leds))
CENTRE = bright_field(BOARD, na=0.3)
COLOURS = Pattern.of(BOARD, np.random.default_rng(4).integers(0, 256, (BOARD.n_leds, 3)) / 255)
END = b"-==-\n"
BOTH = [FirmwareV1, FirmwareV2]


def say(firmware: IlluminateFirmware, *pieces: bytes, pause_s: float = 0.002) -> bytes:
    """The answer to pieces with pauses between them."""
    answers = [firmware.receive(piece, pause_s=pause_s) for piece in pieces]
    return b"".join(answers)


def lit_leds(firmware: IlluminateFirmware) -> list[int]:
    return [int(led) for led in np.flatnonzero(firmware.lamps.log[-1][1].any(axis=1))]


@pytest.fixture
def old() -> FirmwareV1:
    return FirmwareV1(Lamps(BOARD))


@pytest.fixture
def new() -> FirmwareV2:
    return FirmwareV2(Lamps(BOARD))


def shown_on(firmware: IlluminateFirmware, *patterns: Pattern) -> list[bytes]:
    """Show patterns and check the LEDs; returns what was written."""
    line = IlluminateLine(firmware)
    client = IlluminateClient(line, BOARD)
    for pattern in patterns:
        firmware.lamps.log.clear()
        shown = client.show(pattern, hold_ms=10.0)
        np.testing.assert_array_equal(firmware.lamps.log[-1][1], shown.levels)
        ever = np.any([levels.any(axis=1) for _, levels in firmware.lamps.log], axis=0)
        assert not (ever & ~pattern.levels.any(axis=1)).any()
    client.close()
    return line.written


def test_v2_takes_a_pause_for_the_end_of_a_number(new: FirmwareV2):
    assert say(new, b"l.12.3", b"45.7\n") == END
    assert lit_leds(new) == [3, 7, 12]
    assert say(new, b"l.12.", b"345.7\n") == END
    assert lit_leds(new) == [0, 7, 12]
    assert say(new, b"l.12.345", b".7\n") == END
    assert lit_leds(new) == [7, 12, 345]


def test_v2_drops_a_line_without_a_word_after_a_long_pause(new: FirmwareV2):
    assert say(new, b"l.12.3", b"45.7\n", pause_s=0.1) == b""
    assert lit_leds(new) == []
    assert say(new, b"l.5\n", pause_s=0.1) == END


def test_v2_pauses_between_packets_and_the_client_ends_them_after_numbers(new: FirmwareV2):
    asked = np.flatnonzero(CENTRE.levels.any(axis=1))
    say(new, b"machine\n", b"ssl.1\n", f"ssv.{'.'.join(map(str, asked))}\n".encode())
    (stored,) = json.loads(say(new, b"pseq\n").removesuffix(END))["sequence"]
    assert stored != list(asked)
    shown_on(new, CENTRE)


def test_v1_forgets_half_a_command_and_runs_the_other_half(old: FirmwareV1):
    assert say(old, b"l.12.3", b"45.7\n") == b"Command [45] is not implemented yet.-==-\n"
    assert lit_leds(old) == []
    assert say(old, b"ss", b"l.1\n") == END
    assert lit_leds(old) == [1]


def test_v1_throws_away_what_comes_behind_a_newline(old: FirmwareV1):
    assert say(old, b"x\nff\n") == END
    assert lit_leds(old) == []


@pytest.mark.parametrize("make", BOTH)
def test_numbers_are_read_as_c_reads_them(make: type[IlluminateFirmware]):
    firmware = make(Lamps(BOARD))
    for text, leds in {"010": [8], "0x10": [16], "12abc": [12], "abc": [0], "08": [0], "65541": [5]}.items():
        assert say(firmware, f"l.{text}\n".encode()) == END
        assert lit_leds(firmware) == leds
    for text in ("-1", "99999999999"):
        say(firmware, f"l.{text}\n".encode())
        assert lit_leds(firmware) == list(range(BOARD.n_leds))


@pytest.mark.parametrize("make", BOTH)
def test_the_client_writes_plain_numbers(make: type[IlluminateFirmware]):
    shown_on(make(Lamps(BOARD)), *(single_led(BOARD, led) for led in (0, 8, 9, 10, 64, 100, 399)))


def test_errors_of_v2_have_no_end_mark_and_those_of_v1_have(old: FirmwareV1, new: FirmwareV2):
    assert say(new, b"nonsense\n") == b"ERROR[16]: Invalid command.\n"
    assert say(old, b"sc.nonsense\n").endswith(END)


def test_v2_hangs_with_300_words_and_the_client_draws_instead(new: FirmwareV2):
    written = shown_on(new, ALL_GREEN)
    assert not any(command.startswith(b"ssv") for command in written)
    assert say(new, b"ssv." + b"1." * 298 + b"1\n") == b""
    assert say(new, b"x\n") == b""


def test_v2_stores_298_leds(new: FirmwareV2):
    most = Pattern.of_colour(BOARD, (np.arange(BOARD.n_leds) < 298).astype(float))
    assert any(command.startswith(b"ssv") for command in shown_on(new, most))


def test_v1_hangs_when_it_is_told_the_true_number_of_leds_and_the_client_tells_one_more(old: FirmwareV1):
    shown_on(old, CENTRE)
    say(old, b"ssl.1\n")
    assert say(old, b"ssv.2.5.255.6.255\n") == b""
    assert say(old, b"x\n") == b""


def test_v1_gets_no_command_longer_than_it_takes(old: FirmwareV1):
    assert max(map(len, shown_on(old, ALL_GREEN, CENTRE, COLOURS))) <= 1500


@pytest.mark.parametrize("make", BOTH)
def test_drawing_commands_fit_a_packet_and_no_byte_is_zero(make: type[IlluminateFirmware]):
    written = shown_on(make(Lamps(BOARD)), ALL_GREEN, COLOURS, CENTRE, single_led(BOARD, 7))
    assert max(len(command) for command in written if command.startswith(b"l.")) <= 64
    assert all(command.count(b"\n") == 1 and command.endswith(b"\n") for command in written)
    assert all(b"\0" not in command for command in written)


@pytest.mark.parametrize("make", BOTH)
def test_autoclear_is_a_toggle_and_its_state_does_not_matter(make: type[IlluminateFirmware]):
    for before in (b"ac\n", b"ac.1\n"):
        firmware = make(Lamps(BOARD))
        say(firmware, before)
        shown_on(firmware, COLOURS)
    firmware = make(Lamps(BOARD))
    say(firmware, b"ac\n", b"l.1\n", b"l.2\n")
    assert lit_leds(firmware) == [1, 2]


def test_brightness_and_colour_scale_and_the_client_gets_what_it_wants(old: FirmwareV1, new: FirmwareV2):
    for firmware in (old, new):
        say(firmware, b"sb.50\n", b"sc.40.20.0\n", b"l.3\n")
        assert firmware.lamps.log[-1][1][3].tolist() != [40, 20, 0]
        shown_on(firmware, Pattern.of(BOARD, np.where(np.arange(BOARD.n_leds) == 3, 1, 0)[:, None] * [0.157, 0.08, 0]))
        assert [40, 20, 0] in [levels[3].tolist() for _, levels in firmware.lamps.log]


def test_a_closed_shutter_keeps_the_light_on_and_hides_it(new: FirmwareV2):
    say(new, b"ff\n", b"gs.0\n", b"x\n")
    assert lit_leds(new) == list(range(BOARD.n_leds))
    values = json.loads(say(new, b"pvals\n").removesuffix(END))["led_values"]
    assert not any(map(any, values.values()))
    client = IlluminateClient(IlluminateLine(new), BOARD)
    assert lit_leds(new) == []
    client.close()


def test_v2_values_have_16_bits(new: FirmwareV2):
    say(new, b"ssc.1.7\n", b"l.5\n")
    assert json.loads(say(new, b"pvals\n").removesuffix(END))["led_values"]["5"][1] == 7 * 257


def test_l_alone_changes_what_is_read_but_not_what_is_lit(new: FirmwareV2):
    say(new, b"l\n")
    assert lit_leds(new) == []
    assert new.lamps.buffer[0].any()


@pytest.mark.parametrize("make", BOTH)
def test_a_line_that_an_earlier_program_left_unfinished_lights_nothing(make: type[IlluminateFirmware]):
    firmware = make(Lamps(BOARD))
    say(firmware, b"l.12.3")
    client = IlluminateClient(IlluminateLine(firmware), BOARD)
    assert not any(levels.any() for _, levels in firmware.lamps.log)
    client.show(CENTRE, hold_ms=10.0)
    client.close()


@pytest.mark.parametrize("make", BOTH)
def test_what_the_board_says_by_itself_is_no_answer(make: type[IlluminateFirmware]):
    firmware = make(Lamps(BOARD))
    line = IlluminateLine(firmware)
    line.interject(b"=== LED Array Controller\n=== For help, type ?\nDone.-==-\n")
    client = IlluminateClient(line, BOARD)
    line.interject(b"ERROR[14]: Trigger timeout.\n")
    client.show(CENTRE, hold_ms=10.0)
    client.close()


@pytest.mark.parametrize("make", BOTH)
def test_answers_are_long_until_the_client_wants_them_short(make: type[IlluminateFirmware]):
    firmware = make(Lamps(BOARD))
    assert say(firmware, b"sb.9\n") == b"Current brightness value is 9.\n" + END
    shown_on(firmware, CENTRE)
    assert say(firmware, b"sb.9\n") == b"SB.9\n" + END
