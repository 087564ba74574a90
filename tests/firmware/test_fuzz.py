"""Whatever arrives, the sanitised board keeps running, stays inside its current ceiling and still answers."""

import binascii
import struct
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cobs import cobs
from wire import Wire

from lsm.led import Hello, Reply, TextReply
from lsm.led._constants import Command, Status
from lsm.led.protocol import crc16, encode_request
from lsm_sim.board import NativeBoard, read_led_frames

pytestmark = pytest.mark.firmware

Source = Callable[[np.random.Generator], Iterator[bytes]]
WORDS = [b"l.", b"ff\n", b"bf\n", b"pledpos.160.", b"sc.", b"sb.255\n", b"gs.1\n", b"na."]
WORDS += [b".", b"1", b"168", b"\n", b"\0"]


def random_bytes(rng: np.random.Generator):
    """Uniform bytes, and bytes rich in zeros so that many become frames."""
    for _ in range(150):
        data = rng.integers(0, 256, 1024, dtype=np.uint8)
        yield data.tobytes()
        yield np.where(rng.random(1024) < 0.05, 0, data).astype(np.uint8).tobytes()


def valid_frames(rng: np.random.Generator):
    """Frames whose CRC is right and whose content is not, so that the parser is passed."""
    for _ in range(6000):
        body = rng.integers(0, 256, rng.integers(2, 40), dtype=np.uint8).tobytes()
        body = bytes([body[0], body[1] % 0x30]) + body[2:]
        yield b"\0" + cobs.encode(body + crc16(body).to_bytes(2, "little")) + b"\0"


def text_words(rng: np.random.Generator):
    for _ in range(1000):
        yield b"".join(WORDS[i] for i in rng.integers(0, len(WORDS), 12))


def meaningful_words(rng: np.random.Generator):
    """Requests that are obeyed, in an order that nobody planned."""
    payloads = {
        Command.FB_FILL: b"\0\0\xa9\0\xff\xff\xff",
        Command.SHOW: b"",
        Command.SET_LIMIT: b"\x00\x10\0\0",
        Command.WATCHDOG: b"\x40\0\0\0",
        Command.STOP: b"",
        Command.HELLO: b"\2",
        Command.FB_READ: b"\1\0\0\xfb\1",
        Command.FB_WRITE: b"\x08\xff\xff\xff\0\0" + b"\xff" * 169,
        Command.FB_SPARSE: b"\x18\0\0\0\x07\0\xff\xff\xff",
        Command.SEQ_BEGIN: b"\3\0\1\xff\xff\xff",
        Command.SEQ_DATA: b"\0\0\0\0" + b"\xff" * 66,
        Command.SEQ_COMMIT: struct.pack("<I", binascii.crc32(b"\xff" * 66)),
        Command.SEQ_ARM: struct.pack("<BHIII", 0, 0, 500, 0, 1000),
        Command.SEQ_STEP: b"",
        Command.SEQ_STATUS: b"",
        Command.TRIG_OUT: struct.pack("<BBIIB", 1, 1, 50, 50, 1),
    }
    commands = list(payloads)
    for step in range(3000):
        command = commands[rng.integers(len(commands))]
        yield encode_request(step % 256, command, payloads[command])


def outcome(answer: Reply | TextReply):
    if isinstance(answer, Reply):
        return Status(answer.status)
    return "line refused" if answer.is_error else "line obeyed"


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        (random_bytes, {Status.CRC, "line refused"}),
        (valid_frames, {Status.OK, Status.UNKNOWN, Status.LENGTH, Status.RANGE}),
        (text_words, {"line obeyed", "line refused", "light"}),
        (meaningful_words, {Status.OK, Status.LIMITED, "light"}),
    ],
)
def test_the_board_survives_and_answers(native: NativeBoard, wire: Wire, source: Source, reached: set[Status | str]):
    if source is not text_words:  # which lights nothing while a program holds the board
        wire.hello()
    answers = []
    requests = 0
    for data in source(np.random.default_rng(20)):
        wire.send(data)
        requests += 1
        answers += wire.decoder.feed(wire.transport.read(0.0))
    while more := wire.transport.read(0.3):
        answers += wire.decoder.feed(more)
    assert native.running, (native.frames_path.parent / "board.log").read_text()
    wire.decoder.clear()
    wire.send(encode_request(200, Command.PING, b"still there"))
    replies = []
    while not (replies and replies[-1].command == Command.PING):
        answer = wire.answer()
        assert answer is not None
        replies += [answer] if isinstance(answer, Reply) else []
    assert replies[-1].payload == b"still there"
    ceiling_ma = Hello.parse(wire.hello().payload).ceiling_ma  # no command changes it
    frames = [levels for _, levels in read_led_frames(native.frames_path)]
    assert max(int(levels.sum(dtype=np.int64)) * 20 / 255 for levels in frames) <= ceiling_ma
    outcomes = {outcome(answer) for answer in answers} | (
        {"light"} if any(levels.any() for levels in frames) else set()
    )
    assert reached <= outcomes
    if source in (valid_frames, meaningful_words):
        assert len(answers) == requests
