"""A line straight into an illuminate board's program, on which every byte can be damaged."""

from collections.abc import Callable

from lsm_sim.illuminate_firmware import IlluminateFirmware

Piece = tuple[float, bytes]
Damage = Callable[[bytes], list[Piece]]


class IlluminateLine:
    """A Transport whose time passes only while somebody waits, so that thousands of faults take seconds.

    damage: from one written command to what arrives, in pieces, each with the pause before it in seconds.
    answers: from one answer to what comes back. written: all commands.
    """

    def __init__(self, firmware: IlluminateFirmware) -> None:
        self.firmware = firmware
        self.damage: Damage = undamaged
        self.answers: Callable[[bytes], bytes] = bytes
        self.written: list[bytes] = []
        self.closed = False
        self._waiting = b""
        self._idle_s = 0.0

    @property
    def name(self) -> str:
        return "line"

    def write(self, data: bytes) -> None:
        self.written.append(data)
        for pause_s, piece in self.damage(data):
            self._waiting += self.answers(self.firmware.receive(piece, pause_s=pause_s + self._idle_s))
            self._idle_s = 0.0

    def read(self, timeout_s: float) -> bytes:
        data, self._waiting = self._waiting, b""
        self._idle_s += 0.0 if data else timeout_s
        return data

    def interject(self, text: bytes) -> None:
        """Something the board says without being asked."""
        self._waiting += text

    def reopen(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def undamaged(data: bytes) -> list[Piece]:
    """All of it, at once."""
    return [(0.0, data)]
