"""What both generations of illuminate firmware have in common; illuminate_board.py lists the traps."""

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from jaxtyping import Integer, UInt8

from lsm.illum import LedBoard

PACKET_BYTES: Final = 64

Levels = UInt8[np.ndarray, "led colour"]
Refused = int
Command = Callable[[list[str]], str | Refused]


class Lamps:
    """The LEDs: a buffer that commands fill and `pvals` reads, and what the drivers have latched from it.

    log: every latch with its monotonic time in nanoseconds.
    """

    def __init__(self, board: LedBoard) -> None:
        self.board = board
        self.buffer: Levels = np.zeros((board.n_leds, board.n_colours), dtype=np.uint8)
        self.log: list[tuple[int, Levels]] = []
        self.update()

    def update(self) -> None:
        self.log.append((time.monotonic_ns(), self.buffer.copy()))

    def clear(self) -> None:
        self.buffer[:] = 0

    def set_led(self, number: int, colour: Sequence[int]) -> None:
        """A negative number means all; one beyond the table reads what lies there, here some other LED."""
        signed = (number + 0x8000) % 0x10000 - 0x8000
        if signed < 0:
            self.buffer[:] = colour
        else:
            self.buffer[signed % self.board.n_leds] = colour


class IlluminateFirmware(ABC):
    """A board's program: bytes in, bytes out. Commands get their arguments as text and return what they say."""

    def __init__(self, lamps: Lamps) -> None:
        n_colours = lamps.board.n_colours
        self.lamps = lamps
        self._machine = False
        self._auto_clear = True
        self._hung = False
        self._brightness = 50
        self._colour = [round(255 / n_colours)] * n_colours
        self._value = [ceil32(part, self._brightness) for part in self._colour]
        self._length = 7
        self._index = 0

    @abstractmethod
    def receive(self, data: bytes, *, pause_s: float) -> bytes:
        """What the board answers to bytes that came in one piece, `pause_s` after the piece before."""

    def _latch(self) -> None:
        self.lamps.update()

    def _said(self, short: str, long: str) -> str:
        return (short if self._machine else long) + "\n"

    def _set_mode(self, *, machine: bool) -> str:
        self._machine = machine
        return f"Command output set to {'machine' if machine else 'human'}-readable\n"

    def _set_auto_clear(self, arguments: list[str]) -> str:
        self._auto_clear = bool(atoi(arguments[0])) if arguments else not self._auto_clear
        return self._said(f"AC.{self._auto_clear:d}", f"Auto clear bit is now {self._auto_clear:d}")

    def _set_brightness(self, arguments: list[str]) -> str:
        if arguments:
            self._brightness = strtoul(arguments[0]) % 256
        self._value = [ceil32(part, self._brightness) for part in self._colour]
        return self._said(f"SB.{self._brightness}", f"Current brightness value is {self._brightness}.")

    def _colour_said(self, parts: list[int]) -> str:
        echo = ".".join(map(str, parts))
        return self._said(f"CO.{echo}", f"Current color balance values are {echo}")

    def _clear(self) -> str:
        self.lamps.clear()
        self._latch()
        return ""

    def _fill(self) -> str:
        self.lamps.set_led(-1, self._value)
        self._latch()
        return ""

    def _stepped(self, n_patterns: int) -> str:
        self._latch()
        self._index += 1
        return f"Stepping sequence \nDisplayed pattern # {self._index} of {n_patterns}\n"


def strtoul(text: str) -> int:
    """A number as C reads it with base 0: 0 means octal, 0x hexadecimal; rubbish ends it, too much saturates."""
    found = re.match(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))", text)
    if found is None:
        return 0
    sign, hexadecimal, octal, decimal = found.groups()
    number = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    number = min(number, 0xFFFFFFFF)
    return -number % 0x100000000 if sign == "-" else number


def atoi(text: str) -> int:
    """A decimal number as C reads it: rubbish ends it."""
    found = re.match(r"\s*[+-]?\d+", text)
    return int(found.group()) if found else 0


def ceil32(part: int, brightness: int) -> int:
    """A level after `sb`, in single precision as the boards compute it."""
    return int(np.ceil(np.float32(part) / np.float32(255) * np.float32(brightness)))


def floor32(part: int, brightness: int) -> int:
    """A level after `sc`."""
    return int(np.float32(part) / np.float32(255) * np.float32(brightness))


def properties(board: LedBoard, *, bit_depth: int) -> str:
    """The answer to `pp` and `pprops`: JSON without a newline at its end."""
    names = ["r", "g", "b"][: board.n_colours]
    lengths = ", ".join(
        f'"{name}" : {1000 * wavelength:.3f}' for name, wavelength in zip(names, board.wavelengths_um, strict=True)
    )
    entries = {
        "device_name": f'"{board.name}"',
        "led_count": board.n_leds,
        "color_channels": "[" + ", ".join(f'"{name}"' for name in names) + "]",
        "color_channel_center_wavelengths": f"{{{lengths}}}",
        "trigger_input_count": 2,
        "trigger_output_count": 2,
        "bit_depth": bit_depth,
        "serial_number": 65535,
        "part_number": 65535,
        "mac_address": '"00:00:00:00:00:00"',
    }
    return "{\n" + ",\n".join(f'    "{key}" : {entry}' for key, entry in entries.items()) + "\n}"


def positions(board: LedBoard) -> str:
    """The answer to `pledpos`."""
    rows = [f'        "{led}" : [{x:.2f}, {y:.2f}, {z:.2f}]' for led, (x, y, z) in enumerate(board.positions_mm)]
    return '{\n    "led_position_list_cartesian" : {\n' + ",\n".join(rows) + "\n    }\n}"


def values(levels: Integer[np.ndarray, "led colour"]) -> str:
    """The answer to `pvals`: the buffer, whether it is latched or not."""
    rows = [f'        "{led}" : [{",".join(map(str, row))}]' for led, row in enumerate(levels)]
    return '{\n    "led_values" : {\n' + ", \n".join(rows) + " \n    }\n}\n"
