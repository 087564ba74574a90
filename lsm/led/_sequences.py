"""Stored sequences and trigger pins, through a board's link."""

import binascii
import struct
from collections.abc import Callable, Sequence

from lsm.errors import IlluminatorError, WrongFormat
from lsm.illum import LedBoard, Pattern
from lsm.led._constants import NO_PATTERN, PULSE_CEILING_US, Command, SequenceState, TriggerWhen
from lsm.led._link import OK_OR_LIMITED, Link, LostBoard, parsed
from lsm.led.protocol import SequenceStatus
from lsm.led.sequence import Armed, Edge, PackedSequence, SequencePlan, When, pack_sequence, scaled

DATA_OVERHEAD = 8  # SEQ_DATA's seq, command, offset and CRC
EDGES = list(Edge)


class SequenceControl:
    """Stores patterns on the board, arms them and tells how far they are.

    Every method raises IlluminatorTimeout (silent) or IlluminatorError (refused, with the reason). After a reboot
    of the board, or when the client had to greet it again, the stored patterns are gone and arm() says so; the
    trigger pins are set up again.
    """

    def __init__(self, link: Link, board: LedBoard, recovered: Callable[[Callable[[], None]], None]) -> None:
        self._link = link
        self._recovered = recovered
        self._board = board
        self._stored: PackedSequence | None = None
        self._armed = False
        self._pins: dict[tuple[Command, int], bytes] = {}

    def greeted(self) -> None:
        """The board has begun anew: it stores nothing, and its pins are as it saved them."""
        self._stored = None
        self._armed = False
        for (command, _), payload in self._pins.items():
            self._link.ask(command, payload)

    def forget_armed(self) -> None:
        """The sequence is about to be ended by this program."""
        self._armed = False

    def load(self, patterns: Sequence[Pattern]) -> int:
        """Store the patterns; returns the bits per LED that they took (1, 8 or 24).

        The board compares all of it with a CRC-32 and refuses to arm anything else.
        Raises WrongFormat for patterns of another board; IlluminatorError where they do not fit its memory.
        """
        packed = pack_sequence(self._board, patterns)
        self._recovered(lambda: self._load(packed))
        return packed.bits

    def _load(self, packed: PackedSequence) -> None:
        self._stored = None
        self._armed = False
        self._link.ask(Command.SEQ_BEGIN, struct.pack("<HB3s", packed.count, packed.bits, packed.colour))
        step = self._link.max_frame - DATA_OVERHEAD
        pieces = range(0, len(packed.data), step)
        requests = [
            (Command.SEQ_DATA, struct.pack("<I", start) + packed.data[start : start + step]) for start in pieces
        ]
        for reply in self._link.call_all(requests):
            self._link.accept(reply)
        self._link.ask(Command.SEQ_COMMIT, struct.pack("<I", binascii.crc32(packed.data)))
        self._stored = packed

    def arm(self, plan: SequencePlan) -> Armed:
        """Make the stored sequence wait for its first step (or show pattern 0 at once).

        No host is needed from now on: the sequence ends by itself, at the latest after plan.longest_s.
        """
        if self._stored is None:
            raise IlluminatorError(f"No sequence is stored on the LED board on {self._link.name}.", hint="load() one")
        request = struct.pack(
            "<BHIII",
            plan.at_first_step,
            plan.rounds,
            plan.period_us,
            plan.settle_us,
            round(plan.longest_s * 1000),
        )
        try:
            reply = self._link.ask(Command.SEQ_ARM, request, OK_OR_LIMITED)
        except LostBoard as error:
            self._stored = None
            raise IlluminatorError(
                f"No sequence is stored any more on the LED board on {self._link.name}: it was reset, or its memory"
                " changed by text.",
                hint="load() it again",
            ) from error
        scale_q16, latch = parsed(lambda payload: struct.unpack("<II", payload), reply)
        levels = tuple(scaled(each, scale_q16) for each in self._stored.levels)
        self._armed = True
        shown_at_once = 0 if plan.at_first_step else 1
        return Armed(levels, reply.status != OK_OR_LIMITED[0], scale_q16, latch - shown_at_once)

    def step(self) -> int | None:
        """Step as a trigger edge does; the index of the pattern that is on now, None behind the last.

        Raises IlluminatorError when the sequence has ended, or while a pattern is settling.
        """
        try:
            reply = self._link.ask(Command.SEQ_STEP)
        except LostBoard as error:
            state = SequenceState(self.status().state).name.lower()
            raise IlluminatorError(
                f"The sequence on the LED board on {self._link.name} cannot step: it is {state}.", hint="arm() it again"
            ) from error
        index, _ = parsed(lambda payload: struct.unpack("<HI", payload), reply)
        return None if index == NO_PATTERN else int(index)

    def status(self) -> SequenceStatus:
        """How far the sequence is; asking also feeds the watchdog.

        Raises IlluminatorError when a sequence that was armed here is gone: the board has rebooted, or something
        else has stopped it.
        """
        status = parsed(SequenceStatus.parse, self._link.ask(Command.SEQ_STATUS))
        stored = 0 if self._stored is None else self._stored.count
        if self._armed and (status.state == SequenceState.IDLE or status.patterns != stored):
            self._armed = False
            raise IlluminatorError(
                f"The sequence on the LED board on {self._link.name} is gone after an unknown number of patterns.",
                hint="the board was reset, or something else stopped it: load() and arm() it again",
            )
        return status

    def stop(self) -> None:
        """End it; all LEDs are dark when it returns."""
        self._armed = False
        self._link.ask(Command.STOP)

    def trigger_in(self, pin: int, edge: Edge, *, debounce_us: int = 0) -> None:
        """Let edges on an input pin step the sequence; an edge within debounce_us of the one before is ignored."""
        self._check("debounce_us", debounce_us, 65535)
        self._check("pin", pin, 255)
        steps = edge is not Edge.NONE
        self._set_up(Command.TRIG_IN, pin, struct.pack("<BBHB", pin, EDGES.index(edge), debounce_us, steps))

    def trigger_out(
        self, pin: int, when: When, *, delay_us: int = 0, width_us: int = 100, active_high: bool = True
    ) -> None:
        """Let an output pin give pulses; the delay counts from the moment at which the pattern has settled."""
        self._check("delay_us", delay_us, PULSE_CEILING_US)
        self._check("width_us", width_us, PULSE_CEILING_US)
        self._check("pin", pin, 255)
        code = TriggerWhen[when.name]
        self._set_up(Command.TRIG_OUT, pin, struct.pack("<BBIIB", pin, active_high, delay_us, width_us, code))

    def _set_up(self, command: Command, pin: int, payload: bytes) -> None:
        self._recovered(lambda: self._ask(command, payload))
        self._pins[command, pin] = payload

    def _ask(self, command: Command, payload: bytes) -> None:
        self._link.ask(command, payload)

    def _check(self, name: str, value: int, most: int) -> None:
        if not 0 <= value <= most:
            raise WrongFormat(f"A trigger's {name} of {value} is outside 0 to {most}.", hint="see PROTOCOL.md")
