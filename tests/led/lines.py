"""Disturbed lines to a real board."""

from collections.abc import Callable

from lsm.led import Decoder, Reply
from lsm.led.transport import Transport


class DisturbedLine:
    """A transport that changes what is written or read.

    write_filter, read_filter: from one piece of bytes to what really travels; None leaves it alone. A written
    piece of several frames is handed to the filter frame by frame.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.write_filter: Callable[[bytes], bytes] | None = None
        self.read_filter: Callable[[bytes], bytes] | None = None
        self.written: list[bytes] = []

    @property
    def name(self) -> str:
        return self.transport.name

    def write(self, data: bytes) -> None:
        frames = [b"\0" + frame + b"\0" for frame in data.strip(b"\0").split(b"\0\0")]
        pieces = frames if data.startswith(b"\0") else [data]
        self.written += pieces
        self.transport.write(b"".join(map(self.write_filter, pieces)) if self.write_filter else data)

    def read(self, timeout_s: float) -> bytes:
        data = self.transport.read(timeout_s)
        return self.read_filter(data) if self.read_filter and data else data

    def reopen(self) -> None:
        self.transport.reopen()

    def close(self) -> None:
        self.transport.close()


class CountingLine(DisturbedLine):
    """Knows the largest number of bytes that were on their way without an answer."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.most = 0
        self._decoder = Decoder()
        self._lengths: list[int] = []

    def write(self, data: bytes) -> None:
        if data.startswith(b"\0"):
            self._lengths += [len(frame) + 2 for frame in data.strip(b"\0").split(b"\0\0")]
            self.most = max(self.most, sum(self._lengths))
        super().write(data)

    def read(self, timeout_s: float) -> bytes:
        data = super().read(timeout_s)
        answered = sum(isinstance(answer, Reply) for answer in self._decoder.feed(data))
        del self._lengths[:answered]
        return data


def once(change: Callable[[bytes], bytes], *, nth: int) -> Callable[[bytes], bytes]:
    """Apply `change` to the nth piece only."""
    seen = 0

    def apply(data: bytes) -> bytes:
        nonlocal seen
        seen += 1
        return change(data) if seen == nth else data

    return apply


def lost(data: bytes) -> bytes:
    return b""


def doubled(data: bytes) -> bytes:
    return data + data


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]


def without_first_byte(data: bytes) -> bytes:
    return data[1:]


def without_last_byte(data: bytes) -> bytes:
    return data[:-1]
