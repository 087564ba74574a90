"""Read a recording, also one whose writer was killed or is still writing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import numpy as np

from lsm.devices import Frame, Observe, Shown
from lsm.errors import FileMissing, RecordError
from lsm.illum import Pattern
from lsm.record._superblock import clear_mark, is_marked_open
from lsm.record.schema import FRAME, HEADER_ATTRIBUTE, SCHEMA, SCHEMA_ATTRIBUTE, from_json

T = TypeVar("T")

_READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)
"""What h5py and numpy raise on damaged files."""


class Recording:
    """Frames and decisions of a file that `open_record` opened. Also a context manager."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        self.header: dict[str, Any] = from_json(
            self._read(lambda: bytes(file.attrs[HEADER_ATTRIBUTE])), what=f"header of {path}"
        )
        self.n_frames: int = self._read(self._count)

    @property
    def complete(self) -> bool:
        """True where the run ended and wrote its summary."""
        return bool(self._read(lambda: self._file["summary"].shape[0] > 0))

    @property
    def summary(self) -> dict[str, Any]:
        """The run's summary; empty where the run did not end."""
        text = self._read(lambda: self._file["summary"][:].tobytes())
        return from_json(text, what=f"summary of {self.path}") if text else {}

    def frame(self, index: int) -> Frame:
        """One frame; its request holds the 8-bit levels asked for. Raises RecordError."""
        row = self._row(index)
        text = self._text(row)
        requested, shown, image = (self._entry(name, index) for name in ("requested", "shown", "images"))
        duty = requested.astype(np.float32) / np.float32(255)
        return Frame(
            image=image,
            request=Observe(
                Pattern(text["board"], requested.shape[1], duty.astype("<f4").tobytes(), text["pattern"]),
                float(row["exposure_ms"]),
                _pair(row, "requested_x_um", "requested_y_um"),
                None if np.isnan(row["requested_z_um"]) else float(row["requested_z_um"]),
            ),
            shown=Shown(shown, bool(row["limited"]), int(row["latch"])),
            xy_um=(float(row["x_um"]), float(row["y_um"])),
            z_um=float(row["z_um"]),
            started_ns=int(row["started_ns"]),
            ended_ns=int(row["ended_ns"]),
            metadata=text["metadata"],
        )

    def frames(self) -> Iterator[Frame]:
        """All frames in order, read one by one."""
        return (self.frame(index) for index in range(self.n_frames))

    def decision(self, index: int) -> dict[str, Any]:
        """What was decided on having seen this frame."""
        decision: dict[str, Any] = self._text(self._row(index))["decision"]
        return decision

    def decisions(self) -> Iterator[dict[str, Any]]:
        """All decisions in order."""
        return (self.decision(index) for index in range(self.n_frames))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self) -> int:
        if "frames" not in self._file:
            return 0
        table = self._file["frames"]
        if table.dtype != FRAME:
            raise ValueError("its table of frames has other columns")
        count = int(table.shape[0])
        if any(self._file[name].shape[0] < count for name in ("images", "requested", "shown")):
            raise ValueError("it lacks images that its table lists")
        return count

    def _entry(self, name: str, index: int) -> Any:
        return self._read(lambda: self._file[name][index])

    def _row(self, index: int) -> Any:
        if not 0 <= index < self.n_frames:
            raise RecordError(f"{self.path} has no frame {index}.", hint=f"frames are 0 to {self.n_frames - 1}")
        return self._entry("frames", index)

    def _text(self, row: Any) -> dict[str, Any]:
        text = self._read(lambda: self._file["text"][row["text_start"] : row["text_end"]].tobytes())
        content = from_json(text, what=f"text of a frame of {self.path}")
        if content.keys() != {"decision", "metadata", "pattern", "board"}:
            raise RecordError(f"The text of a frame of {self.path} lacks a key.", hint="the file is damaged")
        return content

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except _READ_ERRORS as error:
            raise RecordError(
                f"The recording {self.path} is damaged: {error}.", hint="restore it from a copy"
            ) from error


def open_record(path: Path) -> Recording:
    """The recording in the file `path`, whether its writer ended, was killed, or still writes.

    Where the writer was killed, this also clears the mark it left in the file (if the file may be changed), so
    that afterwards every HDF5 program opens it; the data are not touched. A file still being written is read
    as it is at this moment.

    Raises FileMissing, or RecordError for a file that is damaged or not a recording.
    """
    if not path.is_file():
        raise FileMissing(f"The recording {path} does not exist.", hint="check the path")
    try:
        marked = is_marked_open(path) and not clear_mark(path)
        file = h5py.File(path, "r", swmr=True) if marked else h5py.File(path, "r")
    except _READ_ERRORS as error:
        raise RecordError(
            f"{path} cannot be opened as a recording: {error}.", hint="is it an HDF5 file of lsm?"
        ) from error
    if file.attrs.get(SCHEMA_ATTRIBUTE) != SCHEMA:
        file.close()
        raise RecordError(f"{path} is not a recording of the layout {SCHEMA}.", hint="was it written by lsm?")
    try:
        return Recording(path, file)
    except RecordError:
        file.close()
        raise


def _pair(row: Any, x: str, y: str) -> tuple[float, float] | None:
    return None if np.isnan(row[x]) else (float(row[x]), float(row[y]))
