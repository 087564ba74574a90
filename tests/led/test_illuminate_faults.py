"""Every byte of every command to an illuminate board lost, changed, doubled or late: no wrong light goes unnoticed.

The line is lsm_sim.illuminate_line, on which waiting takes no time.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lsm.errors import IlluminatorError
from lsm.illum import LedBoard, Pattern
from lsm.led.illuminate import IlluminateClient
from lsm_sim.illuminate_firmware import IlluminateFirmware, Lamps
from lsm_sim.illuminate_line import IlluminateLine, Piece, undamaged
from lsm_sim.illuminate_v1 import FirmwareV1
from lsm_sim.illuminate_v2 import FirmwareV2

BOARD = LedBoard.grid(rows=11, columns=11, pitch_mm=4.0, distance_mm=60.0)
LEDS = [2, *range(99, 117)]  # numbers whose beginnings are other LEDs, in more than one packet
PAUSE_S = 0.005


def lit(colour: tuple[float, float, float]) -> Pattern:
    duty = np.zeros((BOARD.n_leds, 3))
    duty[LEDS] = colour
    return Pattern.of(BOARD, duty)


def stepped() -> np.ndarray:
    return np.isin(np.arange(BOARD.n_leds), LEDS)[:, None] * np.linspace(0.2, 1.0, BOARD.n_leds)[:, None]


ONE_COLOUR = lit((0.2, 0.8, 0.0))
GREY = Pattern.of(BOARD, np.repeat(stepped(), 3, axis=1), name="grey")
COLOURS = Pattern.of(BOARD, np.round(stepped() * 3) / 3 * [1.0, 0.5, 0.0], name="colours")

Fault = Callable[[bytes, int], list[Piece]]


def loses(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[:at] + data[at + 1 :])]


def loses_the_rest(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[:at])]


def loses_the_start(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[at:])]


def changes(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :])]


def doubles(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[: at + 1] + data[at:])]


def pauses(data: bytes, at: int) -> list[Piece]:
    return [(0.0, data[:at]), (PAUSE_S, data[at:])]


FAULTS: list[Fault] = [loses, loses_the_rest, loses_the_start, changes, doubles, pauses]


def v1() -> IlluminateFirmware:
    return FirmwareV1(Lamps(BOARD))


def v2() -> IlluminateFirmware:
    return FirmwareV2(Lamps(BOARD))


class Bench:
    """A client that shows one pattern again and again over a line with one fault each time."""

    def __init__(self, make: Callable[[], IlluminateFirmware], pattern: Pattern) -> None:
        self.pattern = pattern
        self._make = make
        self._connect()
        self.clean = self._show_clean()

    def _connect(self) -> None:
        self.line = IlluminateLine(self._make())
        self.client = IlluminateClient(self.line, BOARD)

    def _show_clean(self) -> list[bytes]:
        before = len(self.line.written)
        self.client.show(self.pattern, hold_ms=10.0)
        return self.line.written[before:]

    def faults(self, fault: Fault) -> Iterator[tuple[int, int]]:
        """The number of the command and the place in it, for all of them."""
        for nth, command in enumerate(self.clean):
            for at in range(0 if fault in (loses, changes, doubles) else 1, len(command)):
                yield nth, at

    def show_with(self, fault: Fault, nth: int, at: int) -> tuple[bool, np.ndarray]:
        """Whether show() raised, and the LEDs that were on meanwhile without being asked for."""
        lamps = self.line.firmware.lamps
        self.client.dark()
        lamps.log.clear()
        left = nth

        def damage(data: bytes) -> list[Piece]:
            nonlocal left
            left -= 1
            return fault(data, at) if left == -1 else undamaged(data)

        self.line.damage = damage
        raised = False
        try:
            shown = self.client.show(self.pattern, hold_ms=10.0)
            np.testing.assert_array_equal(shown.levels, lamps.log[-1][1])
        except IlluminatorError:
            raised = True
        self.line.damage = undamaged
        ever = np.zeros(BOARD.n_leds, dtype=bool)
        for _, levels in lamps.log:
            ever |= levels.any(axis=1)
        now = lamps.log[-1][1] if lamps.log else np.zeros((BOARD.n_leds, 3))
        assert now.any() != raised, (fault.__name__, self.clean[nth], at)
        return raised, np.flatnonzero(ever & ~self.pattern.levels.any(axis=1))

    def recover(self) -> None:
        """After a fault the same client works; a board that hangs (v1, its memory overrun) must be switched off."""
        try:
            self._show_clean()
        except IlluminatorError:
            self.client.close()
            self._connect()
            self._show_clean()

    def close(self) -> None:
        self.client.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize(("make", "pattern"), [(v1, ONE_COLOUR), (v1, GREY), (v2, ONE_COLOUR)])
def test_a_staged_pattern_never_lights_a_wrong_led_whatever_happens_to_a_byte(
    make: Callable[[], IlluminateFirmware], pattern: Pattern, fault: Fault
):
    bench = Bench(make, pattern)
    outcomes = []
    for nth, at in bench.faults(fault):
        raised, wrong = bench.show_with(fault, nth, at)
        assert wrong.size == 0, (bench.clean[nth], at)
        outcomes.append(raised)
        if raised:
            bench.recover()
    assert any(outcomes), "these faults must disturb something"
    bench.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("make", [v1, v2])
def test_a_drawn_pattern_with_a_damaged_byte_ends_in_an_error_and_darkness(
    make: Callable[[], IlluminateFirmware], fault: Fault
):
    """A wrong LED may be on here for a moment; it is noticed (show_with compares) and put out."""
    bench = Bench(make, COLOURS)
    outcomes = []
    for nth, at in bench.faults(fault):
        raised, wrong = bench.show_with(fault, nth, at)
        assert raised or wrong.size == 0, (bench.clean[nth], at)
        outcomes.append(raised)
        if raised:
            bench.recover()
    assert any(outcomes)
    bench.close()


def without_a_byte(answer: bytes) -> tuple[bytes, bytes]:
    at = len(answer) // 3
    return answer[:at] + answer[at + 1 :], b""


def late(answer: bytes) -> tuple[bytes, bytes]:
    return b"", answer


@pytest.mark.parametrize("fault", [without_a_byte, late], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("pattern", [ONE_COLOUR, GREY, COLOURS], ids=["one colour", "grey", "colours"])
def test_a_damaged_or_late_answer_ends_in_an_error_or_the_right_light(
    make: Callable[[], IlluminateFirmware], pattern: Pattern, fault: Callable[[bytes], tuple[bytes, bytes]]
):
    """fault: what comes of an answer now, and what only before the next one."""
    bench = Bench(make, pattern)
    lamps = bench.line.firmware.lamps
    outcomes = []
    for nth in range(len(bench.clean)):
        left, held = nth, b""

        def disturbed(answer: bytes) -> bytes:
            nonlocal left, held
            left -= 1
            held, answer = (b"", held + answer) if left != -1 else fault(answer)[::-1]
            return answer

        bench.client.dark()
        lamps.log.clear()
        bench.line.answers = disturbed
        try:
            bench.client.show(pattern, hold_ms=10.0)
            outcomes.append(False)
        except IlluminatorError:
            outcomes.append(True)
        bench.line.answers = bytes
        assert lamps.log[-1][1].any() != outcomes[-1]
        ever = np.any([levels.any(axis=1) for _, levels in lamps.log], axis=0)
        assert not (ever & ~pattern.levels.any(axis=1)).any()
        if outcomes[-1]:
            bench.recover()
    assert any(outcomes)
    bench.close()
