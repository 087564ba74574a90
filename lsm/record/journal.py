"""The journal beside a recording: what makes a frame durable before it is acknowledged.

HDF5 changes its indices in place, several pages at a time. A power cut in the middle leaves a file that no library
opens, although the pixels are all there. So each frame also has an entry in `<name>.journal`: everything but its
pixels, and where in the HDF5 file these lie. From the two the recording can be built again. The journal goes
when the recording is closed in order.

File: "LSMJ", version (u32), length and CRC-32C of the head (u32 each), the head (JSON). Then entries: "ENTR", length
and CRC-32C of what follows (u32 each), index, offset, size (u64 each), and, deflated, the row, the levels asked for,
those shown, and the text. The CRC-32C of an entry begins with that of the head, so that no entry of another journal
fits.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from lsm.errors import RecordError
from lsm.record._chunks import crc32c
from lsm.record._disk import lock, sync, sync_folder
from lsm.record.schema import FRAME
from lsm.types import DutyLevels

_HEAD = struct.Struct("<4sIII")
_PREFIX = struct.Struct("<4sII")
_PLACE = struct.Struct("<QQQ")
_MAGIC, _ENTRY_MAGIC = b"LSMJ", b"ENTR"
_VERSION = 1
_LONGEST = 2**28
"""Bytes of an entry; a longer one can only be damage."""
_MOST_TRIED = 1000
"""Places looked at for a later entry; more that look like one and are none can only be damage."""


@dataclass(frozen=True)
class Head:
    """What a recording can be built from again, but for its frames.

    identity: also an attribute of the HDF5 file. header: the run's, as JSON. image_shape: (rows, columns).
    levels_shape: (LEDs, colours). before: frames that were in the recording when the journal began; with fewer entries
    than that it was not complete, and the HDF5 file not yet opened for writing.
    """

    identity: str
    header: str
    image_shape: tuple[int, int]
    levels_shape: tuple[int, int]
    before: int = 0

    def pack(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True).encode()

    @classmethod
    def unpack(cls, text: bytes) -> "Head":
        """Raises ValueError, KeyError or TypeError for other text."""
        value = json.loads(text)
        rows, columns = map(int, value["image_shape"])
        leds, colours = map(int, value["levels_shape"])
        return cls(str(value["identity"]), str(value["header"]), (rows, columns), (leds, colours), int(value["before"]))


@dataclass(frozen=True, eq=False)
class Entry:
    """Everything of one frame but its pixels. offset, size: where these lie in the HDF5 file, in bytes."""

    row: np.ndarray
    requested: DutyLevels
    shown: DutyLevels
    text: bytes
    offset: int
    size: int


def journal_of(path: Path) -> Path:
    """Where the journal of the recording `path` lies."""
    return path.with_name(path.name + ".journal")


class Journal:
    """A journal open for reading and writing, locked as long as it is. Also a context manager."""

    def __init__(self, path: Path, file: BinaryIO, head: Head, start: int, salt: int) -> None:
        self.path = path
        self.head = head
        self._file = file
        self._start = self._end = self._rest = start
        self._salt = salt
        self._n_entries = 0
        self._loose = False

    @classmethod
    def create(cls, path: Path, head: Head) -> "Journal":
        """A new journal, durable when this returns. Raises OSError where one is there."""
        file = path.open("x+b", buffering=0)
        try:
            if not lock(file):
                raise OSError(f"{path} is locked by another program")
            text = head.pack()
            salt = crc32c(text)
            _write(file, _HEAD.pack(_MAGIC, _VERSION, len(text), salt) + text)
            os.fsync(file.fileno())
            sync_folder(path.parent)
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise
        return cls(path, file, head, _HEAD.size + len(text), salt)

    @classmethod
    def take(cls, path: Path) -> "Journal | None":
        """The journal that a dead writer left; None where that writer was killed before it had written its head.

        Raises BlockingIOError where the writer lives, FileNotFoundError, OSError where it may not be changed, and
        RecordError for another version.
        """
        file = path.open("r+b", buffering=0)
        try:
            if not lock(file):
                raise BlockingIOError(f"{path} is locked by its writer")
            # a journal whose writer ended in order meanwhile has lost its name
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise FileNotFoundError(f"{path} is gone")
            journal = cls._read_head(path, file)
        except BaseException:
            file.close()
            raise
        if journal is None:
            file.close()
        return journal

    @classmethod
    def peek(cls, path: Path) -> "Journal":
        """A journal to be read only, whoever holds it. Raises OSError; RecordError for what is no journal."""
        file = path.open("rb", buffering=0)
        try:
            journal = cls._read_head(path, file)
            if journal is None:
                raise RecordError(f"{path} is not a journal of lsm.", hint="move it away")
        except BaseException:
            file.close()
            raise
        return journal

    @classmethod
    def _read_head(cls, path: Path, file: BinaryIO) -> "Journal | None":
        start = file.read(_HEAD.size)
        if len(start) < _HEAD.size:
            return None
        magic, version, length, salt = _HEAD.unpack(start)
        text = file.read(min(length, _LONGEST))
        if magic != _MAGIC or crc32c(text) != salt:
            return None
        if version != _VERSION:
            raise RecordError(f"The journal {path} has version {version}, not {_VERSION}.", hint="use a newer lsm")
        try:
            head = Head.unpack(text)
        except (ValueError, KeyError, TypeError):
            return None
        return cls(path, file, head, _HEAD.size + len(text), salt)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries behind those that are kept; they survive once `sync` returned. Raises OSError."""
        if self._loose:
            # an attempt that was given up must not show through behind a shorter one
            self._file.truncate(self._end)
        self._loose = True
        self._file.seek(self._end)
        packed = [self._pack(self._n_entries + number, entry) for number, entry in enumerate(entries)]
        _write(self._file, b"".join(packed))

    def keep(self, n_entries: int) -> None:
        """Count the last `n_entries` appended as kept: the next ones go behind them."""
        self._end = self._file.tell()
        self._n_entries += n_entries
        self._loose = False

    def sync(self) -> None:
        """Return when what was appended is on the disk itself."""
        sync(self._file.fileno())

    def entries(self) -> Iterator[Entry]:
        """The entries from the first to the last whole one."""
        self._file.seek(self._start)
        index = 0
        self._rest = self._start
        while (entry := self._next(index)) is not None:
            self._rest = self._file.tell()
            yield entry
            index += 1

    @property
    def has_rest(self) -> bool:
        """Whether bytes lie behind the last whole entry, when `entries` has come to its end."""
        return os.fstat(self._file.fileno()).st_size > self._rest

    def has_later_group(self, index: int) -> bool:
        """Whether the rest holds frames that were handed over after the frame `index`, which it does not hold whole.

        A write that was cut short leaves no such thing: the frame was kept once, and its entry is damaged.
        """
        if not self.has_rest:
            return False
        self._file.seek(self._rest)
        rest = self._file.read()
        at = -1
        for _ in range(_MOST_TRIED):
            at = rest.find(_ENTRY_MAGIC, at + 1)
            if at < 0:
                return False
            self._file.seek(self._rest + at)
            entry = self._next(None)
            if entry is not None and int(entry.row["group"][0]) > index:
                return True
        return True

    def positions(self) -> list[int]:
        """Where each whole entry begins in the journal."""
        starts = [self._start]
        starts += [self._file.tell() for _ in self.entries()]
        return starts[:-1]

    def entry(self, position: int, index: int) -> Entry | None:
        """The entry `index`, which begins there; None where it is damaged."""
        self._file.seek(position)
        return self._next(index)

    def remove(self) -> None:
        """Delete the journal, durably: the recording needs it no longer."""
        # Windows deletes no open file
        self._file.close()
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Let go of the journal and its lock; the file stays."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pack(self, index: int, entry: Entry) -> bytes:
        content = b"".join((entry.row.tobytes(), entry.requested.tobytes(), entry.shown.tobytes(), entry.text))
        body = _PLACE.pack(index, entry.offset, entry.size) + zlib.compress(content, 1)
        return _PREFIX.pack(_ENTRY_MAGIC, len(body), crc32c(body, start=self._salt)) + body

    def _next(self, index: int | None) -> Entry | None:
        prefix = self._file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return None
        magic, length, crc = _PREFIX.unpack(prefix)
        if magic != _ENTRY_MAGIC or not _PLACE.size < length <= _LONGEST:
            return None
        body = self._file.read(length)
        if len(body) < length or crc32c(body, start=self._salt) != crc:
            return None
        number, offset, size = _PLACE.unpack_from(body)
        if index is not None and number != index:
            return None
        n_levels = self.head.levels_shape[0] * self.head.levels_shape[1]
        row_end = FRAME.itemsize
        try:
            content = zlib.decompressobj().decompress(body[_PLACE.size :], _LONGEST)
            levels = np.frombuffer(content, np.uint8, 2 * n_levels, row_end).reshape(2, *self.head.levels_shape)
            row = np.frombuffer(content, FRAME, 1)
        except (ValueError, zlib.error):
            return None
        return Entry(row, levels[0], levels[1], content[row_end + 2 * n_levels :], offset, size)


def _write(file: BinaryIO, data: bytes) -> None:
    """All of it: an unbuffered file may take less, and says why only when asked again."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
