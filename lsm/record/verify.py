"""Is a recording whole? Every checksum, every row, the journal beside it, and what the run says of itself."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsm.devices import Frame
from lsm.errors import LsmError, RecordError
from lsm.record._chunks import crc32c
from lsm.record._limits import LARGEST_IMAGE_BYTES
from lsm.record._prepare import content_crc, row_crc
from lsm.record.journal import Journal, journal_of
from lsm.record.reading import Recording, open_record
from lsm.record.schema import DIGESTS, FRAME, SCHEMA, SCHEMA_1

_FAULTS_TOLD = 20
_DOSE_TOLERANCE = 1e-6
"""Of a sum of thousands of float64 that was taken in another order: far above its rounding, far below one LED."""


@dataclass(frozen=True)
class Verification:
    """What `verify_record` found.

    faults: what is wrong, one sentence each; notes: what is right but worth knowing.
    frames: how many could be read. light_dose_led_ms: their sum. limited: frames that the board scaled down.
    other_light: frames that show other light than was asked for without being limited.
    """

    path: Path
    schema: str
    frames: int
    complete: bool
    light_dose_led_ms: float
    limited: int
    other_light: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.faults

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"good": self.good, **vars(self), "path": str(self.path)}


def verify_record(path: Path, *, on_step: Callable[[int, int], None] = lambda done, of: None) -> Verification:
    """Read all of a recording and compare it with its checksums, its journal and itself.

    A recording whose writer died is first put in order, as `open_record` does. on_step: told the frames read and all.
    Raises FileMissing.
    """
    try:
        recording = open_record(path)
    except RecordError as error:
        path.stat()
        return Verification(path, "", 0, False, 0.0, 0, 0, (error.message,), (f"Hint: {error.hint}.",))
    with recording:
        return _Check(recording).run(on_step)


class _Check:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._faults: list[str] = []
        self._notes: list[str] = []
        self._counts: Counter[str] = Counter()
        self._dose = 0.0
        self._last: Any = None
        self._file = recording.path.open("rb")

    def run(self, on_step: Callable[[int, int], None]) -> Verification:
        recording = self._recording
        with self._file:
            self._header()
            for index in range(recording.n_frames):
                before = len(self._faults)
                self._frame(index)
                self._counts["damaged"] += len(self._faults) > before
                on_step(index + 1, recording.n_frames)
        self._whole()
        summary = self._try(lambda: recording.summary) or {}
        self._summary(summary)
        return Verification(
            recording.path,
            recording.schema,
            recording.n_frames,
            bool(self._try(lambda: recording.complete)),
            round(self._dose, 6),
            self._counts["limited"],
            self._counts["other light"],
            self._told(),
            tuple(self._notes),
        )

    def _header(self) -> None:
        recording = self._recording
        if recording.schema == SCHEMA_1:
            self._notes.append(f"The layout {SCHEMA_1} holds no checksums: only what can be read was checked.")
        if missing := [name for name in DIGESTS if not recording.header.get(name)]:
            self._notes.append(f"The header does not hold {', '.join(missing)}.")
        if recording.mended:
            self._notes.append(f"Put in order: {recording.mended}.")
        if recording.growing:
            self._notes.append(f"A writer has it open: the first {recording.n_frames} frames were checked.")
            self._against_journal()

    def _against_journal(self) -> None:
        try:
            with Journal.peek(journal_of(self._recording.path)) as journal:
                found = 0
                for index, entry in zip(range(self._recording.n_frames), journal.entries(), strict=False):
                    found += 1
                    if self._recording.row(index).tobytes() != entry.row.tobytes():
                        self._faults.append(f"Frame {index} differs from its entry in the journal.")
            if found < self._recording.n_frames:
                self._faults.append(f"The journal has whole entries of the first {found} frames only.")
        except FileNotFoundError:
            return
        except (OSError, RecordError) as error:
            self._faults.append(f"The journal cannot be read: {error}.")

    def _frame(self, index: int) -> None:
        try:
            row, frame = self._recording.row(index), self._recording.frame(index)
        except LsmError as error:
            self._faults.append(f"Frame {index} cannot be read: {error.message}")
            return
        self._row(index, row)
        if row.dtype == FRAME:
            self._sums(index, row, frame)
        self._light(frame)

    def _row(self, index: int, row: Any) -> None:
        """Rows follow each other: text without gaps, clocks forward, sessions and groups in order."""
        last, self._last = self._last, row
        text_start = 0 if last is None else int(last["text_end"])
        if row["text_start"] != text_start:
            self._faults.append(f"The text of frame {index} begins at {row['text_start']}, not at {text_start}.")
        if not (np.isfinite(row["exposure_ms"]) and row["exposure_ms"] >= 0):
            self._faults.append(f"Frame {index} has an exposure of {row['exposure_ms']} ms.")
        if row["ended_ns"] < row["started_ns"]:
            self._faults.append(f"The exposure of frame {index} ends before it begins.")
        session = int(row["session"]) if row.dtype == FRAME else 0
        if last is None:
            return
        before = int(last["session"]) if row.dtype == FRAME else 0
        if session < before:
            self._faults.append(f"Frame {index} belongs to session {session}, the one before to {before}.")
        elif session == before and row["started_ns"] < last["started_ns"]:
            self._faults.append(f"Frame {index} began before frame {index - 1}.")
        if row.dtype == FRAME and not (row["group"] == last["group"] or row["group"] == index):
            self._faults.append(f"Frame {index} belongs to group {row['group']}, which is not its burst.")

    def _sums(self, index: int, row: Any, frame: Frame) -> None:
        offset, size = self._recording.place(index) or (0, 0)
        self._file.seek(offset)
        if crc32c(self._file.read(min(size, LARGEST_IMAGE_BYTES))) != int(row["stored_crc"]):
            self._faults.append(f"The stored image of frame {index} does not match its checksum.")
        text = self._recording.text(index)
        content = content_crc(frame.image, frame.request.pattern.levels, frame.shown.levels, text)
        if row_crc(np.array([row], dtype=FRAME), content) != int(row["crc"]):
            self._faults.append(f"Frame {index} does not match its checksum: image, light, text or scalars changed.")

    def _light(self, frame: Frame) -> None:
        self._dose += frame.light_dose
        if frame.shown.limited:
            self._counts["limited"] += 1
        elif not np.array_equal(frame.shown.levels, frame.request.pattern.levels):
            self._counts["other light"] += 1

    def _whole(self) -> None:
        recording = self._recording
        text_end = 0 if self._last is None else int(self._last["text_end"])
        expected = dict.fromkeys(("images", "requested", "shown", "frames"), recording.n_frames) | {"text": text_end}
        lengths = self._try(recording.lengths)
        if lengths is None or recording.growing or recording.schema != SCHEMA:
            return
        for name, length in lengths.items():
            if length != expected[name]:
                self._faults.append(f"'{name}' has {length} entries, the rows name {expected[name]}.")

    def _summary(self, summary: dict[str, Any]) -> None:
        if (count := self._counts["limited"]) > 0:
            self._notes.append(f"In {count} frames the board scaled the light down to its current limit.")
        if (count := self._counts["other light"]) > 0:
            self._notes.append(f"In {count} frames other light shone than was asked for; what shone is recorded.")
        said = list(_numbers(summary, "light_dose_led_ms"))
        if said and abs(sum(said) - self._dose) > _DOSE_TOLERANCE * max(self._dose, 1.0):
            self._faults.append(
                f"The summary gives a light dose of {sum(said):g} LED ms, the frames {self._dose:g} LED ms."
            )

    def _told(self) -> tuple[str, ...]:
        if len(self._faults) <= _FAULTS_TOLD:
            return tuple(self._faults)
        more = len(self._faults) - _FAULTS_TOLD
        rest = f"{more} more faults; {self._counts['damaged']} of {self._recording.n_frames} frames are affected."
        return (*self._faults[:_FAULTS_TOLD], rest)

    def _try(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except LsmError as error:
            if error.message not in self._faults:
                self._faults.append(error.message)
            return None


def _numbers(value: Any, name: str) -> Iterator[float]:
    """Every number under that key, wherever in the tables it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name and isinstance(inner, int | float):
                yield float(inner)
            else:
                yield from _numbers(inner, name)
