"""Put a recording in order whose writer died: with its journal where the file alone does not hold every frame.

After a killed process the file is whole, but for the writer's mark and at most the last frames. After a power cut
anything may be missing that was written since the last sync: then pieces of HDF5's indices are old and others new. What
the journal lists lies in the file at the place it names, because the library never moves a chunk and space is only
given back that no entry names. So the file is first compared with the journal; where only the last frames
are missing they are added in place, and else the file is built again beside the old one and takes its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from lsm.errors import FileMissing, RecordError
from lsm.record._disk import sync_folder, sync_path
from lsm.record._kept import Kept, kept_frames, read_pixels, whole_entries
from lsm.record._store import (
    GROWING,
    READ_ERRORS,
    WRITE_ERRORS,
    Store,
    create,
    layout_of,
    place_of,
    reason,
    text_attribute,
)
from lsm.record._superblock import clear_mark, is_marked_open
from lsm.record.journal import Entry, Head, Journal, journal_of
from lsm.record.schema import (
    FRAME,
    HEADER_ATTRIBUTE,
    IDENTITY_ATTRIBUTE,
    SCHEMA,
)

BLOCK = 64
"""Frames compared at a time."""


class CannotMendError(RecordError):
    """The system refuses to change the recording; journal and pixels are as they were."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"A recording whose writer died cannot be put in order: {why}.",
            hint="nothing is lost, its journal is kept; free some space or make the folder writable",
        )
        self.why = why


@dataclass(frozen=True)
class Stand:
    """How far a recording is. header: JSON. text_end: bytes of text. session: the number that new rows get."""

    identity: str
    header: str
    n_frames: int
    text_end: int
    session: int

    def after(self, n_frames: int, text_end: int) -> "Stand":
        """The same with that many frames more."""
        return replace(self, n_frames=self.n_frames + n_frames, text_end=text_end)

    def journal(self, path: Path) -> tuple[Head, Iterator[Entry]]:
        """What a journal of all frames so far would hold, read from the closed HDF5 file."""
        with h5py.File(path, "r", locking=False) as file:
            rows, columns = file["images"].shape[1:]
            leds, colours = file["shown"].shape[1:]
        head = Head(self.identity, self.header, (rows, columns), (leds, colours), self.n_frames)
        return head, _entries(path, self.n_frames)


def tidy(path: Path) -> str:
    """Put a recording in order that a dead writer left; what was done, in words, empty where there was nothing to do.

    Leaves the file of a living writer alone, and one that may not be changed.
    Raises CannotMendError, and RecordError where acknowledged frames are damaged or the journal is another recording's.
    """
    place = journal_of(path)
    try:
        journal = Journal.take(place)
    except (FileNotFoundError, NotADirectoryError):
        return "the mark of a killed writer was cleared" if is_marked_open(path) and clear_mark(path) else ""
    except OSError:
        return ""
    if journal is None:
        return ""
    with journal:
        try:
            done = _settle(path, journal)
            journal.remove()
        except WRITE_ERRORS as error:
            raise CannotMendError(reason(error)) from error
    return done


def stand_of(path: Path) -> Stand:
    """Where to go on with an interrupted recording, which is in order and durable afterwards.

    Raises FileMissing and RecordError as `Recorder.resume` does.
    """
    if not path.is_file():
        raise FileMissing(f"The recording {path} does not exist.", hint="check the path")
    tidy(path)
    place = journal_of(path)
    if place.exists():
        _drop_empty(path, place)
    try:
        with h5py.File(path, "r", locking=False) as file:
            stand = _read_stand(path, file)
    except READ_ERRORS as error:
        raise RecordError(
            f"The recording {path} cannot be resumed: {reason(error)}.", hint="lsm record verify says what is wrong"
        ) from error
    sync_path(path)
    return stand


def _read_stand(path: Path, file: h5py.File) -> Stand:
    schema = layout_of(path, file)
    if schema != SCHEMA:
        raise RecordError(f"{path} has the layout {schema}, not {SCHEMA}.", hint="record to a new file")
    if file["summary"].shape[0]:
        raise RecordError(f"The recording {path} has ended; there is nothing to resume.", hint="record to a new file")
    header = bytes(file.attrs[HEADER_ATTRIBUTE]).decode()
    identity = text_attribute(file, IDENTITY_ATTRIBUTE)
    n_frames = file["frames"].shape[0] if "frames" in file else 0
    if not n_frames:
        return Stand(identity, header, 0, 0, 0)
    last = file["frames"][n_frames - 1]
    return Stand(identity, header, n_frames, int(last["text_end"]), int(last["session"]) + 1)


def _drop_empty(path: Path, place: Path) -> None:
    """Delete a journal whose writer was killed before it had written the head."""
    try:
        journal = Journal.take(place)
    except FileNotFoundError:
        return
    except BlockingIOError as error:
        raise RecordError(
            f"The recording {path} is being written.", hint="wait until that program has ended"
        ) from error
    except OSError as error:
        raise RecordError(f"The journal {place} cannot be used: {reason(error)}.", hint="check the folder") from error
    if journal is not None:
        journal.close()
        raise RecordError(f"{place} could not be used.", hint="open the recording once more")
    # the file is changed only once the head is on the disk
    if is_marked_open(path):
        raise RecordError(
            f"The journal {place} is damaged at its beginning.",
            hint="move it away to read what the recording holds without it",
        )
    place.unlink(missing_ok=True)


def _settle(path: Path, journal: Journal) -> str:
    kept = whole_entries(path, journal)
    if kept.n_entries < journal.head.before:
        if is_marked_open(path):
            raise RecordError(
                f"The journal of {path} has {kept.n_entries} of {journal.head.before} whole entries.",
                hint="the journal is damaged; move it away to read what the recording holds without it",
            )
        return "its writer died before it went on"
    clear_mark(path)
    kept = kept_frames(path, journal, kept)
    lost = f"; {kept.n_lost} unacknowledged cut off" if kept.n_lost else ""
    agreeing, surplus = _agreement(path, journal, kept)
    if (agreeing, surplus) == (kept.n_frames, False):
        sync_path(path)
        return f"its writer died: all {kept.n_frames} frames of the journal are in the file{lost}"
    whole = (kept.n_frames, False)
    if agreeing >= kept.last_group and _amend(path, journal, kept) and _agreement(path, journal, kept) == whole:
        added = kept.n_frames - agreeing
        return f"its writer died: {added} of {kept.n_frames} frames completed from the journal{lost}"
    _rebuild(path, journal, kept)
    return f"its index was damaged: all {kept.n_frames} frames rebuilt from the journal{lost}"


def _agreement(path: Path, journal: Journal, kept: Kept) -> tuple[int, bool]:
    """Frames from the first on that the file holds as the journal does (-1: unreadable), and whether it has more."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            if text_attribute(file, IDENTITY_ATTRIBUTE) != journal.head.identity:
                raise RecordError(
                    f"{journal.path} belongs to another recording than {path}.", hint="move the journal away"
                )
            if "frames" not in file:
                return (0, False) if kept.n_frames == 0 else (-1, False)
            surplus = any(file[name].shape[0] > kept.n_frames for name in GROWING)
            surplus |= file["text"].shape[0] > kept.text_end
            with path.open("rb") as raw:
                return _agreeing(file, raw, journal, kept.n_frames), surplus
    except READ_ERRORS:
        return -1, False


def _agreeing(file: h5py.File, raw: BinaryIO, journal: Journal, n_frames: int) -> int:
    entries = islice(journal.entries(), n_frames)
    start = 0
    while block := list(islice(entries, BLOCK)):
        stop = start + len(block)
        rows = file["frames"][start:stop]
        requested, shown = file["requested"][start:stop], file["shown"][start:stop]
        for number, entry in enumerate(block[: len(rows)]):
            begin, end = int(entry.row["text_start"][0]), int(entry.row["text_end"][0])
            if not (
                rows[number].tobytes() == entry.row.tobytes()
                and _same_pixels(place_of(file, start + number), raw, entry)
                and np.array_equal(requested[number : number + 1], entry.requested[None])
                and np.array_equal(shown[number : number + 1], entry.shown[None])
                and file["text"][begin:end].tobytes() == entry.text
            ):
                return start + number
        if len(rows) < len(block):
            return start + len(rows)
        start = stop
    return start


def _same_pixels(place: tuple[int, int] | None, raw: BinaryIO, entry: Entry) -> bool:
    """True where the library has the frame's pixels at the entry's place, or the same bytes at another."""
    if place is None or place == (entry.offset, entry.size):
        return place is not None
    return read_pixels(raw, replace(entry, offset=place[0], size=place[1])) is not None


def _amend(path: Path, journal: Journal, kept: Kept) -> bool:
    """Add the last group in place and cut what is beyond it; False where the file does not agree afterwards."""
    with path.open("rb") as file:
        group = list(islice(journal.entries(), kept.last_group, kept.n_frames))
        pixels = [read_pixels(file, entry) for entry in group]
    try:
        store = Store(path)
    except READ_ERRORS:
        return False
    try:
        for index, (entry, payload) in enumerate(zip(group, pixels, strict=True), kept.last_group):
            if store.place(index) != (entry.offset, entry.size):
                if payload is None:
                    raise ValueError(f"the pixels of frame {index} are damaged")
                # the same bytes once more, in new space: the old stays as the journal names it
                store.put_pixels(index, [payload])
        if group:
            store.put_rest(kept.last_group, group)
        store.cut(kept.n_frames, kept.text_end)
        store.close()
    except WRITE_ERRORS:
        store.abandon()
        return False
    return True


def _rebuild(path: Path, journal: Journal, kept: Kept) -> None:
    """A new file from the journal and the pixels in the old one, which it replaces once it is durable."""
    new = path.with_name(f".{path.name}.rebuilt")
    new.unlink(missing_ok=True)
    try:
        create(new, journal.head, frames=True)
        store = Store(new)
        try:
            with path.open("rb") as file:
                _copy(path, file, journal, kept, store)
            store.close()
        except BaseException:
            store.abandon()
            raise
        new.replace(path)
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def _copy(path: Path, file: BinaryIO, journal: Journal, kept: Kept, store: Store) -> None:
    for index, entry in enumerate(islice(journal.entries(), kept.n_frames)):
        payload = read_pixels(file, entry)
        if payload is None:
            raise RecordError(
                f"The pixels of frame {index} of {path} are damaged, and so is its index.",
                hint="the journal is kept; restore the file from a copy",
            )
        store.put_pixels(index, [payload])
        store.put_rest(index, [entry])


def _entries(path: Path, n_frames: int) -> Iterator[Entry]:
    with h5py.File(path, "r", locking=False) as file:
        # looking one up by name takes as long as reading from it
        rows, requested, shown, texts = (file[name] for name in ("frames", "requested", "shown", "text"))
        for index in range(n_frames):
            row = rows[index : index + 1].astype(FRAME, copy=False)
            text = texts[int(row["text_start"][0]) : int(row["text_end"][0])].tobytes()
            offset, size = place_of(file, index) or (0, 0)
            yield Entry(row, requested[index], shown[index], text, offset, size)
