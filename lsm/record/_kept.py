"""What the journal of a dead writer guarantees, and when it must not be believed."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import h5py

from lsm.errors import RecordError
from lsm.record._chunks import crc32c
from lsm.record._store import READ_ERRORS
from lsm.record.journal import Entry, Journal


@dataclass(frozen=True)
class Kept:
    """Entries of a journal whose pixels are there. n_entries: all. last_group: where those written last begin."""

    n_entries: int
    n_frames: int
    text_end: int
    last_group: int

    @property
    def n_lost(self) -> int:
        return self.n_entries - self.n_frames


def whole_entries(path: Path, journal: Journal) -> Kept:
    """What the journal holds by itself.

    Only the last group may lack entries or pixels: each earlier one was on the disk before the next began.
    Raises RecordError where one of an earlier group is damaged: what follows it would be lost.
    """
    with path.open("rb") as file:
        kept = _count(file, journal)
    if kept.n_entries >= journal.head.before and journal.has_later_group(kept.n_entries):
        raise _broken(path, kept)
    return kept


def kept_frames(path: Path, journal: Journal, whole: Kept) -> Kept:
    """What the journal guarantees of the recording, whose file is not marked as open.

    A frame whose row is in the file was acknowledged, since the row is written last: it is kept, damaged or not.
    Raises RecordError where the journal lacks its entry: cutting the file to the journal would lose it.
    """
    if not (whole.n_lost or journal.has_rest):
        return whole
    rows = _rows_from(path, whole.n_frames)
    if journal.has_rest and len(rows) > whole.n_lost:
        raise _broken(path, whole)
    if not (whole.n_lost and rows):
        return whole
    lost = list(islice(journal.entries(), whole.n_frames, whole.n_entries))
    if rows[0] != lost[0].row.tobytes():
        return whole
    return replace(whole, n_frames=whole.n_entries, text_end=int(lost[-1].row["text_end"][0]))


def _broken(path: Path, kept: Kept) -> RecordError:
    return RecordError(
        f"The journal of {path} is damaged at frame {kept.n_entries}, and more follows.",
        hint="no frame was changed; move the journal away to read what the recording holds without it",
    )


def read_pixels(file: BinaryIO, entry: Entry) -> bytes | None:
    """The packed image at the entry's place; None where it does not match its checksum."""
    end = file.seek(0, 2)
    if entry.size > end or entry.offset > end - entry.size:
        return None
    file.seek(entry.offset)
    payload = file.read(entry.size)
    return payload if crc32c(payload) == int(entry.row["stored_crc"][0]) else None


def _count(file: BinaryIO, journal: Journal) -> Kept:
    n_frames = 0
    group: list[Entry] = []
    for entry in journal.entries():
        if group and group[-1].row["group"] != entry.row["group"]:
            group = []
        group.append(entry)
        n_frames += 1
    last_group = n_frames - len(group)
    whole = [read_pixels(file, entry) is not None for entry in group]
    good = whole.index(False) if False in whole else len(whole)
    text_end = int(group[0].row["text_start"][0]) if group else 0
    if good:
        text_end = int(group[good - 1].row["text_end"][0])
    return Kept(n_frames, last_group + good, text_end, last_group)


def _rows_from(path: Path, start: int) -> list[bytes]:
    """Rows of the file's table from that frame on; none where the file is too damaged to say."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return [row.tobytes() for row in file["frames"][start:]] if "frames" in file else []
    except READ_ERRORS:
        return []
