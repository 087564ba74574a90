"""Read a recording, also one whose writer was killed or is still writing."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import h5py
import numpy as np

from lsm.devices import Frame, Observe, Shown
from lsm.errors import FileMissing, RecordError
from lsm.illum import Pattern
from lsm.record._limits import FRAME_DATASETS, refuse_impossible
from lsm.record._mend import CannotMendError, tidy
from lsm.record._store import READ_ERRORS, layout_of, place_of
from lsm.record._superblock import is_marked_open
from lsm.record.journal import journal_of
from lsm.record.schema import FAMILY, FRAME, FRAME_1, HEADER_ATTRIBUTE, SCHEMA, SCHEMA_1, from_json

T = TypeVar("T")

_ROWS = {SCHEMA: FRAME, SCHEMA_1: FRAME_1}
_PATIENCE = 50
_PAUSE_S = 0.02
"""A writer that just begins has the file for itself for some milliseconds."""


class Recording:
    """Frames and decisions of a file that `open_record` opened. Also a context manager.

    schema: name of its layout. mended: what was done to put it in order after its writer's death, in words, or empty.
    growing: a writer had it open. n_frames: frames there when it was opened, or at the last `refresh`.
    """

    def __init__(self, path: Path, file: h5py.File, *, mended: str = "", growing: bool = False) -> None:
        self.path = path
        self.mended = mended
        self.growing = growing
        self._file = file
        self._datasets: dict[str, Any] = {}
        self._held: tuple[int, Any] = (-1, None)
        self.schema: str = self._read(lambda: layout_of(path, file))
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

    def refresh(self) -> int:
        """Number of frames that a recording still being written has now."""
        if self.growing and self._has_frames():
            self.n_frames = self._read(self._refreshed)
        return self.n_frames

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

    def exposures(self) -> Iterator[Observe]:
        """Every exposure that the recording speaks of, those that were repeated as often as they were tried."""
        for frame in self.frames():
            yield from [frame.request] * int(frame.metadata.get("attempts", "1"))

    def row(self, index: int) -> Any:
        """The frame's scalars, with the columns of `lsm.record.schema.FRAME` (FRAME_1 for the old layout)."""
        return self._row(index)

    def text(self, index: int) -> bytes:
        """The frame's text as it is stored: JSON."""
        return self._text_bytes(self._row(index))

    def wall_ns(self, index: int) -> int | None:
        """UTC time at which the exposure began, in nanoseconds since 1970; None in the old layout."""
        row = self._row(index)
        if self.schema == SCHEMA_1:
            return None
        return int(row["recorded_wall_ns"]) - (int(row["recorded_ns"]) - int(row["started_ns"]))

    def place(self, index: int) -> tuple[int, int] | None:
        """Where the stored image of a frame lies in the file: (offset, bytes)."""
        return self._read(lambda: place_of(self._file, index))

    def lengths(self) -> dict[str, int]:
        """Entries of each dataset of frames, as they are in the file; bytes for `text`."""
        return self._read(
            lambda: {name: int(self._file[name].shape[0]) for name in FRAME_DATASETS if self._has_frames()}
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _has_frames(self) -> bool:
        return "frames" in self._file

    def _count(self) -> int:
        refuse_impossible(self.path, self._file)
        if not self._has_frames():
            return 0
        table = self._dataset("frames")
        if table.dtype != _ROWS[self.schema]:
            raise ValueError("its table of frames has other columns")
        count = self._whole_rows()
        if any(self._file[name].shape[0] < count for name in ("images", "requested", "shown")):
            raise ValueError("it lacks images that its table lists")
        return count

    def _refreshed(self) -> int:
        # the rows first: what they name was written before them
        self._dataset("frames").refresh()
        n_frames = self._whole_rows()
        for name in ("text", "images", "requested", "shown"):
            self._dataset(name).refresh()
        return n_frames

    def _whole_rows(self) -> int:
        """Rows in the table; in one that grows, the last may be announced and not yet written."""
        table = self._dataset("frames")
        n_frames = int(table.shape[0])
        while self.growing and n_frames and table[n_frames - 1]["text_end"] == 0:
            n_frames -= 1
        return n_frames

    def _entry(self, name: str, index: int) -> Any:
        return self._read(lambda: self._dataset(name)[index])

    def _dataset(self, name: str) -> Any:
        # looking one up takes as long as reading a row
        if name not in self._datasets:
            self._datasets[name] = self._file[name]
        return self._datasets[name]

    def _row(self, index: int) -> Any:
        if not 0 <= index < self.n_frames:
            raise RecordError(f"{self.path} has no frame {index}.", hint=f"frames are 0 to {self.n_frames - 1}")
        if self._held[0] != index:
            self._held = (index, self._entry("frames", index))
        return self._held[1]

    def _text(self, row: Any) -> dict[str, Any]:
        content = from_json(self._text_bytes(row), what=f"text of a frame of {self.path}")
        if content.keys() != {"decision", "metadata", "pattern", "board"}:
            raise RecordError(f"The text of a frame of {self.path} lacks a key.", hint="the file is damaged")
        return content

    def _text_bytes(self, row: Any) -> bytes:
        return self._read(lambda: bytes(self._dataset("text")[row["text_start"] : row["text_end"]].tobytes()))

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except READ_ERRORS as error:
            raise damaged(self.path, error) from error


def open_record(path: Path) -> Recording:
    """The recording in the file `path`, whether its writer ended, was killed, lost its power, or still writes.

    Where the writer died, this first puts the file in order, with the journal beside it, which it then removes: the
    recording holds every frame that was acknowledged, nothing of the frame that was not, and every HDF5 program opens
    it. Where the disk is too full for that, the frames are read from the journal and the file. A file that may not be
    changed is read as it is, and so is one still being written, as it is at this moment.

    Raises FileMissing, or RecordError for a file that is damaged or not a recording.
    """
    if not path.is_file():
        raise FileMissing(f"The recording {path} does not exist.", hint="check the path")
    try:
        mended = tidy(path)
    except CannotMendError as error:
        # the other way round, the modules would import each other
        from lsm.record._salvage import SalvagedRecording

        return SalvagedRecording(path, error.why)
    file, growing = _open(path)
    try:
        _refuse_other_layout(path, file)
        return Recording(path, file, mended=mended, growing=growing)
    except RecordError:
        file.close()
        raise


def _refuse_other_layout(path: Path, file: h5py.File) -> None:
    try:
        layout = layout_of(path, file)
    except READ_ERRORS as error:
        raise damaged(path, error) from error
    if layout not in _ROWS:
        newer = layout.startswith(FAMILY)
        raise RecordError(
            f"{path} is a recording of the layout {layout}, this program reads {', '.join(_ROWS)}."
            if newer
            else f"{path} is not a recording of the layout {SCHEMA}.",
            hint="use a newer lsm" if newer else "was it written by lsm?",
        )


def damaged(path: Path, error: Exception) -> RecordError:
    """What to say of a recording that cannot be read."""
    return RecordError(f"The recording {path} is damaged: {error}.", hint="restore it from a copy")


def _open(path: Path) -> tuple[h5py.File, bool]:
    """The file, and whether it is marked as open by a writer."""
    for left in reversed(range(_PATIENCE)):
        try:
            marked = is_marked_open(path)
            return (
                h5py.File(path, "r", swmr=True, locking=False) if marked else h5py.File(path, "r", locking=False)
            ), marked
        except READ_ERRORS as error:
            if not (left and journal_of(path).exists()):
                raise RecordError(
                    f"{path} cannot be opened as a recording: {error}.", hint="is it an HDF5 file of lsm?"
                ) from error
            time.sleep(_PAUSE_S)
    raise RecordError(f"{path} is kept open by another program.", hint="try again")


def _pair(row: Any, x: str, y: str) -> tuple[float, float] | None:
    return None if np.isnan(row[x]) else (float(row[x]), float(row[y]))
