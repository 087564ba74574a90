"""Requests over a transport: numbered, windowed, repeated when no answer comes, never executed twice."""

import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lsm.errors import IlluminatorError, IlluminatorTimeout
from lsm.led._constants import HISTORY, MAX_FRAME, STREAM_IDLE_MS, Command, Status
from lsm.led.protocol import Decoder, Reply, TextReply, encode_line, encode_request, status_name
from lsm.led.transport import Transport, find_again

QUIET_S = 0.02
DRAIN_S = 1.0
NAK_S = 0.01  # after a damaged frame: answers to the sound ones are on their way
LONGEST_TEXT_S = 30.0  # a list of 1024 LEDs takes 3 s on the slowest board
SPOILER = "!"  # makes any unfinished line one that no board knows

Request = tuple[Command, bytes]
OK = (Status.OK,)
OK_OR_LIMITED = (Status.OK, Status.LIMITED)
HINTS: dict[int, str] = {
    Status.BUSY: "a sequence or a light is on (dark() ends it), or a small board cannot tell any more what is on",
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
    give_up: float


class Link:
    """One conversation with a board.

    reply_s: how long to wait for an answer before a request is repeated with the same number, at once where the
    board said that a frame came damaged. A repeated request runs at most once on the board.
    retries: a request without an answer is given up after (1 + retries) * reply_s.
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
        self._patience_s = (1 + retries) * reply_s
        self._forgotten_s = max(
            reply_s, 2 * STREAM_IDLE_MS / 1000
        )  # what is unfinished, the board has forgotten by then
        self._stray = 0  # text answers that may still come
        self._decoder = Decoder()
        self._seq = 0
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return self._transport.name

    def reopen(self) -> None:
        """The same port once more, after the board was away. Raises IlluminatorTimeout while it still is."""
        find_again(self._transport)

    def drain(self) -> None:
        """End the line that an earlier program left unfinished, so that it is refused, and drop what it left unread."""
        with self._lock:
            self._write(encode_line(SPOILER))
            self._texts(lambda text: True, self._reply_s)
            deadline = time.monotonic() + DRAIN_S
            while self._read(QUIET_S) and time.monotonic() < deadline:
                pass
            self._decoder.clear()
            self._stray = 0

    def text(self, line: str, is_answer: Callable[[str], bool] = lambda text: True) -> str:
        """The answer to a text line. Only for lines that may run twice.

        is_answer: which texts can be its answer; others, left from earlier lines, are skipped. When none came that
        can be, the last that came.
        A repetition waits long enough for the board to forget a frame that an earlier program left unfinished.
        """
        with self._lock:
            if self._stray:
                self._texts(lambda text: False, self._forgotten_s)
                self._stray = 0
            other = None
            for attempt in range(1 + self._retries):
                if attempt > 1:  # so long a silence has passed that no earlier answer can come
                    self._stray = 0
                self._write(encode_line(line))
                self._stray += 1
                silence_s = self._forgotten_s if attempt else self._reply_s
                for text in self._texts(lambda text: is_answer(text) or text.startswith("ERROR"), silence_s):
                    self._stray -= 1
                    if is_answer(text):
                        return text
                    other = text
            if other is not None:
                return other
            raise self._silent(f"the text command '{line}'")

    def ask(self, command: Command, payload: bytes = b"", accepted: Collection[Status] = OK) -> Reply:
        """The answer to one request. Raises IlluminatorError for a status that is not accepted."""
        return self.accept(self.call_all([(command, payload)])[0], accepted)

    def accept(self, reply: Reply, accepted: Collection[Status] = OK) -> Reply:
        """The same reply. Raises IlluminatorError, or its child LostBoard, for a status that is not accepted."""
        if reply.status in accepted:
            return reply
        lost = reply.status in (Status.NOT_ARMED, Status.FAULT) and reply.command != Command.CFG_SAVE
        kind = LostBoard if lost else IlluminatorError
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
        while waiting and (not flying or (self._seq - next(iter(flying))) % 256 < HISTORY):
            index, (command, payload) = waiting[0]
            wire = encode_request(self._seq, command, payload, max_frame=self.max_frame)
            if flying and sum(len(item.wire) for item in flying.values()) + len(wire) > self.rx_window:
                break
            waiting.popleft()
            now = time.monotonic()
            flying[self._seq] = _Flying(index, command, wire, now + self._reply_s, now + self._patience_s)
            self._seq = (self._seq + 1) % 256
            launched.append(wire)
        if launched:
            self._write(b"".join(launched))

    def _land(self, answer: Reply, flying: dict[int, _Flying], replies: dict[int, Reply]) -> None:
        """Boards answer in order: what flew before an answered request, and is not answered, was lost."""
        if answer.command == Command.NAK:
            for item in flying.values():
                item.deadline = min(item.deadline, time.monotonic() + NAK_S)
            return
        answered = flying.get(answer.seq)
        if answered is None or answered.command != answer.command:
            return
        replies[answered.index] = answer
        del flying[answer.seq]
        for item in flying.values():
            if item.index < answered.index:
                item.deadline = 0.0

    def _repeat_late(self, flying: dict[int, _Flying]) -> None:
        """Oldest first, no more bytes at once than the board takes."""
        now = time.monotonic()
        repeated = 0
        for item in flying.values():
            if now >= item.give_up:
                raise self._silent(item.command.name)
            if item.deadline > now:
                continue
            if repeated and repeated + len(item.wire) > self.rx_window:
                item.deadline = now + NAK_S
                continue
            repeated += len(item.wire)
            item.deadline = now + self._reply_s
            self._write(item.wire)

    def _texts(self, is_last: Callable[[str], bool], silence_s: float) -> list[str]:
        """Text answers up to the first that is the last, or to a silence; a long answer may take its time."""
        texts: list[str] = []
        most = time.monotonic() + LONGEST_TEXT_S
        while time.monotonic() < most:
            data = self._read(silence_s)
            if not data:
                self._decoder.clear()  # the rest of what was begun will not come
                break
            texts += [answer.text for answer in self._decoder.feed(data) if isinstance(answer, TextReply)]
            if any(is_last(text) for text in texts):
                break
        return texts

    def _silent(self, request: str) -> IlluminatorTimeout:
        return IlluminatorTimeout(
            f"The LED board on {self.name} did not answer {request} within {self._patience_s:g} s.",
            hint="check baud rate, cable and power; the board goes dark by itself",
        )
