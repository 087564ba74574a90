"""The two wires between a simulated camera and an LED board: exposures end on one and begin on the other."""

import time
from dataclasses import dataclass, field

from lsm_sim.board import HEADER, TRIGGER_OUT, Board

POLL_S = 0.0001


@dataclass
class WireFaults:
    """Exposures of a sequence, counted from 0, whose end does not reach the board as one edge.

    lost: no edge. doubled: two at once. early: one more while the exposure goes on.
    """

    lost: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    early: set[int] = field(default_factory=set)


class TriggerWires:
    """From the camera's exposure output to a trigger input of the board, and from its output to the camera.

    The board's pulses are read in the log of its pins. Like most cameras, this one takes no notice of a pulse that
    comes while it exposes.
    """

    def __init__(self, board: Board, *, to_board: int, to_camera: int) -> None:
        self._board = board
        self._to_board = to_board
        self._to_camera = to_camera
        self._read_to = 0
        self.faults = WireFaults()

    def listen(self) -> None:
        """Only pulses from now on count."""
        self._read_to = self._board.frames_path.stat().st_size

    def wait_for_pulse(self, timeout_s: float) -> bool:
        """Whether the board gives a pulse in this time; the next call takes the pulses after it."""
        deadline_s = time.monotonic() + timeout_s
        while not self._pulse():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(POLL_S)
        return True

    def while_exposing(self, index: int) -> None:
        """To be called within exposure `index`."""
        if index in self.faults.early:
            self._board.inject_edges(1, period_us=0, pin=self._to_board)

    def end_of_exposure(self, index: int) -> None:
        """The edge that steps the board, and the board's pulses count again."""
        self.listen()
        edges = 0 if index in self.faults.lost else 2 if index in self.faults.doubled else 1
        if edges:
            self._board.inject_edges(edges, period_us=0, pin=self._to_board)

    def _pulse(self) -> bool:
        with self._board.frames_path.open("rb") as log:
            log.seek(self._read_to)
            data = log.read()
        start = 0
        while start + HEADER.size <= len(data):
            magic, _, count = HEADER.unpack_from(data, start)
            end = start + HEADER.size + count
            if end > len(data):
                break
            record = data[start + HEADER.size : end]
            start = end
            if magic == TRIGGER_OUT and record[0] == self._to_camera and record[1]:
                self._read_to += start
                return True
        self._read_to += start
        return False
