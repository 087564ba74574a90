"""Read a recording from its journal and the pixels in its file alone, where the file cannot be put in order."""

from pathlib import Path
from typing import Any

import numpy as np

from lsm.errors import RecordError
from lsm.record._chunks import unpack
from lsm.record._kept import read_pixels, whole_entries
from lsm.record.journal import Entry, Journal, journal_of
from lsm.record.reading import Recording
from lsm.record.schema import SCHEMA, from_json


class SalvagedRecording(Recording):
    """A recording of a dead writer, for reading only: the disk is full, so nothing was changed.

    It holds every acknowledged frame. Raises RecordError where the journal cannot be read.
    """

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.growing = False
        self.schema = SCHEMA
        self._held = (-1, None)
        self._entry_held: tuple[int, Entry | None] = (-1, None)
        self._journal = Journal.peek(journal_of(path))
        self._pixels = path.open("rb")
        self.n_frames = whole_entries(path, self._journal).n_frames
        self._positions = self._journal.positions()
        self.header = from_json(self._journal.head.header.encode(), what=f"header of {path}")
        self.mended = f"nothing was changed ({why}): read from the journal"

    @property
    def complete(self) -> bool:
        return False

    @property
    def summary(self) -> dict[str, Any]:
        return {}

    def place(self, index: int) -> tuple[int, int] | None:
        entry = self._journaled(index)
        return entry.offset, entry.size

    def lengths(self) -> dict[str, int]:
        text_end = int(self.row(self.n_frames - 1)["text_end"]) if self.n_frames else 0
        return dict.fromkeys(("images", "requested", "shown", "frames"), self.n_frames) | {"text": text_end}

    def close(self) -> None:
        self._journal.close()
        self._pixels.close()

    def _journaled(self, index: int) -> Entry:
        if self._entry_held[0] != index:
            self._entry_held = (index, self._journal.entry(self._positions[index], index))
        entry = self._entry_held[1]
        if entry is None:
            raise RecordError(f"Entry {index} of {self._journal.path} is damaged.", hint="restore it from a copy")
        return entry

    def _entry(self, name: str, index: int) -> Any:
        entry = self._journaled(index)
        if name == "frames":
            return entry.row[0]
        if name != "images":
            return np.array(getattr(entry, name))
        payload = read_pixels(self._pixels, entry)
        if payload is None:
            raise RecordError(f"The pixels of frame {index} of {self.path} are damaged.", hint="restore it from a copy")
        return unpack(payload, self._journal.head.image_shape)

    def _text_bytes(self, row: Any) -> bytes:
        return self._journaled(self._held[0]).text
