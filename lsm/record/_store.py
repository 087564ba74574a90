"""The HDF5 file of a recording while it is written: SWMR mode, pixels first, the row of a frame last."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lsm.record._chunks import storage
from lsm.record._disk import sync, sync_folder, sync_path
from lsm.record.journal import Entry, Head
from lsm.record.schema import FRAME, HEADER_ATTRIBUTE, IDENTITY_ATTRIBUTE, SCHEMA, SCHEMA_1, SCHEMA_ATTRIBUTE

WRITE_ERRORS = (OSError, RuntimeError, ValueError)
"""What h5py raises when the library cannot write."""

READ_ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
)
"""What h5py and numpy raise on damaged files."""

_FIRST_BYTES = 2**20
"""Where the first layout has its name: files begin with their attributes."""

UNBORN = ".part"

GROWING = ("images", "requested", "shown", "frames")


def unborn(path: Path) -> list[Path]:
    """What is left beside `path` of writers that were killed before their file had that name; it holds no frame."""
    start = f".{path.name}."
    return [each for each in path.parent.iterdir() if each.name.startswith(start) and each.name.endswith(UNBORN)]


def create(path: Path, head: Head, *, frames: bool, summary: bytes = b"") -> None:
    """Put a complete, closed file in place in one step, durably, so that no moment leaves half of one.

    frames: with the datasets of frames. Raises what WRITE_ERRORS lists.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{UNBORN}")
    try:
        for left in unborn(path):
            left.unlink(missing_ok=True)
        with h5py.File(partial, "w", libver="v110") as file:
            # of fixed length: the library can loop for ever over a damaged heap of text of variable length
            file.attrs[SCHEMA_ATTRIBUTE] = np.bytes_(SCHEMA.encode())
            file.attrs[HEADER_ATTRIBUTE] = np.bytes_(head.header.encode())
            file.attrs[IDENTITY_ATTRIBUTE] = np.bytes_(head.identity.encode())
            _bytes_dataset(file, "summary", summary, fletcher32=True)
            if frames:
                _frame_datasets(file, head)
        sync_path(partial)
        partial.replace(path)
        sync_folder(path.parent)
    except WRITE_ERRORS:
        partial.unlink(missing_ok=True)
        raise


class Store:
    """A recording's HDF5 file with its datasets of frames, open for writing; readers see it grow.

    Everything raises what WRITE_ERRORS lists, and then only `abandon` may follow.
    """

    def __init__(self, path: Path) -> None:
        # the journal's lock keeps other writers away; the library's own would give way to any reader
        self._file: Any = h5py.File(path, "r+", libver="v110", locking=False)
        self._file.swmr_mode = True
        # looking one up by name takes as long as writing a row
        self._datasets: dict[str, Any] = {name: self._file[name] for name in (*GROWING, "text")}
        self._images = self._datasets["images"]

    def put_pixels(self, start: int, payloads: Sequence[bytes]) -> list[tuple[int, int]]:
        """Write packed images from frame `start` on; where each lies in the file: (offset, bytes)."""
        if self._images.shape[0] < start + len(payloads):
            self._images.resize(start + len(payloads), axis=0)
        places = []
        for index, payload in enumerate(payloads, start):
            self._images.id.write_direct_chunk((index, 0, 0), payload)
            place = self._images.id.get_chunk_info_by_coord((index, 0, 0))
            places.append((place.byte_offset, place.size))
        return places

    def place(self, index: int) -> tuple[int, int] | None:
        """Where the pixels of a frame lie: (offset, bytes); None where the file has none."""
        return place_of(self._file, index)

    def put_rest(self, start: int, entries: Sequence[Entry]) -> None:
        """Write everything but the pixels of frames `start` on, and show the frames to readers."""
        rows = np.concatenate([entry.row for entry in entries])
        text = b"".join(entry.text for entry in entries)
        self._images.flush()
        for name in ("requested", "shown"):
            _put(self._datasets[name], start, np.stack([getattr(entry, name) for entry in entries]))
        _put(self._datasets["text"], int(rows["text_start"][0]), np.frombuffer(text, dtype=np.uint8))
        _put(self._datasets["frames"], start, rows)

    def cut(self, n_frames: int, text_end: int) -> None:
        """Drop what an unfinished frame left behind frame `n_frames`."""
        for name in ("frames", "text", "images", "requested", "shown"):
            dataset, end = self._datasets[name], text_end if name == "text" else n_frames
            if dataset.shape[0] > end:
                dataset.resize(end, axis=0)
                dataset.flush()

    def put_summary(self, summary: bytes) -> None:
        _put(self._file["summary"], 0, np.frombuffer(summary, dtype=np.uint8))

    def sync(self) -> None:
        """Return when all that was handed to the operating system is on the disk itself."""
        sync(self._file.id.get_vfd_handle())

    def close(self) -> None:
        """Close the file, durably and free of the writer's mark."""
        path = Path(self._file.filename)
        self._file.flush()
        self._file.close()
        sync_path(path)

    def abandon(self) -> None:
        """Let go of a file that cannot be written; what is in it stays.

        HDF5 2.0 crashes the process when it must close a file whose last write failed, so from here on it
        writes to nowhere.
        """
        if sys.platform != "win32":
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._file.id.get_vfd_handle())
            os.close(nowhere)
        with suppress(*WRITE_ERRORS):
            self._file.close()


def place_of(file: h5py.File, index: int) -> tuple[int, int] | None:
    """Where the packed pixels of a frame lie: (offset, bytes); None where the file has none."""
    images = file["images"]
    if index >= images.shape[0]:
        return None
    place = images.id.get_chunk_info_by_coord((index, 0, 0))
    return None if place.byte_offset is None else (int(place.byte_offset), int(place.size))


def is_blank(path: Path, identity: str) -> bool:
    """Whether the recording of that identity is there, without frames and summary."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            n_frames = file["frames"].shape[0] if "frames" in file else 0
            held = n_frames + file["summary"].shape[0]
            return held == 0 and text_attribute(file, IDENTITY_ATTRIBUTE) == identity
    except READ_ERRORS:
        return False


def text_attribute(file: h5py.File, name: str) -> str:
    """An attribute of text of fixed length. Raises what READ_ERRORS lists."""
    if file.attrs.get_id(name).get_type().is_variable_str():
        raise ValueError(f"its attribute '{name}' has no fixed length")
    return bytes(file.attrs[name]).decode()


def layout_of(path: Path, file: h5py.File) -> str:
    """Name of the file's layout; empty where it has none. Raises what READ_ERRORS lists."""
    if SCHEMA_ATTRIBUTE not in file.attrs:
        return ""
    if not file.attrs.get_id(SCHEMA_ATTRIBUTE).get_type().is_variable_str():
        return text_attribute(file, SCHEMA_ATTRIBUTE)
    # only the first layout had it so; see `create` for why it is not read through the library
    with path.open("rb") as raw:
        return SCHEMA_1 if SCHEMA_1.encode() in raw.read(_FIRST_BYTES) else ""


def reason(error: Exception) -> str:
    """What the operating system said, out of the library's long message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    found = re.search("error message = '([^']*)'", str(error))
    return found.group(1).lower() if found else str(error).partition("(")[0].strip().lower()


def _frame_datasets(file: h5py.File, head: Head) -> None:
    file.create_dataset("images", **storage(head.image_shape))
    for name in ("requested", "shown"):
        file.create_dataset(
            name,
            shape=(0, *head.levels_shape),
            maxshape=(None, *head.levels_shape),
            chunks=(1, *head.levels_shape),
            dtype=np.uint8,
            compression="gzip",
            compression_opts=1,
        )
    file.create_dataset("frames", shape=(0,), maxshape=(None,), chunks=(64,), dtype=FRAME)
    _bytes_dataset(file, "text", b"")


def _bytes_dataset(file: h5py.File, name: str, content: bytes, *, fletcher32: bool = False) -> None:
    data = np.frombuffer(content, dtype=np.uint8)
    file.create_dataset(name, data=data, maxshape=(None,), chunks=(4096,), dtype=np.uint8, fletcher32=fletcher32)


def _put(dataset: h5py.Dataset, start: int, rows: np.ndarray) -> None:
    """Write at `start`, over what an interrupted attempt may have left there, and hand it to the system."""
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows
    dataset.flush()
