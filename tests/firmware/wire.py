"""The board's port as tests use it."""

import itertools
import struct
import time
from collections import deque

from lsm.led import Decoder, Reply, TextReply
from lsm.led._constants import PROTOCOL_VERSION, Command
from lsm.led.protocol import encode_line, encode_request
from lsm.led.transport import Transport

ANSWER_S = 5.0  # an answer takes 0.1 ms; a loaded machine may keep the board waiting


class Wire:
    """The board's port without the client: what is sent is exactly what the test says."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.decoder = Decoder()
        self.arrived = deque()
        self.seq = itertools.cycle(range(256))

    def send(self, data: bytes):
        self.transport.write(data)

    def answer(self, timeout_s: float = ANSWER_S):
        """The next answer, or None after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.arrived and (rest_s := deadline - time.monotonic()) > 0:
            self.arrived += self.decoder.feed(self.transport.read(rest_s))
        return self.arrived.popleft() if self.arrived else None

    def answers(self, count: int):
        return [self.answer() for _ in range(count)]

    def ask(self, command: Command, payload: bytes = b"", *, seq: int | None = None):
        self.send(encode_request(next(self.seq) if seq is None else seq, command, payload))
        reply = self.answer()
        assert isinstance(reply, Reply)
        assert reply.command == command
        return reply

    def text(self, line: str):
        self.send(encode_line(line))
        reply = self.answer()
        assert isinstance(reply, TextReply)
        return reply.text

    def write(self, levels: bytes, *, bits: int = 24, colour: bytes = bytes(3), first: int = 0):
        return self.ask(Command.FB_WRITE, struct.pack("<B3sH", bits, colour, first) + levels)

    def hello(self):
        return self.ask(Command.HELLO, bytes([PROTOCOL_VERSION]))
