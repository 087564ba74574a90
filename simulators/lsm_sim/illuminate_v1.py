"""zfphil/illuminate r1 as a board's program; illuminate_board.py lists the traps."""

from lsm_sim.illuminate_firmware import (
    PACKET_BYTES,
    Command,
    IlluminateFirmware,
    Lamps,
    atoi,
    floor32,
    positions,
    properties,
    strtoul,
    values,
)


class FirmwareV1(IlluminateFirmware):
    """Reads while bytes are there, and forgets a command that is not complete by then.

    pause_between_packets: whether nothing is there for a moment between two USB packets of a command.
    """

    def __init__(self, lamps: Lamps, *, pause_between_packets: bool = False) -> None:
        super().__init__(lamps)
        self._pauses = pause_between_packets
        self._depth = 8
        self._patterns = [[(0, 127)], [], [(1, 127)], [], [(2, 127)], [], [(3, 127)]]
        self._commands: dict[str, Command] = {}
        for names, command in (
            (("ver", "version"), lambda _: "1.21\n"),
            (("machine", "setModeMachine"), lambda _: self._set_mode(machine=True)),
            (("human", "setModeHuman"), lambda _: self._set_mode(machine=False)),
            (("pp", "printParams"), lambda _: properties(lamps.board, bit_depth=8)),
            (("pledpos", "printLedPositions"), lambda _: positions(lamps.board)),
            (("pvals", "printVals"), lambda _: values(lamps.buffer)),
            (("ac", "autoClear"), self._set_auto_clear),
            (("sb", "setBrightness"), self._set_brightness),
            (("sc", "setColor"), self._set_colour),
            (("l", "led"), self._draw_leds),
            (("x", "xx"), lambda _: self._clear()),
            (("ff", "fillArray"), lambda _: self._fill()),
            (("ssbd", "setSeqBitDepth"), self._set_depth),
            (("ssl", "setSeqLength"), self._set_length),
            (("ssv", "setSeqValue"), self._set_pattern),
            (("pseq", "printSeq"), lambda _: self._print_sequence()),
            (("sseq", "stepSequence"), lambda _: self._step()),
        ):
            self._commands |= dict.fromkeys(names, command)

    def receive(self, data: bytes, *, pause_s: float) -> bytes:
        size = PACKET_BYTES if self._pauses else max(len(data), 1)
        answer = b""
        for start in range(0, len(data), size):
            line, newline, _ = data[start : start + size].partition(b"\n")  # what is behind it is thrown away
            if newline and not self._hung:
                said = self._route(line.decode("latin-1"))
                answer += b"" if self._hung else f"{said}-==-\n".encode("latin-1")
        return answer

    def _route(self, line: str) -> str:
        name, *arguments = line.split(".")
        command = self._commands.get(name)
        return f"Command [{name}] is not implemented yet." if command is None else str(command(arguments))

    def _set_colour(self, arguments: list[str]) -> str:
        if len(self._colour) == 1:
            return "ERROR (LedArray::setColor): Current device does not support color illumination \n"
        if len(arguments) not in (1, 3) or not arguments[0][:1].isdigit():
            return "ERROR (LedArray::setColor): Invalid color value \n"
        self._colour = [atoi(text) % 256 for text in (arguments * 3)[:3]]
        self._value = [floor32(part, self._brightness) for part in self._colour]
        return self._colour_said(self._colour)

    def _draw_leds(self, arguments: list[str]) -> str:
        if self._auto_clear:
            self._clear()
        for text in arguments:
            self.lamps.set_led(strtoul(text), self._value)
        self._latch()
        return ""

    def _set_depth(self, arguments: list[str]) -> str:
        self._patterns = []
        if not arguments or atoi(arguments[0]) not in (1, 8):
            return "ERROR - invalid bit depth! (allowed values are 1 or 8) \n"
        self._depth = atoi(arguments[0])
        return self._said(f"BD.{self._depth}", f"Sequence bit depth is now: {self._depth}.")

    def _set_length(self, arguments: list[str]) -> str:
        self._patterns = []
        self._length = strtoul(arguments[0]) if arguments else 0
        return f"New sequence length is: {self._length}\n"

    def _set_pattern(self, arguments: list[str]) -> str:
        room = strtoul(arguments[0]) if arguments else 0
        leds, levels = arguments[1::2], arguments[2::2]
        if len(leds) >= max(room, 1):  # writes past the end of its list
            self._hung = True
            return ""
        if len(leds) != len(levels):
            return "Error (LedArray::setSequenceValue) - invalid number of arguments (should be divisible by 3\n"
        if len(self._patterns) >= self._length:
            return f"Sequence length ({self._length}) reached. \n"
        self._patterns.append([(strtoul(a) % 0x10000, atoi(b) % 256) for a, b in zip(leds, levels, strict=True)])
        return self._pattern_text(len(self._patterns) - 1)

    def _pattern_text(self, index: int) -> str:
        shown = [(led, level if self._depth == 8 else 1) for led, level in self._patterns[index]]
        lines = [f" LED #: {led}, value={level} (bit depth={self._depth})\n" for led, level in shown]
        return f"Pattern {index} ({len(shown)} leds): \n" + "".join(lines)

    def _print_sequence(self) -> str:
        head = f"Sequence has {self._length}x {self._depth} bit patterns:\n"
        return head + "".join(self._pattern_text(index) for index in range(len(self._patterns))) + "\n"

    def _step(self) -> str:
        if self._index >= len(self._patterns):
            self._index = 0
        self.lamps.clear()
        for led, level in self._patterns[self._index] if self._patterns else []:
            self.lamps.set_led(led, self._value if self._depth == 1 else [level] * len(self._value))
        return self._stepped(len(self._patterns))
