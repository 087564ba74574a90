"""Requests over a transport: numbered, windowed, repeated when no answer comes, never executed twice."""

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lsm.errors import FileMissing, IlluminatorError, IlluminatorTimeout, PortBusy
from lsm.led._constants import HISTORY, MAX_FRAME, STREAM_IDLE_MS, Command, Status
from lsm.led.protocol import Decoder, Reply, TextReply, encode_line, encode_request, status_name
from lsm.led.transport import Transport

QUIET_S = 0.02
DRAIN_S = 1.0

Request = tuple[Command, bytes]
OK = (Status.OK,)
OK_OR_LIMITED = (Status.OK, Status.LIMITED)
HINTS: dict[int, str] = {
    Status.BUSY: "a sequence runs on the board; dark() ends it",
    Status.MEMORY: "use fewer patterns, fewer bits per LED or a board with more memory",
}


class LostBoard(IlluminatorError):
    """The board has rebooted since HELLO, lost count of the requests, or was closed from a terminal: greet it again."""


_T = TypeVar("_T")


def parsed(parse: Callable[[bytes], _T], reply: Reply) -> _T:
    """The reply's payload as a value. Raises IlluminatorError where its length is wrong."""
    try:
        return parse(reply.payload)
    except struct.error as error:
        raise IlluminatorError(
            f"The LED board answered {Command(reply.command).name} with {len(reply.payload)} bytes.",
            hint="board and computer run different versions; update the firmware",
        ) from error


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
        self.max_frame = MAX_FRAME
        self.rx_window = MAX_FRAME
        self.sent = 0
        self.received = 0
        self._transport = transport
        self._reply_s = reply_s
        self._retries = retries
        self._decoder = Decoder()
        self._seq = 0
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return self._transport.name

    def reopen(self) -> None:
        """The same port once more, after the board was away. Raises IlluminatorTimeout while it still is."""
        try:
            self._transport.reopen()
        except (PortBusy, FileMissing) as error:
            raise IlluminatorTimeout(
                f"The LED board on {self.name} is gone: {error.message}", hint=error.hint
            ) from error

    def drain(self) -> None:
        """End the line that an earlier program left unfinished and drop what it left unread."""
        self._write(encode_line(""))
        deadline = time.monotonic() + DRAIN_S
        while self._read(QUIET_S) and time.monotonic() < deadline:
            pass
        self._decoder.clear()

    def text(self, line: str) -> str:
        """The answer to a text line. Only for lines that may run twice.

        A repetition waits long enough for the board to forget a frame that an earlier program left unfinished.
        """
        with self._lock:
            for _ in range(1 + self._retries):
                self._write(encode_line(line))
                reply = self._await_text()
                if reply is not None:
                    return reply.text
            raise self._silent(f"the text command '{line}'")

    def ask(self, command: Command, payload: bytes = b"", accepted: Collection[Status] = OK) -> Reply:
        """The answer to one request. Raises IlluminatorError for a status that is not accepted."""
        return self.accept(self.call_all([(command, payload)])[0], accepted)

    def accept(self, reply: Reply, accepted: Collection[Status] = OK) -> Reply:
        """The same reply. Raises IlluminatorError, or its child LostBoard, for a status that is not accepted."""
        if reply.status in accepted:
            return reply
        kind = LostBoard if reply.status in (Status.NOT_ARMED, Status.FAULT) else IlluminatorError
        raise kind(
            f"The LED board on {self.name} refused {Command(reply.command).name}: {status_name(reply.status)}.",
            hint=HINTS.get(reply.status, "PROTOCOL.md lists what each status means"),
        )

    def call_all(self, requests: Sequence[Request]) -> list[Reply]:
        """The answers to all requests, in their order; several travel at a time within the board's window."""
        with self._lock:
            waiting = deque(enumerate(requests))
            flying: dict[int, _Flying] = {}
            replies: dict[int, Reply] = {}
            while waiting or flying:
                self._launch(waiting, flying)
                timeout_s = min(item.deadline for item in flying.values()) - time.monotonic()
                data = self._read(max(timeout_s, 0.0))
                for answer in self._decoder.feed(data):
                    if isinstance(answer, Reply):
                        self._land(answer, flying, replies)
                self._repeat_late(flying)
            return [replies[index] for index in range(len(requests))]

    def _write(self, data: bytes) -> None:
        self.sent += len(data)
        self._transport.write(data)

    def _read(self, timeout_s: float) -> bytes:
        data = self._transport.read(timeout_s)
        self.received += len(data)
        return data

    def _launch(self, waiting: deque[tuple[int, Request]], flying: dict[int, _Flying]) -> None:
        launched = []
        while waiting and len(flying) < HISTORY:
            index, (command, payload) = waiting[0]
            wire = encode_request(self._seq, command, payload, max_frame=self.max_frame)
            if flying and sum(len(item.wire) for item in flying.values()) + len(wire) > self.rx_window:
                break
            waiting.popleft()
            flying[self._seq] = _Flying(index, command, wire, time.monotonic() + self._reply_s)
            self._seq = (self._seq + 1) % 256
            launched.append(wire)
        if launched:
            self._write(b"".join(launched))

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
            self._write(item.wire)

    def _await_text(self) -> TextReply | None:
        deadline = time.monotonic() + max(self._reply_s, 2 * STREAM_IDLE_MS / 1000)
        while (rest_s := deadline - time.monotonic()) > 0:
            for answer in self._decoder.feed(self._read(rest_s)):
                if isinstance(answer, TextReply):
                    return answer
        return None

    def _silent(self, request: str) -> IlluminatorTimeout:
        return IlluminatorTimeout(
            f"The LED board on {self.name} did not answer {request} in {1 + self._retries} tries of {self._reply_s} s.",
            hint="check cable and power; the board goes dark by itself",
        )
