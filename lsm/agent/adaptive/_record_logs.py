"""The two files of a record at cells. A run that is gone on with writes them again from the beginning: what they hold
is compared, not written, and the rest is appended.
"""

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lsm.devices import Frame
from lsm.errors import RecordError, WrongFormat
from lsm.record import Recorder, Recording

DECIDING: Final = (
    "schema",
    "policy",
    "world",
    "cell_rig",
    "search",
    "cell",
    "of_search",
    "step",
    "kind",
    "odds_after",
    "corner_px",
    "frame",
    "declared",
)
"""In what a resumed run must come to what was recorded; probabilities may differ in their last bits elsewhere."""

RESUMED, STOPPED = "resumed_after", "stopped_by"
"""Keys of lines that say what became of the program, not of a cell."""

HINT: Final = "name the folder that 'lsm policy run' wrote"


class FrameLog:
    """Frames in a new recording, or behind those of one that was interrupted, which is only read until `begin`."""

    def __init__(self, path: Path, *, header: Mapping[str, Any] | None = None, held: Recording | None = None) -> None:
        self._path, self._held = path, held
        self._recorder = None if held is not None else Recorder(path, header or {})
        self._n_held = 0 if held is None else held.n_frames
        self._seen = 0

    def begin(self) -> Recorder:
        """From here on frames are written. Raises RecordError where they cannot be."""
        if self._recorder is None:
            if self._held is not None:
                self._held.close()
            self._recorder = Recorder.resume(self._path)
        return self._recorder

    def add(self, frame: Frame, plain: Mapping[str, Any]) -> int:
        """Index of the frame, which is durable. Raises RecordError, also where another decision led to it before."""
        index = self._seen
        self._seen += 1
        if index >= self._n_held or self._held is None:
            return self.begin().add(frame, plain)
        _refuse_other(plain, self._held.decision(index))
        return index

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary and close. Raises RecordError."""
        self.begin().finish(summary)

    def close(self) -> None:
        """Close as it is; may be called twice."""
        if self._recorder is not None:
            self._recorder.close()


class LineLog:
    """Lines of JSON, each on the disk when `write` returns; new, or behind those of an interrupted run.

    frames: recorded ones that the run goes on from. Half a line, as a killed program leaves it, is cut off.
    Raises RecordError where the file cannot be written, WrongFormat where it is damaged.
    """

    def __init__(self, path: Path, *, frames: int | None = None) -> None:
        self._path, self._resumed_after = path, frames
        held = [] if frames is None or not path.exists() else _mended(path)
        self._held = deque(line for line in held if STOPPED not in line and RESUMED not in line)
        if any(int(line.get("frame", -1)) >= (frames or 0) for line in self._held):
            raise RecordError(f"{path} speaks of frames that its recording lacks.", hint="start a new run")
        self._file = path.open("x" if frames is None else "a", encoding="utf-8")

    @property
    def again(self) -> bool:
        """Whether the next line is one that is held."""
        return bool(self._held)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line, or find it written. Raises RecordError, also where another was."""
        if self._held:
            _refuse_other(line, self._held.popleft())
            return
        if self._resumed_after is not None:
            after, self._resumed_after = self._resumed_after, None
            self._append({RESUMED: after})
        self._append(line)

    def close(self) -> None:
        self._file.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except (OSError, ValueError) as error:
            raise RecordError(
                f"The decisions in {self._path.parent} cannot be written: {error}.", hint="see whether the disk is full"
            ) from error


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """All lines but a last one that is not whole. Raises WrongFormat."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]]
    except ValueError as error:
        raise WrongFormat(f"{path} is damaged: {error}.", hint=HINT) from error


def _mended(path: Path) -> list[dict[str, Any]]:
    """The whole lines; what is behind them is cut off, durably."""
    lines = whole_lines(path)
    with path.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        os.fsync(file.fileno())
    return lines


def _refuse_other(line: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    for key in DECIDING:
        if line.get(key) != held.get(key):
            raise RecordError(
                f"The run was recorded with the {key} {held.get(key)}, the resumed one comes to {line.get(key)}.",
                hint="resume with the program, policy and settings that began it, or start a new run",
            )
