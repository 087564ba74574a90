"""Faults on the wire between a program and a board: what is written and read is changed on its way."""

import time
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lsm.led import Transport


class Kind(StrEnum):
    """What happens to one piece of bytes."""

    FLIP = "flip"  # one bit is inverted
    LOSE = "lose"  # one to eight bytes are missing
    DOUBLE = "double"  # one to eight bytes come twice
    REPEAT = "repeat"  # the whole piece comes twice
    LATE = "late"  # the rest of the piece comes later
    CUT = "cut"  # the rest of the piece never comes
    NOISE = "noise"  # one to eight random bytes are inserted


class Way(StrEnum):
    """Which way the bytes travel."""

    TO_BOARD = "to board"
    FROM_BOARD = "from board"


@dataclass(frozen=True)
class Fault:
    """One fault. piece: which piece of bytes it hits, counted from arm(). at: its place, modulo the piece's length.

    size: bytes that are lost, doubled or inserted; of a FLIP, the bit. late_s: of LATE.
    """

    kind: Kind
    way: Way
    piece: int
    at: int
    size: int = 1
    late_s: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, way: Way, pieces: int, late_s: float) -> "Fault":
        """A random fault in one of the first `pieces` pieces that travel this way; LATE by up to `late_s`."""
        return cls(
            kind=list(Kind)[rng.integers(len(Kind))],
            way=way,
            piece=int(rng.integers(pieces)),
            at=int(rng.integers(2**20)),
            size=int(rng.integers(1, 9)),
            late_s=float(rng.uniform(0.0, late_s)),
        )


class FaultyLine:
    """A Transport that is sound until a fault is armed. One written frame, or one read, is a piece.

    hit_at: time.monotonic() at which the armed fault changed something; None before. hit: the piece that it hit.
    seen: way and length of every piece since arm().
    """

    def __init__(self, transport: Transport, rng: np.random.Generator) -> None:
        self.hit_at: float | None = None
        self.hit = b""
        self.seen: list[tuple[Way, int]] = []
        self._transport = transport
        self._rng = rng
        self._fault: Fault | None = None
        self._left = 0
        self._held: deque[tuple[float, bytes]] = deque()

    @property
    def name(self) -> str:
        return self._transport.name

    def arm(self, fault: Fault | None) -> None:
        """The next fault; None makes the line sound again."""
        self._fault = fault
        self._left = fault.piece if fault else 0
        self.hit_at = None
        self.seen = []

    def write(self, data: bytes) -> None:
        for piece in pieces_of(data):
            first, late_s, rest = self._pass(piece, Way.TO_BOARD)
            self._transport.write(first)
            if rest:
                time.sleep(late_s)
                self._transport.write(rest)

    def read(self, timeout_s: float) -> bytes:
        if self._held:
            due, data = self._held.popleft()
            time.sleep(max(due - time.monotonic(), 0.0))
            return data
        data = self._transport.read(timeout_s)
        if not data:
            return data
        first, late_s, rest = self._pass(data, Way.FROM_BOARD)
        if rest:
            self._held.append((time.monotonic() + late_s, rest))
        return first

    def reopen(self) -> None:
        self._held.clear()
        self._transport.reopen()

    def close(self) -> None:
        self._transport.close()

    def _pass(self, data: bytes, way: Way) -> tuple[bytes, float, bytes]:
        """What arrives at once, and what arrives how much later."""
        fault = self._fault
        self.seen.append((way, len(data)))
        if fault is None or fault.way != way:
            return data, 0.0, b""
        if self._left > 0:
            self._left -= 1
            return data, 0.0, b""
        self._fault = None
        at = fault.at % len(data)
        first, rest = self._changed(data, fault, at)
        if (first, rest) != (data, b""):
            self.hit_at = time.monotonic()
            self.hit = data
        return first, fault.late_s, rest

    def _changed(self, data: bytes, fault: Fault, at: int) -> tuple[bytes, bytes]:
        head, tail, size = data[:at], data[at:], fault.size
        match fault.kind:
            case Kind.FLIP:
                return head + bytes([tail[0] ^ 1 << size % 8]) + tail[1:], b""
            case Kind.LOSE:
                return head + tail[size:], b""
            case Kind.DOUBLE:
                return head + tail[:size] + tail, b""
            case Kind.REPEAT:
                return data + data, b""
            case Kind.LATE:
                return head, tail
            case Kind.CUT:
                return head, b""
            case Kind.NOISE:
                return head + self._rng.bytes(size) + tail, b""


def pieces_of(data: bytes) -> list[bytes]:
    """The frames in what a program writes at once; a text line is one piece."""
    if not data.startswith(b"\0"):
        return [data]
    return [b"\0" + body + b"\0" for body in data[1:-1].split(b"\0\0")]
