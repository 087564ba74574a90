"""Frames to record, the same in the test and in the process that it kills."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from lsm.devices import Frame, Observe, Shown
from lsm.illum import LedBoard, Pattern
from lsm.record import Recorder

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


def make_frame(index: int, *, shape: tuple[int, int] = (64, 48)) -> Frame:
    """A frame whose every entry follows from its index."""
    rng = np.random.default_rng(index)
    levels = rng.integers(0, 256, (BOARD.n_leds, 3), dtype=np.uint8)
    pattern = Pattern.of(BOARD, levels / 255, name=f"pattern {index}")
    return Frame(
        image=rng.integers(0, 4096, shape, dtype=np.uint16),
        request=Observe(
            pattern, 1.0 + index, None if index % 3 == 2 else (10.0 * index, -0.1), None if index % 2 else 0.5
        ),
        shown=Shown(levels // 2, limited=index % 2 == 1, latch=index + 7),
        xy_um=(10.0 * index + 0.25, -0.3),
        z_um=0.125 * index,
        started_ns=10**15 + index,
        ended_ns=10**15 + index + 5,
        metadata={"camera": "test", "index": str(index)},
    )


def decide(index: int) -> dict[str, object]:
    return {"action": index % 5, "scores": [0.1 * index, 1.0], "why": "µ" * (index % 50)}


def be_killed_before_the_file_has_its_name(path: Path) -> None:
    """For a process of its own."""
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment,method-assign]
    Recorder(path, {"seed": 3})


def record_until_killed(path: Path, said: Connection) -> None:
    """Send -1 when the file is there, then the number of every frame as soon as add() has returned."""
    recorder = Recorder(path, {"seed": 3})
    said.send(-1)
    index = 0
    while True:
        recorder.add(make_frame(index), decide(index))
        said.send(index)
        index += 1
