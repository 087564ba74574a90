"""The LED board's wire as bytes: requests encoded, a stream of answers cut into replies and text. No input or output.

PROTOCOL.md in firmware/ is the specification; Cheshire and Baker, IEEE/ACM Trans. Networking 7, 159 (1999) for COBS.
"""

import binascii
import struct
from dataclasses import dataclass

from cobs import cobs

from lsm.led._constants import MAX_FRAME, NO_PATTERN, Command, Status

TEXT_END = b"-==-\n"
REPLY_BIT = 0x80


@dataclass(frozen=True)
class Reply:
    """One binary answer: the request's number and command, a Status (or an unknown number) and the payload."""

    seq: int
    command: int
    status: int
    payload: bytes


@dataclass(frozen=True)
class TextReply:
    """One answer to a text line, without its terminator."""

    text: str

    @property
    def is_error(self) -> bool:
        return self.text.lstrip().upper().startswith("ERROR")


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE of a frame's seq, command and payload."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode_request(seq: int, command: Command, payload: bytes = b"", *, max_frame: int = MAX_FRAME) -> bytes:
    """The bytes of one request: `00 COBS(seq, command, payload, CRC-16 little-endian) 00`.

    max_frame: the largest frame that the board takes, as it told in HELLO.
    Raises ValueError for a payload that does not fit it.
    """
    body = bytes([seq, command]) + payload
    if len(body) + 2 > max_frame:
        raise ValueError(f"A payload of {len(payload)} bytes exceeds the {max_frame - 4} that fit a frame.")
    return _framed(body)


def encode_reply(reply: Reply) -> bytes:
    """The bytes of one answer, as the board sends it."""
    return _framed(bytes([reply.seq, reply.command | REPLY_BIT, reply.status]) + reply.payload)


def encode_line(line: str) -> bytes:
    """The bytes of one text command. Raises ValueError for characters that no line may hold."""
    if not (line.isascii() and (line.isprintable() or not line)):
        raise ValueError(f"The text command {line!r} is not printable ASCII.")
    return line.encode("ascii") + b"\n"


class Decoder:
    """Collects bytes from the board; `damaged` counts frames whose CRC or form was wrong."""

    def __init__(self) -> None:
        self.damaged = 0
        self._pending = bytearray()
        self._in_frame = False

    def feed(self, data: bytes) -> list[Reply | TextReply]:
        """Answers completed by `data`, in order; any portioning of the stream gives the same answers."""
        answers: list[Reply | TextReply] = []
        for index, part in enumerate(data.split(b"\0")):
            if index:
                self._end_frame(answers)
            self._pending += part
            if not self._in_frame:
                self._take_text(answers)
        return answers

    def clear(self) -> None:
        """Forget what has not become an answer."""
        self._pending.clear()
        self._in_frame = False

    def _take_text(self, answers: list[Reply | TextReply]) -> None:
        while (end := self._pending.find(TEXT_END)) >= 0:
            answers.append(TextReply(self._pending[:end].decode("ascii", "replace").strip()))
            del self._pending[: end + len(TEXT_END)]

    def _end_frame(self, answers: list[Reply | TextReply]) -> None:
        body = bytes(self._pending)
        self._pending.clear()
        if not body:
            self._in_frame = True
            return
        reply = decode_reply(body)
        if reply is not None:
            answers.append(reply)
        elif self._in_frame:
            self.damaged += 1
        self._in_frame = reply is None and not self._in_frame


def decode_reply(body: bytes) -> Reply | None:
    """The answer in the bytes between two zeros, or None when they are damaged."""
    try:
        raw = cobs.decode(body)
    except cobs.DecodeError:
        return None
    if len(raw) < 5 or crc16(raw[:-2]) != int.from_bytes(raw[-2:], "little") or not raw[1] & REPLY_BIT:
        return None
    return Reply(raw[0], raw[1] & ~REPLY_BIT, raw[2], raw[3:-2])


@dataclass(frozen=True)
class Hello:
    """What the board tells of itself: sizes in bytes, LEDs, watchdog in milliseconds, current in milliamperes.

    frame_channels: 3, or 1 on a small board whose frame has one level per LED in one colour.
    sequence_bytes: memory for stored patterns.
    """

    version: int
    max_frame: int
    rx_window: int
    n_leds: int
    watchdog_ms: int
    watchdog_ceiling_ms: int
    limit_ma: int
    ceiling_ma: int
    frame_channels: int
    sequence_bytes: int

    @classmethod
    def parse(cls, payload: bytes) -> "Hello":
        """Raises struct.error for a payload of the wrong length."""
        return cls(*struct.unpack("<HHHHIIIIBI", payload))


@dataclass(frozen=True)
class LatchReport:
    """SHOW's answer: scale_q16 / 65536 is the factor applied, levels_crc the CRC-32 of the latched levels."""

    scale_q16: int
    latch: int
    levels_crc: int
    current_ma: int

    @classmethod
    def parse(cls, payload: bytes) -> "LatchReport":
        """Raises struct.error for a payload of the wrong length."""
        return cls(*struct.unpack("<IIII", payload))


@dataclass(frozen=True)
class BoardStatus:
    """STATUS's answer.

    flags: see Flag. latch: LED frames since boot. levels_crc: CRC-32 of the latched levels.
    dark_by_watchdog: how often silence has put a light out. damaged_frames: frames that arrived broken.
    now_ms, latched_ms: the board's own clock, now and at the last latch.
    """

    flags: int
    latch: int
    levels_crc: int
    dark_by_watchdog: int
    frames: int
    damaged_frames: int
    watchdog_ms: int
    limit_ma: int
    current_ma: int
    now_ms: int
    latched_ms: int

    @classmethod
    def parse(cls, payload: bytes) -> "BoardStatus":
        """Raises struct.error for a payload of the wrong length."""
        return cls(*struct.unpack("<B10I", payload))


@dataclass(frozen=True)
class SequenceStatus:
    """SEQ_STATUS's answer.

    state: a SequenceState. index: the pattern that is on, None when none is. steps: patterns shown since it was
    armed. missed: trigger edges that came too early or too late and were not obeyed, or beats of the period that
    passed while a pattern was being shown. rest_ms: time it may still run. lost_pulses: pulses of trigger outputs
    that the next step, or STOP, called off or cut short.
    """

    state: int
    index: int | None
    round: int
    patterns: int
    steps: int
    missed: int
    latch: int
    scale_q16: int
    rest_ms: int
    lost_pulses: int

    @classmethod
    def parse(cls, payload: bytes) -> "SequenceStatus":
        """Raises struct.error for a payload of the wrong length."""
        state, index, *rest = struct.unpack("<BHHHIIIIII", payload)
        return cls(state, None if index == NO_PATTERN else index, *rest)


def status_name(status: int) -> str:
    """The status in words, also for a number this version does not know."""
    return Status(status).name.lower() if status in list(Status) else f"status {status}"


def _framed(body: bytes) -> bytes:
    stuffed: bytes = cobs.encode(body + crc16(body).to_bytes(2, "little"))
    return b"\0" + stuffed + b"\0"
