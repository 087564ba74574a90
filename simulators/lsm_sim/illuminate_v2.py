"""sci-microscopy/illuminate v2 as a board's program; illuminate_board.py lists the traps."""

import re
from typing import Final

import numpy as np

from lsm_sim.illuminate_firmware import (
    PACKET_BYTES,
    Command,
    IlluminateFirmware,
    Lamps,
    Refused,
    atoi,
    floor32,
    positions,
    properties,
    strtoul,
    values,
)

BUFFER_BYTES: Final = 1024 * 16 - 2
WORDS_MAX: Final = 300
EMPTY_READS_BETWEEN_PACKETS: Final = 3
EMPTY_READ: Final = b"\xff"

WRONG_COUNT: Final = 2
INVALID_ARGUMENT: Final = 8
NOT_SUPPORTED: Final = 9
OUT_OF_RANGE: Final = 10
INVALID_COMMAND: Final = 16
SEQUENCE_FULL: Final = 19
ERRORS: Final = {
    WRONG_COUNT: "Wrong number of arguments.",
    INVALID_ARGUMENT: "Invalid argument.",
    NOT_SUPPORTED: "Device does not support this feature.",
    OUT_OF_RANGE: "Invalid argument range.",
    INVALID_COMMAND: "Invalid command.",
    SEQUENCE_FULL: "Sequence is full.",
}


class FirmwareV2(IlluminateFirmware):
    """Reads until the newline, and takes "nothing there" for a byte.

    polls_per_ms: how often it looks for a byte. pause_between_packets: whether it looks before the next USB packet
    of a command is there.
    """

    def __init__(self, lamps: Lamps, *, polls_per_ms: float = 1000.0, pause_between_packets: bool = True) -> None:
        super().__init__(lamps)
        self._polls_per_ms = polls_per_ms
        self._pauses = pause_between_packets
        self._line = b""
        self._shutter_open = True
        self._patterns: list[list[int]] = [[0], [], [1], [], [2], [], [3]]
        self._commands: dict[str, Command] = {
            "version": lambda _: "2.0\n",
            "machine": lambda _: self._set_mode(machine=True),
            "human": lambda _: self._set_mode(machine=False),
            "pprops": lambda _: properties(lamps.board, bit_depth=16),
            "pledpos": lambda _: positions(lamps.board) + "\n",
            "pvals": lambda _: values(lamps.buffer.astype(np.int64) * 257),
            "ac": self._set_auto_clear,
            "sb": self._set_brightness,
            "sc": self._set_colour,
            "ssc": self._set_channel,
            "l": self._draw_leds,
            "x": lambda _: self._clear(),
            "ff": lambda _: self._fill(),
            "gs": self._set_shutter,
            "ssl": self._set_length,
            "ssv": self._set_pattern,
            "pseq": lambda _: self._print_sequence(),
            "sseq": lambda _: self._step(),
        }

    def receive(self, data: bytes, *, pause_s: float) -> bytes:
        answer = b""
        empty_reads = min(round(pause_s * 1000 * self._polls_per_ms), BUFFER_BYTES)
        for start in range(0, len(data), PACKET_BYTES):
            if self._line:
                self._line += EMPTY_READ * empty_reads
            answer += self._packet(data[start : start + PACKET_BYTES])
            empty_reads = EMPTY_READS_BETWEEN_PACKETS if self._pauses else 0
        return answer

    def _packet(self, data: bytes) -> bytes:
        answer = b""
        *complete, rest = re.split(rb"[\r\n]", data)
        for part in complete:
            line, self._line = self._line + part, b""
            if line and len(line) < BUFFER_BYTES and not self._hung:  # a longer one is dropped without a word
                answer += self._route(line.decode("latin-1")).encode("latin-1")
        self._line += rest
        return answer

    def _route(self, line: str) -> str:
        words = [word for word in line.split(".") if word]
        if len(words) >= WORDS_MAX:  # writes past the end of its list
            self._hung = True
            return ""
        command = self._commands.get(words[0]) if words else None
        said = INVALID_COMMAND if command is None else command(words[1:])
        return f"ERROR[{said}]: {ERRORS[said]}\n" if isinstance(said, int) else said + "-==-\n"

    def _latch(self) -> None:
        if self._shutter_open:
            self.lamps.update()
        else:
            self.lamps.clear()

    def _set_colour(self, arguments: list[str]) -> str | Refused:
        if len(self._colour) != 3:
            return NOT_SUPPORTED
        if len(arguments) != 3 or not arguments[0][0].isdigit():
            return INVALID_ARGUMENT
        parts = [atoi(text) % 256 for text in arguments]
        strongest = max(parts)
        self._colour = [round(255 * part / strongest) if strongest else 0 for part in parts]
        self._value = [floor32(part, self._brightness) for part in self._colour]
        return self._colour_said(self._colour)

    def _set_channel(self, arguments: list[str]) -> str | Refused:
        if len(arguments) == 2:
            channel = atoi(arguments[0]) % 256
            if channel >= len(self._value):
                return OUT_OF_RANGE
            self._value[channel] = atoi(arguments[1]) % 256
        elif arguments:
            return WRONG_COUNT
        return self._colour_said(self._value)

    def _draw_leds(self, arguments: list[str]) -> str:
        if self._auto_clear:
            self._clear()
        if not arguments:
            self.lamps.set_led(0, self._value)  # in the buffer only
            return ""
        for text in arguments:
            self.lamps.set_led(strtoul(text), self._value)
        self._latch()
        return ""

    def _set_shutter(self, arguments: list[str]) -> str | Refused:
        if len(arguments) > 1:
            return WRONG_COUNT
        if arguments:
            self._shutter_open = bool(atoi(arguments[0]))
            self._latch()
        state = "open" if self._shutter_open else "closed"
        return self._said(f"GS.{self._shutter_open:d}", f"Current global shutter state: {state}")

    def _set_length(self, arguments: list[str]) -> str | Refused:
        if len(arguments) != 1:
            return WRONG_COUNT
        self._patterns, self._length = [], strtoul(arguments[0]) % 0x10000
        return self._said(f"SEQ_LEN.{self._length}", f"Sequence length is now: {self._length}.")

    def _set_pattern(self, arguments: list[str]) -> str | Refused:
        if not arguments:
            return WRONG_COUNT
        if len(self._patterns) >= self._length:
            return SEQUENCE_FULL
        self._patterns.append([strtoul(text) % 0x10000 for text in arguments])
        return self._pattern_text(len(self._patterns) - 1)

    def _pattern_text(self, index: int) -> str:
        leds = self._patterns[index]
        if self._machine:
            return f"[{','.join(map(str, leds))}]" + (",\n" if index < len(self._patterns) - 1 else "\n")
        return f"Pattern {index} ({len(leds)} leds): {', '.join(map(str, leds))}\n"

    def _print_sequence(self) -> str:
        lines = "".join(self._pattern_text(index) for index in range(len(self._patterns)))
        if self._machine:
            return f'{{\n  "sequence": [\n{lines} ]\n}}\n'
        return f"Sequence has {self._length} patterns:\n{lines}"

    def _step(self) -> str:
        if self._index >= len(self._patterns):
            self._index = 0
        self.lamps.clear()
        for led in self._patterns[self._index] if self._patterns else []:
            self.lamps.set_led(led, self._value)
        return self._stepped(len(self._patterns))
