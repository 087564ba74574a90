"""Write frames to one HDF5 file that survives the death of its writer and of its computer's power."""

import os
import shutil
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import lsm
from lsm.devices import Frame
from lsm.errors import RecordError
from lsm.record._mend import Stand, stand_of
from lsm.record._prepare import Moment, Prepared, frame_text, prepare
from lsm.record._store import WRITE_ERRORS, Store, create, is_blank, reason
from lsm.record.journal import Entry, Head, Journal, journal_of
from lsm.record.schema import to_json

RESERVE_BYTES = 8 * 2**20
"""Free space below which a frame is refused while the file can still be closed in order."""

PACKERS = min(4, os.cpu_count() or 1)
"""Threads that pack the images of a burst."""


class Recorder:
    """A recording being written to `path`, which must not exist yet. Also a context manager.

    header: what a reader needs to know about the run (rig, board and model digest, seed, ...); JSON values. Or how
    far an interrupted recording is: see `resume`.

    From the moment the constructor returns, the file opens whatever happens to this process, and it holds every
    frame whose `add` has returned, also when the computer loses its power: `add` returns when the disk itself has
    the frame. While the file is written, `<name>.journal` lies beside it; a journal that is left over tells that the
    writer died, and the next `open_record` or `resume` puts the file in order with it and removes it. The file is in
    HDF5's SWMR mode (single writer, multiple readers) once the first frame is in.

    Several threads may call `add`. Raises RecordError where the file exists or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any] | Stand) -> None:
        self.path = path
        self._head: Head | None = None
        self._store: Store | None = None
        self._journal: Journal | None = None
        self._ended = False
        self._interrupted = False
        self._syncer: ThreadPoolExecutor | None = None
        self._lock = threading.RLock()
        if isinstance(header, Stand):
            self._stand = header
            if header.n_frames:
                self._reopen()
            return
        text = to_json({"lsm_version": lsm.__version__} | dict(header), what="header of the recording")
        for other in (path, journal_of(path)):
            if other.exists():
                raise RecordError(
                    f"The recording {other} exists already.", hint="give another path or move the old one away"
                )
        self._stand = Stand(uuid.uuid4().hex, text.decode(), 0, 0, 0)
        self._create(frames=False)

    @classmethod
    def resume(cls, path: Path) -> "Recorder":
        """The recorder that goes on behind the last durable frame of an interrupted recording; see `n_frames`.

        What was left of a frame that was not acknowledged is cut off. The header stays that of the first writer.

        Raises FileMissing, or RecordError for a recording that has ended, that another program still writes, that
        is damaged, or that is of an older layout.
        """
        return cls(path, stand_of(path))

    @property
    def n_frames(self) -> int:
        """Frames that are safely in the file."""
        return self._stand.n_frames

    def add(self, frame: Frame, decision: Mapping[str, Any] | None = None) -> int:
        """Index of the frame, which survives a power cut when this returns.

        decision: what the policy decided on having seen this frame, and why; JSON values.
        Raises RecordError for a full disk, a failed write, or a frame unlike the first one; the frames before
        it stay. After a failed write the recording takes no more frames.
        """
        return self.put([self.prepare(frame, decision)])[0]

    def add_all(
        self, frames: Sequence[Frame], decisions: Sequence[Mapping[str, Any] | None] | None = None
    ) -> Sequence[int]:
        """Indices of the frames of a burst; they are durable together, at the price of one frame.

        decisions: one for each frame. Either all frames are acknowledged or, when this raises RecordError, none.
        """
        if decisions is not None and len(decisions) != len(frames):
            raise RecordError(
                f"{len(decisions)} decisions do not fit {len(frames)} frames.", hint="give one for each, or none"
            )
        each = zip(frames, decisions or [None] * len(frames), strict=True)
        if len(frames) < 2:
            return self.put([self.prepare(*one) for one in each])
        with ThreadPoolExecutor(PACKERS) as packers:
            return self.put(list(packers.map(lambda one: self.prepare(*one), each)))

    def prepare(self, frame: Frame, decision: Mapping[str, Any] | None = None) -> Prepared:
        """The frame packed for `put`: the half of `add` that any thread may do beforehand. Raises RecordError."""
        self._refuse_if_ended()
        return prepare(frame, frame_text(frame, decision), Moment.now())

    def put(self, frames: Sequence[Prepared]) -> range:
        """Write prepared frames; their indices, when all of them survive a power cut. Raises as `add_all` does."""
        with self._lock:
            self._refuse_if_ended()
            first = self.n_frames
            if frames:
                self._refuse_full_disk(frames)
                self._refuse_other_shape(frames)
                self._interrupted = True
                try:
                    self._write(frames)
                except WRITE_ERRORS as error:
                    raise self._failed("be written", error, then="record to a new file") from error
                self._interrupted = False
            return range(first, self.n_frames)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the run's summary and close the file. Raises RecordError."""
        text = to_json(summary, what="summary of the recording")
        with self._lock:
            self._refuse_if_ended()
            if self._store is None:
                self._refuse_taken()
                self._create(frames=False, summary=text)
            else:
                try:
                    self._cut()
                    self._store.put_summary(text)
                except WRITE_ERRORS as error:
                    raise self._failed("take its summary", error, then="finish it with a new program") from error
        self.close()

    def close(self) -> None:
        """Close the file as it is; may be called twice. Raises RecordError where the last write fails."""
        with self._lock:
            self._ended = True
            self._stop_syncer()
            store, journal = self._store, self._journal
            try:
                if store is not None:
                    self._cut()
                    store.close()
                if journal is not None:
                    journal.remove()
            except WRITE_ERRORS as error:
                raise self._failed("be closed", error, then="open it again") from error
            self._store = self._journal = None

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _create(self, *, frames: bool, summary: bytes = b"") -> None:
        head = self._head or Head(self._stand.identity, self._stand.header, (0, 0), (0, 0))
        try:
            create(self.path, head, frames=frames, summary=summary)
        except WRITE_ERRORS as error:
            raise RecordError(
                f"The recording {self.path} cannot be created: {reason(error)}.", hint="check the folder and the disk"
            ) from error

    def _begin(self, first: Prepared) -> None:
        """The journal comes first: from here on it says that a writer is at work."""
        rows, columns = first.image_shape
        leds, colours = first.shown.shape
        self._head = Head(self._stand.identity, self._stand.header, (rows, columns), (leds, colours))
        self._journal = Journal.create(journal_of(self.path), self._head)
        self._refuse_taken()
        create(self.path, self._head, frames=True)
        self._store = Store(self.path)

    def _reopen(self) -> None:
        """The file holds all frames, durably; a new journal guards them before the file is changed again."""
        try:
            self._head, entries = self._stand.journal(self.path)
            self._journal = Journal.create(journal_of(self.path), self._head)
            for entry in entries:
                self._journal.append([entry])
                self._journal.keep(1)
            self._journal.sync()
            self._store = Store(self.path)
        except WRITE_ERRORS as error:
            raise self._failed("be resumed", error, then="see whether another program has it") from error

    def _write(self, frames: Sequence[Prepared]) -> None:
        if self._store is None or self._journal is None:
            self._begin(frames[0])
            return self._write(frames)
        stand = self._stand
        places = self._store.put_pixels(stand.n_frames, [frame.payload for frame in frames])
        entries: list[Entry] = []
        text_end = stand.text_end
        for frame, place in zip(frames, places, strict=True):
            entries.append(frame.entry(place, text_start=text_end, session=stand.session, group=stand.n_frames))
            text_end += len(frame.text)
        self._journal.append(entries)
        self._sync(self._store, self._journal)
        self._store.put_rest(stand.n_frames, entries)
        self._journal.keep(len(entries))
        self._stand = stand.after(len(entries), text_end)
        return None

    def _sync(self, store: Store, journal: Journal) -> None:
        """Both at once, in any order: an entry without its pixels is recognised by the checksum of these."""
        if self._syncer is None:
            self._syncer = ThreadPoolExecutor(1, thread_name_prefix="lsm-sync")
        other = self._syncer.submit(journal.sync)
        try:
            store.sync()
        finally:
            other.result()

    def _stop_syncer(self) -> None:
        if self._syncer is not None:
            self._syncer.shutdown()
            self._syncer = None

    def _cut(self) -> None:
        """Drop what an add left that Ctrl-C ended."""
        if self._interrupted and self._store is not None:
            self._store.cut(self._stand.n_frames, self._stand.text_end)
        self._interrupted = False

    def _refuse_taken(self) -> None:
        """Raises RecordError where another program has recorded into the file since this one made it."""
        if not is_blank(self.path, self._stand.identity):
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.remove()
            self._ended = True
            raise RecordError(f"Another program has recorded into {self.path} meanwhile.", hint="record to a new file")

    def _refuse_if_ended(self) -> None:
        if self._ended:
            raise RecordError(f"The recording {self.path} is closed.", hint="record to a new file")

    def _refuse_full_disk(self, frames: Sequence[Prepared]) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if free < RESERVE_BYTES + sum(len(frame.payload) for frame in frames):
            raise RecordError(
                f"The disk of {self.path} has {free // 2**20} MiB left; frame {self.n_frames} is not recorded.",
                hint=f"its first {self.n_frames} frames are safe; free some space",
            )

    def _refuse_other_shape(self, frames: Sequence[Prepared]) -> None:
        first = frames[0]
        expected = {"images": first.image_shape, "levels": first.shown.shape}
        if self._head is not None:
            expected = {"images": self._head.image_shape, "levels": self._head.levels_shape}
        for number, frame in enumerate(frames, self.n_frames):
            found = (("images", frame.image_shape), ("levels", frame.requested.shape), ("levels", frame.shown.shape))
            for name, shape in found:
                if shape != expected[name]:
                    raise RecordError(
                        f"Frame {number} has {name} of shape {shape}, the recording {expected[name]}.",
                        hint="one recording holds one camera format and one board",
                    )

    def _failed(self, what: str, error: Exception, *, then: str) -> RecordError:
        """Let go of a file that cannot be written; its journal stays and keeps what was acknowledged."""
        self._ended = True
        self._stop_syncer()
        store, self._store = self._store, None
        if store is not None:
            store.abandon()
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()
        return RecordError(
            f"The recording {self.path} cannot {what}: {reason(error)}.",
            hint=f"its first {self.n_frames} frames are safe; check the disk, then {then}",
        )
