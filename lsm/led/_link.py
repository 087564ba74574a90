"""Requests over a transport: numbered, windowed, repeated when no answer comes, never executed twice."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from lsm.errors import IlluminatorTimeout
from lsm.led._constants import HISTORY, MAX_FRAME, STREAM_IDLE_MS, Command
from lsm.led.protocol import Decoder, Reply, TextReply, encode_line, encode_request
from lsm.led.transport import Transport

QUIET_S = 0.02
DRAIN_S = 1.0

Request = tuple[Command, bytes]


@dataclass
class _Flying:
    index: int
    command: Command
    wire: bytes
    deadline: float
    tries: int = 1


class Link:
    """One conversation with a board.

    reply_s: how long to wait for an answer before a request is repeated with the same number.
    retries: how often it is repeated. A repeated request runs at most once on the board.
    Every call raises IlluminatorTimeout when no answer comes.
    """

    def __init__(self, transport: Transport, *, reply_s: float, retries: int) -> None:
        self.rx_window = MAX_FRAME
        self._transport = transport
        self._reply_s = reply_s
        self._retries = retries
        self._decoder = Decoder()
        self._seq = 0
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return self._transport.name

    def drain(self) -> None:
        """End the line that an earlier program left unfinished and drop what it left unread."""
        self._transport.write(encode_line(""))
        deadline = time.monotonic() + DRAIN_S
        while self._transport.read(QUIET_S) and time.monotonic() < deadline:
            pass
        self._decoder.clear()

    def text(self, line: str) -> str:
        """The answer to a text line. Only for lines that may run twice.

        A repetition waits long enough for the board to forget a frame that an earlier program left unfinished.
        """
        with self._lock:
            for _ in range(1 + self._retries):
                self._transport.write(encode_line(line))
                reply = self._await_text()
                if reply is not None:
                    return reply.text
            raise self._silent(f"the text command '{line}'")

    def call(self, command: Command, payload: bytes = b"") -> Reply:
        """The answer to one request."""
        return self.call_all([(command, payload)])[0]

    def call_all(self, requests: Sequence[Request]) -> list[Reply]:
        """The answers to all requests, in their order; several travel at a time within the board's window."""
        with self._lock:
            waiting = deque(enumerate(requests))
            flying: dict[int, _Flying] = {}
            replies: dict[int, Reply] = {}
            while waiting or flying:
                self._launch(waiting, flying)
                timeout_s = min(item.deadline for item in flying.values()) - time.monotonic()
                data = self._transport.read(max(timeout_s, 0.0))
                for answer in self._decoder.feed(data):
                    if isinstance(answer, Reply):
                        self._land(answer, flying, replies)
                self._repeat_late(flying)
            return [replies[index] for index in range(len(requests))]

    def _launch(self, waiting: deque[tuple[int, Request]], flying: dict[int, _Flying]) -> None:
        while waiting and len(flying) < HISTORY:
            index, (command, payload) = waiting[0]
            wire = encode_request(self._seq, command, payload)
            if flying and sum(len(item.wire) for item in flying.values()) + len(wire) > self.rx_window:
                return
            waiting.popleft()
            flying[self._seq] = _Flying(index, command, wire, time.monotonic() + self._reply_s)
            self._seq = (self._seq + 1) % 256
            self._transport.write(wire)

    def _land(self, answer: Reply, flying: dict[int, _Flying], replies: dict[int, Reply]) -> None:
        if answer.command == Command.NAK:
            for item in flying.values():
                item.deadline = 0.0
            return
        answered = flying.get(answer.seq)
        if answered is not None and answered.command == answer.command:
            replies[answered.index] = answer
            del flying[answer.seq]

    def _repeat_late(self, flying: dict[int, _Flying]) -> None:
        for item in flying.values():
            if item.deadline > time.monotonic():
                continue
            if item.tries > self._retries:
                raise self._silent(f"{item.command.name}")
            item.tries += 1
            item.deadline = time.monotonic() + self._reply_s
            self._transport.write(item.wire)

    def _await_text(self) -> TextReply | None:
        deadline = time.monotonic() + max(self._reply_s, 2 * STREAM_IDLE_MS / 1000)
        while (rest_s := deadline - time.monotonic()) > 0:
            for answer in self._decoder.feed(self._transport.read(rest_s)):
                if isinstance(answer, TextReply):
                    return answer
        return None

    def _silent(self, request: str) -> IlluminatorTimeout:
        return IlluminatorTimeout(
            f"The LED board on {self.name} did not answer {request} in {1 + self._retries} tries of {self._reply_s} s.",
            hint="check cable and power; the board goes dark by itself",
        )
