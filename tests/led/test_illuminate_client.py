"""The illuminate client against emulated v1 and v2 boards on a pseudo-terminal; the boards' logs tell what was lit."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lines import DisturbedLine, lost, once

from lsm.devices import Illuminator
from lsm.errors import ConfigError, IlluminatorError, IlluminatorTimeout, LimitExceeded, PortBusy, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark, half_disc, single_led
from lsm.led import SerialTransport
from lsm.led.illuminate import IlluminateClient
from lsm_sim.illuminate_board import EmulatedBoard
from lsm_sim.illuminate_firmware import IlluminateFirmware, Lamps
from lsm_sim.illuminate_v1 import FirmwareV1
from lsm_sim.illuminate_v2 import FirmwareV2

BOARD = LedBoard.grid(rows=18, columns=18, pitch_mm=4.0, distance_mm=60.0)
CENTRE = bright_field(BOARD, na=0.25)
RANDOM_RGB = Pattern.of(BOARD, np.random.default_rng(1).integers(0, 256, (BOARD.n_leds, 3)) / 255, name="random")
LEARNED = Pattern.of_colour(BOARD, np.random.default_rng(2).integers(0, 256, BOARD.n_leds) / 255, name="learned")
GREY = Pattern.of(BOARD, np.repeat(CENTRE.duty[:, 1:2] * np.linspace(0.1, 1.0, BOARD.n_leds)[:, None], 3, axis=1))
FEW_RED = Pattern.of_colour(BOARD, np.isin(np.arange(BOARD.n_leds), [0, 3, 45, 323]) * 0.5, colour=0)
REPLY_S = 1.0  # an emulated board answers within milliseconds, on a busy machine hundreds of them


@pytest.fixture(params=[FirmwareV1, FirmwareV2], ids=["v1", "v2"])
def firmware(request: pytest.FixtureRequest) -> IlluminateFirmware:
    return request.param(Lamps(BOARD))


@pytest.fixture
def emulated(firmware: IlluminateFirmware) -> Iterator[EmulatedBoard]:
    with EmulatedBoard(firmware) as board:
        yield board


@pytest.fixture
def line(emulated: EmulatedBoard) -> DisturbedLine:
    return DisturbedLine(emulated.open_transport())


@pytest.fixture
def client(line: DisturbedLine) -> Iterator[IlluminateClient]:
    with IlluminateClient(line, BOARD, reply_s=REPLY_S) as client:
        yield client


def wrongly_lit(emulated: EmulatedBoard, pattern: Pattern) -> np.ndarray:
    """LEDs that were on at any moment since power-on, but are not in the pattern."""
    return np.flatnonzero(emulated.ever_lit() & ~pattern.levels.any(axis=1))


def test_it_is_an_illuminator_and_knows_its_dialect(client: IlluminateClient, firmware: IlluminateFirmware):
    assert isinstance(client, Illuminator)
    assert client.board is BOARD
    assert client.dialect == ("v1" if isinstance(firmware, FirmwareV1) else "v2")
    assert client.properties["led_count"] == BOARD.n_leds


@pytest.mark.parametrize(
    "pattern", [CENTRE, FEW_RED, GREY, half_disc(BOARD, na=0.3, angle_rad=1.0), single_led(BOARD, 323)]
)
def test_what_is_shown_is_lit_and_nothing_else_ever_was(
    emulated: EmulatedBoard, client: IlluminateClient, pattern: Pattern
):
    shown = client.show(pattern, hold_ms=10.0)
    np.testing.assert_array_equal(shown.levels, pattern.levels)
    np.testing.assert_array_equal(emulated.lit(), pattern.levels)
    np.testing.assert_array_equal(client.latched(), pattern.levels)
    assert wrongly_lit(emulated, pattern).size == 0
    assert client.still_lit(shown)


@pytest.mark.parametrize("pattern", [RANDOM_RGB, LEARNED])
def test_a_pattern_with_more_colours_than_the_board_draws_is_rounded_and_says_so(
    emulated: EmulatedBoard, client: IlluminateClient, pattern: Pattern
):
    shown = client.show(pattern, hold_ms=10.0)
    np.testing.assert_array_equal(emulated.lit(), shown.levels)
    # 64 colours of three channels: 0, 85, 170, 255; of one channel: 64 steps of 4 or 5
    assert np.abs(shown.levels.astype(int) - pattern.levels).max() <= (43 if pattern is RANDOM_RGB else 3)
    assert wrongly_lit(emulated, pattern).size == 0


def test_every_colour_of_a_drawn_pattern_is_exact(emulated: EmulatedBoard, client: IlluminateClient):
    duty = np.zeros((BOARD.n_leds, 3))
    duty[5:261, 0] = np.arange(256)[::-1] / 255
    duty[5:261, 2] = np.arange(256) / 255
    with_all_levels = Pattern.of(BOARD, duty)
    client.close()
    with IlluminateClient(emulated.open_transport(), BOARD, levels=256) as fine:
        fine.show(with_all_levels, hold_ms=10.0)
        np.testing.assert_array_equal(emulated.lit(), with_all_levels.levels)


def test_a_one_colour_pattern_lights_up_in_one_step(emulated: EmulatedBoard, client: IlluminateClient):
    client.show(CENTRE, hold_ms=10.0)
    different = {levels.tobytes() for _, levels in emulated.log}
    assert different == {bytes(3 * BOARD.n_leds), CENTRE.levels.tobytes()}


def test_one_channel_boards_work():
    red = LedBoard.grid(rows=16, columns=16, pitch_mm=4.0, distance_mm=60.0, wavelengths_um=(0.74,))
    pattern = Pattern.of_colour(red, np.arange(256) / 255, colour=0)
    for firmware in (FirmwareV1(Lamps(red)), FirmwareV2(Lamps(red))):
        with EmulatedBoard(firmware) as emulated, IlluminateClient(emulated.open_transport(), red) as client:
            shown = client.show(pattern, hold_ms=10.0)
            np.testing.assert_array_equal(emulated.lit(), shown.levels)
            assert np.abs(shown.levels.astype(int) - pattern.levels).max() <= 3  # 64 levels


def test_dark_and_close_put_everything_out(emulated: EmulatedBoard, client: IlluminateClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    client.dark()
    assert not emulated.lit().any()
    assert not client.still_lit(shown)
    client.show(RANDOM_RGB, hold_ms=10.0)
    client.close()
    assert not emulated.lit().any()
    client.close()


def test_a_dark_pattern_can_be_shown(emulated: EmulatedBoard, client: IlluminateClient):
    shown = client.show(dark(BOARD), hold_ms=10.0)
    assert client.still_lit(shown)
    assert not emulated.ever_lit().any()


def test_still_lit_is_false_after_another_light(client: IlluminateClient):
    first = client.show(CENTRE, hold_ms=10.0)
    second = client.show(CENTRE, hold_ms=10.0)
    assert not client.still_lit(first)
    assert client.still_lit(second)


def test_still_lit_sees_what_another_hand_did(firmware: IlluminateFirmware, client: IlluminateClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    firmware.lamps.set_led(7, (1, 1, 1))
    firmware.lamps.update()
    assert not client.still_lit(shown)


def test_what_was_lit_before_is_put_out(emulated: EmulatedBoard):
    earlier = emulated.open_transport()
    earlier.write(b"ff\n")
    while not emulated.lit().all():
        time.sleep(0.005)
    earlier.close()
    with IlluminateClient(emulated.open_transport(), BOARD, reply_s=REPLY_S):
        assert not emulated.lit().any()


def test_the_light_goes_out_by_itself(emulated: EmulatedBoard, client: IlluminateClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    shown_ns = time.monotonic_ns()
    await_darkness(emulated)
    dark_ns = emulated.log[-1][0]
    assert 1.9 <= (dark_ns - shown_ns) / 1e9 <= 3.0  # 2 s from within show(), and a busy machine
    assert not client.still_lit(shown)


def test_asking_keeps_the_light_on(emulated: EmulatedBoard, client: IlluminateClient):
    shown = client.show(CENTRE, hold_ms=10.0)
    for _ in range(5):
        time.sleep(0.5)
        assert client.still_lit(shown)
    assert emulated.lit().any()


def test_leaving_python_turns_the_light_off(emulated: EmulatedBoard):
    program = """
import sys
from lsm.illum import LedBoard, bright_field
from lsm.led import SerialTransport
from lsm.led.illuminate import IlluminateClient
board = LedBoard.grid(rows=18, columns=18, pitch_mm=4.0, distance_mm=60.0)
client = IlluminateClient(SerialTransport(sys.argv[1]), board)
client.show(bright_field(board, na=0.25), hold_ms=60000.0)
raise SystemExit("the program fails")
"""
    done = subprocess.run([sys.executable, "-c", program, emulated.port], capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert emulated.ever_lit().any()
    assert not emulated.lit().any()


@pytest.mark.parametrize("hold_ms", [60001.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_hold_time_lights_nothing(emulated: EmulatedBoard, client: IlluminateClient, hold_ms: float):
    with pytest.raises(LimitExceeded):
        client.show(CENTRE, hold_ms=hold_ms)
    assert not emulated.ever_lit().any()


def test_a_pattern_for_another_board_is_refused(emulated: EmulatedBoard, client: IlluminateClient):
    other = LedBoard.grid(rows=18, columns=18, pitch_mm=3.0, distance_mm=60.0)
    with pytest.raises(WrongFormat):
        client.show(bright_field(other, na=0.1), hold_ms=10.0)
    assert not emulated.ever_lit().any()


@pytest.mark.parametrize(
    ("board", "message"),
    [
        (LedBoard.grid(rows=8, columns=8, pitch_mm=4.0, distance_mm=60.0), "324 LEDs"),
        (LedBoard.grid(rows=18, columns=18, pitch_mm=4.0, distance_mm=60.0, wavelengths_um=(0.5,)), "3 colours"),
        (LedBoard.grid(rows=18, columns=18, pitch_mm=5.0, distance_mm=60.0), "8.50 mm"),
    ],
)
def test_another_board_is_refused(emulated: EmulatedBoard, board: LedBoard, message: str):
    with pytest.raises(ConfigError, match=message):
        IlluminateClient(emulated.open_transport(), board, reply_s=REPLY_S)
    emulated.open_transport().close()  # the port is free again
    assert not emulated.ever_lit().any()


def test_too_few_levels_are_refused(emulated: EmulatedBoard):
    with pytest.raises(ConfigError, match="6 levels"):
        IlluminateClient(emulated.open_transport(), BOARD, levels=6)


def test_two_colours_are_refused(emulated: EmulatedBoard):
    two = LedBoard.grid(rows=18, columns=18, pitch_mm=4.0, distance_mm=60.0, wavelengths_um=(0.5, 0.6))
    with pytest.raises(ConfigError, match="1 or 3"):
        IlluminateClient(emulated.open_transport(), two)


def test_a_dialect_that_the_board_does_not_speak_is_refused_at_once(
    emulated: EmulatedBoard, firmware: IlluminateFirmware
):
    other = "v2" if isinstance(firmware, FirmwareV1) else "v1"
    started = time.monotonic()
    with pytest.raises(IlluminatorError, match="does not tell") as raised:
        IlluminateClient(emulated.open_transport(), BOARD, dialect=other, reply_s=5.0)
    assert not isinstance(raised.value, IlluminatorTimeout)
    assert time.monotonic() - started < 5.0  # v2 errors have no end mark; waiting for one would take this long


def test_no_second_program_gets_the_port(emulated: EmulatedBoard, client: IlluminateClient):
    with pytest.raises(PortBusy):
        SerialTransport(emulated.port)


@pytest.mark.parametrize("pattern", [CENTRE, RANDOM_RGB])
def test_a_board_that_is_unplugged_is_an_error(emulated: EmulatedBoard, client: IlluminateClient, pattern: Pattern):
    shown = client.show(pattern, hold_ms=10.0)
    emulated.unplug()
    with pytest.raises(IlluminatorTimeout):
        client.still_lit(shown)
    with pytest.raises(IlluminatorTimeout):
        client.show(pattern, hold_ms=10.0)
    with pytest.raises(IlluminatorTimeout):
        client.dark()
    client.close()


def test_a_board_that_comes_back_with_its_light_on_is_put_out_and_works(tmp_path: Path, firmware: IlluminateFirmware):
    port = tmp_path / "port"
    with EmulatedBoard(firmware) as first:
        port.symlink_to(first.port)
        client = IlluminateClient(SerialTransport(str(port)), BOARD, reply_s=REPLY_S)
        client.show(CENTRE, hold_ms=10.0)
    with pytest.raises(IlluminatorTimeout):
        client.show(CENTRE, hold_ms=10.0)
    port.unlink()
    firmware.lamps.set_led(7, (9, 9, 9))
    firmware.lamps.update()  # it has a supply of its own
    with EmulatedBoard(firmware) as again:
        port.symlink_to(again.port)
        await_darkness(again)
        client.show(CENTRE, hold_ms=10.0)
        np.testing.assert_array_equal(again.lit(), CENTRE.levels)
        client.close()
        assert not again.lit().any()


@pytest.mark.parametrize("pattern", [CENTRE, RANDOM_RGB])
@pytest.mark.parametrize("nth", [5])  # test_illuminate_faults.py loses them all
def test_a_lost_answer_is_an_error_and_darkness(
    emulated: EmulatedBoard, client: IlluminateClient, line: DisturbedLine, pattern: Pattern, nth: int
):
    line.read_filter = once(lost, nth=nth)
    with pytest.raises(IlluminatorTimeout, match="did not answer"):
        client.show(pattern, hold_ms=10.0)
    assert not emulated.lit().any()
    client.show(pattern, hold_ms=10.0)
    assert wrongly_lit(emulated, pattern).size == 0


def test_a_silent_line_is_tried_until_the_light_is_out(emulated: EmulatedBoard, line: DisturbedLine):
    with IlluminateClient(line, BOARD, reply_s=REPLY_S, retries=1) as client:
        client.show(CENTRE, hold_ms=10.0)
        line.write_filter = lost
        with pytest.raises(IlluminatorTimeout):
            client.dark()
        assert emulated.lit().any()
        line.write_filter = None
        await_darkness(emulated)


def test_a_board_that_lost_its_power_is_noticed_and_set_up_again(
    emulated: EmulatedBoard, firmware: IlluminateFirmware, client: IlluminateClient
):
    client.show(CENTRE, hold_ms=10.0)
    emulated.power_cycle(type(firmware)(Lamps(BOARD)))
    with pytest.raises(IlluminatorError):
        client.show(FEW_RED, hold_ms=10.0)
    assert not emulated.ever_lit().any()
    client.show(FEW_RED, hold_ms=10.0)
    assert wrongly_lit(emulated, FEW_RED).size == 0


def test_commands_from_two_threads_do_not_mix(emulated: EmulatedBoard, client: IlluminateClient):
    errors: list[Exception] = []

    def show(pattern: Pattern) -> None:
        try:
            for _ in range(10):
                client.show(pattern, hold_ms=10.0)
        except IlluminatorError as error:
            errors.append(error)

    threads = [threading.Thread(target=show, args=(pattern,)) for pattern in (CENTRE, FEW_RED)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    both = Pattern.of(BOARD, np.maximum(CENTRE.duty, FEW_RED.duty))
    assert wrongly_lit(emulated, both).size == 0


@pytest.mark.parametrize("answer", [b"hello\n-==-\n", b"{}-==-\n", b"[1]-==-\n", b'{"led_count": 3}\n-==-\n'])
def test_something_else_on_the_port_is_refused(emulated: EmulatedBoard, answer: bytes):
    line = DisturbedLine(emulated.open_transport())
    line.read_filter = answer_after(1, answer)
    with pytest.raises(IlluminatorError, match="answered"):
        IlluminateClient(line, BOARD, reply_s=REPLY_S)


def test_our_own_board_has_its_own_client(emulated: EmulatedBoard):
    line = DisturbedLine(emulated.open_transport())
    line.read_filter = answer_after(1, b'{"led_count": 324, "color_channels": ["r"], "lsm": {}}\n-==-\n')
    with pytest.raises(IlluminatorError, match="this project's firmware"):
        IlluminateClient(line, BOARD, reply_s=REPLY_S)


@pytest.mark.parametrize("pattern", [CENTRE, RANDOM_RGB])
def test_late_bytes_end_in_an_error_and_darkness(
    emulated: EmulatedBoard, client: IlluminateClient, line: DisturbedLine, pattern: Pattern
):
    for word in (b"ssv.", b"l."):
        seen = len(line.written)
        line.write_filter = late_rest(line, word)
        try:
            client.show(pattern, hold_ms=10.0)
        except IlluminatorError:
            assert not emulated.lit().any()
        else:
            assert not any(command.startswith(word) for command in line.written[seen:])
    line.write_filter = None
    client.show(pattern, hold_ms=10.0)
    assert emulated.lit().any()


def test_late_bytes_light_another_led_on_v2():
    with EmulatedBoard(FirmwareV2(Lamps(BOARD), polls_per_ms=10.0)) as emulated:
        line = DisturbedLine(emulated.open_transport())
        line.write_filter = late_rest(line, b"l.")
        line.write(b"l.123\n")
        assert line.read(5.0) == b"-==-\n"
        assert list(np.flatnonzero(emulated.ever_lit())) == [12]
        line.close()


def late_rest(line: DisturbedLine, word: bytes) -> Callable[[bytes], bytes]:
    """Hold back the last digit of the commands that begin with `word`."""

    def apply(data: bytes) -> bytes:
        if not data.startswith(word):
            return data
        line.transport.write(data[:-2])
        time.sleep(0.2)
        return data[-2:]

    return apply


def await_darkness(emulated: EmulatedBoard) -> None:
    deadline = time.monotonic() + 10.0
    while emulated.lit().any():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answer_after(n_answers: int, answer: bytes) -> Callable[[bytes], bytes]:
    """Leave the first answers alone, then say `answer`."""
    seen = 0

    def apply(data: bytes) -> bytes:
        nonlocal seen
        seen += 1
        return data if seen <= n_answers else answer

    return apply
