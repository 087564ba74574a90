"""Write frames to one HDF5 file that survives the death of its writer."""

import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import h5py
import numpy as np

import lsm
from lsm.devices import Frame
from lsm.errors import RecordError
from lsm.record._superblock import lock
from lsm.record.schema import FRAME, HEADER_ATTRIBUTE, SCHEMA, SCHEMA_ATTRIBUTE, to_json

RESERVE_BYTES = 8 * 2**20
"""Free space below which a frame is refused while the file can still be closed in order."""

_WRITE_ERRORS = (OSError, RuntimeError, ValueError)
"""What h5py raises when the library cannot write."""


class Recorder:
    """A recording being written to `path`, which must not exist yet. Also a context manager.

    header: what a reader needs to know about the run (rig, board and model digest, seed, ...); JSON values.

    From the moment the constructor returns, the file opens whatever happens to this process, and it holds
    every frame whose `add` has returned. This protects from a killed process, not from a computer that loses
    its power: the operating system writes to the disk later. The file is in HDF5's SWMR mode (single writer,
    multiple readers) once the first frame is in.

    Raises RecordError where the file exists or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        if path.exists():
            raise RecordError(
                f"The recording {path} exists already.", hint="give another path or move the old one away"
            )
        self._header = to_json({"lsm_version": lsm.__version__} | dict(header), what="header of the recording")
        self._file: h5py.File | None = None
        self._mark: BinaryIO | None = None
        self._ended = False
        self._n_frames = 0
        self._text_end = 0
        self._create()

    @property
    def n_frames(self) -> int:
        """Frames that are safely in the file."""
        return self._n_frames

    def add(self, frame: Frame, decision: Mapping[str, Any] | None = None) -> int:
        """Index of the frame, which is in the file when this returns.

        decision: what the policy decided on having seen this frame, and why; JSON values.
        Raises RecordError for a full disk, a failed write, or a frame unlike the first one; the frames before
        it stay. After a failed write the recording takes no more frames.
        """
        text = _frame_text(frame, decision)
        self._refuse_if_ended()
        self._refuse_full_disk(frame)
        try:
            if self._file is None:
                self._begin(frame)
            self._refuse_other_shape(frame)
            self._append(frame, text)
        except _WRITE_ERRORS as error:
            self._abandon()
            raise RecordError(
                f"The recording {self.path} cannot be written: {_reason(error)}.",
                hint=f"its first {self._n_frames} frames are safe; check the disk, then record to a new file",
            ) from error
        self._n_frames += 1
        return self._n_frames - 1

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the run's summary and close the file. Raises RecordError."""
        text = to_json(summary, what="summary of the recording")
        self._refuse_if_ended()
        try:
            if self._file is None:
                self._create(summary=text)
            else:
                _put(self._file["summary"], 0, np.frombuffer(text, dtype=np.uint8))
        except _WRITE_ERRORS as error:
            self._abandon()
            raise RecordError(
                f"The summary of {self.path} cannot be written: {_reason(error)}.", hint="check the disk"
            ) from error
        self.close()

    def close(self) -> None:
        """Close the file as it is; may be called twice. Raises RecordError where the last write fails."""
        self._ended = True
        file = self._file
        try:
            if file is not None:
                file.flush()
                file.close()
        except _WRITE_ERRORS as error:
            self._abandon()
            raise RecordError(
                f"The recording {self.path} cannot be closed: {_reason(error)}.", hint="check the disk"
            ) from error
        self._file = None
        self._release()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _create(self, frame: Frame | None = None, *, summary: bytes = b"") -> None:
        """Put a complete, closed file in place in one step, so that no moment leaves half of one."""
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with h5py.File(partial, "w", libver="v110") as file:
                file.attrs[SCHEMA_ATTRIBUTE] = SCHEMA
                file.attrs[HEADER_ATTRIBUTE] = np.bytes_(self._header)
                _bytes_dataset(file, "summary", summary)
                if frame is not None:
                    _frame_datasets(file, frame)
            partial.replace(self.path)
        except _WRITE_ERRORS as error:
            partial.unlink(missing_ok=True)
            raise RecordError(
                f"The recording {self.path} cannot be created: {_reason(error)}.", hint="check the folder and the disk"
            ) from error

    def _begin(self, frame: Frame) -> None:
        self._create(frame)
        self._file = h5py.File(self.path, "r+", libver="v110")
        self._file.swmr_mode = True
        self._mark = self.path.open("rb")
        lock(self._mark, exclusive=False)

    def _append(self, frame: Frame, text: bytes) -> None:
        file = self._file
        if file is None:
            return
        index = self._n_frames
        for name, array in _arrays(frame).items():
            _put(file[name], index, array[None])
        start, end = self._text_end, self._text_end + len(text)
        _put(file["text"], start, np.frombuffer(text, dtype=np.uint8))
        _put(file["frames"], index, _row(frame, start, end))
        self._text_end = end

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise RecordError(f"The recording {self.path} is closed.", hint="record to a new file")

    def _refuse_full_disk(self, frame: Frame) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < RESERVE_BYTES + frame.image.nbytes:
            raise RecordError(
                f"The disk of {self.path} has {free // 2**20} MiB left; frame {self._n_frames} is not recorded.",
                hint=f"its first {self._n_frames} frames are safe; free some space",
            )

    def _refuse_other_shape(self, frame: Frame) -> None:
        for name, array in _arrays(frame).items():
            shape = None if self._file is None else self._file[name].shape[1:]
            if array.shape != shape:
                raise RecordError(
                    f"Frame {self._n_frames} has {name} of shape {array.shape}, the recording {shape}.",
                    hint="one recording holds one camera format and one board",
                )

    def _abandon(self) -> None:
        """Let go of a file that cannot be written; what is in it stays.

        HDF5 2.0 crashes the process when it must close a file whose last write failed, so from here on it
        writes to nowhere.
        """
        self._ended = True
        file, self._file = self._file, None
        if file is not None:
            _write_to_nowhere(file)
            with suppress(*_WRITE_ERRORS):
                file.close()
        self._release()

    def _release(self) -> None:
        if self._mark is not None:
            self._mark.close()
            self._mark = None


def _frame_text(frame: Frame, decision: Mapping[str, Any] | None) -> bytes:
    return to_json(
        {
            "decision": dict(decision or {}),
            "metadata": dict(frame.metadata),
            "pattern": frame.request.pattern.name,
            "board": frame.request.pattern.board,
        },
        what="decision of the frame",
    )


def _row(frame: Frame, text_start: int, text_end: int) -> np.ndarray:
    wanted = (*(frame.request.xy_um or (np.nan, np.nan)), np.nan if frame.request.z_um is None else frame.request.z_um)
    row = (
        frame.request.exposure_ms,
        *wanted,
        *frame.xy_um,
        frame.z_um,
        frame.shown.limited,
        frame.shown.latch,
        frame.started_ns,
        frame.ended_ns,
        text_start,
        text_end,
    )
    return np.array([row], dtype=FRAME)


def _frame_datasets(file: h5py.File, frame: Frame) -> None:
    for name, array in _arrays(frame).items():
        file.create_dataset(
            name,
            shape=(0, *array.shape),
            maxshape=(None, *array.shape),
            chunks=(1, *array.shape),
            dtype=array.dtype,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
    file.create_dataset("frames", shape=(0,), maxshape=(None,), chunks=(64,), dtype=FRAME)
    _bytes_dataset(file, "text", b"")


def _bytes_dataset(file: h5py.File, name: str, content: bytes) -> None:
    file.create_dataset(
        name, data=np.frombuffer(content, dtype=np.uint8), maxshape=(None,), chunks=(4096,), dtype=np.uint8
    )


def _put(dataset: h5py.Dataset, start: int, rows: np.ndarray) -> None:
    """Write at `start`, over what an interrupted attempt may have left there, and hand it to the system."""
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows
    dataset.flush()


def _arrays(frame: Frame) -> dict[str, np.ndarray]:
    return {"images": frame.image, "requested": frame.request.pattern.levels, "shown": frame.shown.levels}


def _write_to_nowhere(file: h5py.File) -> None:
    if sys.platform == "win32":
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, file.id.get_vfd_handle())
    os.close(nowhere)


def _reason(error: Exception) -> str:
    """What the operating system said, out of the library's long message."""
    found = re.search("error message = '([^']*)'", str(error))
    return found.group(1).lower() if found else str(error).partition("(")[0].strip().lower()
