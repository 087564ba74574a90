"""The text of illuminate boards: one command, one answer, and what the answers say."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from lsm.errors import IlluminatorError, IlluminatorTimeout
from lsm.led.transport import Transport, find_again
from lsm.types import DutyLevels

END: Final = b"-==-\n"
V2_ERROR: Final = re.compile(rb"(?:^|\n)ERROR ?\[\d+\][^\n]*\n$")
REFUSAL: Final = re.compile(r"ERROR|^ERR:|is not implemented", re.IGNORECASE | re.MULTILINE)
V1_STORED: Final = re.compile(r"LED #: (\d+), value=(\d+) \(bit depth=(\d+)\)")
QUIET_S: Final = 0.03
DRAIN_S: Final = 1.0
ANSWER_BYTES_MAX: Final = 1 << 20
PRINTED_MAX: Final = 60
FULL_16: Final = 257  # a 16-bit board stores 8-bit level v as 257 v


class SilentBoard(IlluminatorTimeout):
    """The port is there, but nothing answers on it."""


class RefusedCommand(IlluminatorError):
    """The board answered with an error."""


class TextLine:
    """Commands and answers over `transport`, strictly one after the other: such boards drop what comes early.

    reply_s: the longest silence within an answer.
    no_watchdog: whether the board is known to leave its light on when nobody asks anything of it.
    """

    def __init__(self, transport: Transport, *, reply_s: float) -> None:
        self.no_watchdog = False
        self._transport = transport
        self._reply_s = reply_s

    @property
    def name(self) -> str:
        return self._transport.name

    def ask(self, command: str) -> str:
        """The answer to `command`, without its end mark.

        Written in one piece, since a board takes a pause within a command for the end of a number.
        Raises SilentBoard when no whole answer comes, IlluminatorTimeout when the port is gone, RefusedCommand
        when the board answers with an error.
        """
        self._discard()
        self._transport.write(command.encode("ascii") + b"\n")
        data = self._await_answer(command)
        text = data.removesuffix(END).decode("ascii", errors="replace").strip()
        if not data.endswith(END) or REFUSAL.search(text):
            raise RefusedCommand(
                f"The LED board on {self.name} refused '{shorten(command)}': {shorten(text)}.",
                hint="update its firmware, or give the dialect it speaks",
            )
        return text

    def expect(self, command: str, answer: str) -> None:
        """Ask, and raise IlluminatorError unless the board answers exactly `answer`."""
        text = self.ask(command)
        if text != answer:
            raise self.nonsense(command, text)

    def reopen(self) -> None:
        """The same port once more, after the board was away. Raises IlluminatorTimeout while it still is."""
        find_again(self._transport)

    def drain(self) -> None:
        """Wait until the board is quiet and drop what it said."""
        deadline = time.monotonic() + DRAIN_S
        while self._transport.read(QUIET_S) and time.monotonic() < deadline:
            pass

    def nonsense(self, command: str, text: str) -> IlluminatorError:
        return IlluminatorError(
            f"The LED board on {self.name} answered '{shorten(command)}' with '{shorten(text)}'.",
            hint="bytes were lost on the line, or this is no illuminate board",
        )

    def _discard(self) -> None:
        while self._transport.read(0.0):
            pass

    def _await_answer(self, command: str) -> bytes:
        data = b""
        deadline = time.monotonic() + max(DRAIN_S, 10 * self._reply_s)
        while time.monotonic() < deadline and len(data) < ANSWER_BYTES_MAX:
            piece = self._transport.read(self._reply_s)
            data += piece
            if data.endswith(END) or V2_ERROR.search(data[-200:]):
                return data
            if not piece:
                break
        warning = "; this kind of board does not go dark by itself" if self.no_watchdog else ""
        raise SilentBoard(
            f"The LED board on {self.name} did not answer '{shorten(command)}' within {self._reply_s:g} s.",
            hint=f"check baud rate, cable and power{warning}",
        )


def ask_properties(line: TextLine, words: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """The first of `words` that the board knows for its properties, and what it tells with it.

    Raises SilentBoard, IlluminatorTimeout, or IlluminatorError where it knows none of them or is no LED board.
    """
    refusal = ""
    for word in words:
        try:
            answer = line.ask(word)
        except RefusedCommand as error:
            refusal = error.message
            continue
        try:
            properties = parse_object(answer)
            int(properties["led_count"])
            len(properties["color_channels"])
        except (ValueError, KeyError, TypeError) as error:
            raise line.nonsense(word, answer) from error
        return word, properties
    raise IlluminatorError(
        f"The board on {line.name} does not tell its properties: {refusal}",
        hint="check the port's name and the dialect",
    )


def parse_values(text: str, n_leds: int, n_colours: int) -> DutyLevels:
    """Levels [led, colour] from the answer to `pvals`, of 8-bit and 16-bit boards.

    Raises ValueError for anything but one full row for every LED.
    """
    values = _table(text, "led_values", n_leds, n_colours).astype(np.int64)
    wide = values > np.iinfo(np.uint8).max
    if (values[wide] % FULL_16).any() or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ValueError("levels that no 8-bit command sets")
    return np.where(wide, values // FULL_16, values).astype(np.uint8)


def parse_positions(text: str, n_leds: int) -> Float[np.ndarray, "led 3"]:
    """Positions [led, 3] in millimetres from the answer to `pledpos`. Raises ValueError."""
    return _table(text, "led_position_list_cartesian", n_leds, 3)


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def parse_sequence_v1(text: str, *, bits: int) -> list[tuple[int, int]]:
    """LED numbers and levels of the only stored pattern, from the answer to `pseq`.

    Raises ValueError for none or several patterns, or another number of bits.
    """
    found = V1_STORED.findall(text)
    if text.count("Pattern ") != 1 or any(depth != str(bits) for _, _, depth in found):
        raise ValueError(f"not exactly one pattern of {bits} bits")
    return [(int(led), int(level)) for led, level, _ in found]


def parse_sequence_v2(text: str) -> list[tuple[int, int]]:
    """LED numbers of the only stored pattern, each with 1 for on. Raises ValueError for none or several."""
    patterns = parse_object(text).get("sequence")
    if not isinstance(patterns, list) or len(patterns) != 1:
        raise ValueError("not exactly one pattern")
    return [(int(led), 1) for led in patterns[0]]


def shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= PRINTED_MAX else line[: PRINTED_MAX - 3] + "..."


def _table(text: str, key: str, n_rows: int, n_columns: int) -> Float[np.ndarray, "row column"]:
    rows = parse_object(text).get(key)
    if not isinstance(rows, dict) or rows.keys() != {str(led) for led in range(n_rows)}:
        raise ValueError(f"not one row for each of {n_rows} LEDs")
    in_order = [rows[str(led)] for led in range(n_rows)]
    if not all(isinstance(row, list) and len(row) == n_columns for row in in_order):
        raise ValueError(f"not {n_columns} numbers in every row")
    return np.array(in_order, dtype=np.float64)
