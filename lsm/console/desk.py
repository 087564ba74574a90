"""Reviewing a scan's suspicious cells: their pictures, the answers, and what they make of the verdict."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsm.config import Config
from lsm.console.pictures import jpeg
from lsm.diagnose.scan_report import ScanReport
from lsm.diagnose.scan_report.facts import Answer, CellFacts, VerdictFacts
from lsm.diagnose.scan_report.review import Answers
from lsm.diagnose.slide import RECORD, ReviewedScan, review, scan_to_review
from lsm.errors import FileMissing, InputError
from lsm.record import open_record
from lsm.stats.reviewed import OperatorAccuracy
from lsm.wholefile import write_whole

ANSWERS = "answers.json"
SURE = OperatorAccuracy()


class ReviewCell(Config):
    """A cell to look at. lights: those under which there is a picture of it."""

    id: str
    field: int
    probability: float
    evidence: float
    lights: tuple[str, ...]
    answer: Answer | None = None


class ReviewState(Config):
    """A queue with its answers; what the scan said, and what it says with them."""

    name: str
    slide: str
    cells: tuple[ReviewCell, ...]
    before: VerdictFacts
    after: VerdictFacts


@dataclass(frozen=True, eq=False)
class _Open:
    name: str
    folder: Path
    scan: ReviewedScan
    pictures: dict[tuple[str, int], bytes]
    written_ns: int

    @property
    def report(self) -> ScanReport:
        return self.scan.content.report


class Desk:
    """One scan at a time lies on it. Calls from several threads are served one by one.

    Answers are kept beside the scan as they are given; `finish` writes the reports.
    """

    def __init__(self, *, rig: str) -> None:
        self._rig = rig
        self._open: _Open | None = None
        self._lock = threading.Lock()

    def state(self, name: str, folder: Path) -> ReviewState:
        """Queue, answers and verdicts. Raises FileMissing or InputError for what is no scan that has ended."""
        with self._lock:
            return self._state(self._opened(name, folder))

    def answer(self, name: str, folder: Path, cell: str, answer: Answer | None) -> ReviewState:
        """The same with one more answer, or one less. Raises InputError for a cell that is not in the queue."""
        with self._lock:
            scan = self._opened(name, folder)
            if cell not in {each.id for each in scan.report.queue}:
                raise InputError(f"There is no cell '{cell[:20]}' to review.", hint="the queue lists them")
            given = self._answers(scan)
            if answer is None:
                given.pop(cell, None)
            else:
                given[cell] = answer
            write_whole(folder / ANSWERS, self._table(scan, given).model_dump_json(indent=1) + "\n")
            return self._state(scan)

    def picture(self, name: str, folder: Path, cell: str, light: int) -> bytes:
        """A cell under one light, as a JPEG. Raises FileMissing."""
        with self._lock:
            pictures = self._opened(name, folder).pictures
        if (cell, light) not in pictures:
            raise FileMissing("There is no such picture.", hint="the queue lists the lights of each cell")
        return pictures[cell, light]

    def finish(self, name: str, folder: Path) -> ReviewState:
        """Write review.html, review.pdf and review.json. Raises InputError where nothing was answered."""
        with self._lock:
            review(folder, folder / ANSWERS, SURE, rig=self._rig)
            return self._state(self._opened(name, folder))

    def _opened(self, name: str, folder: Path) -> _Open:
        report = folder / "report.json"
        # a run that was gone on with has another report
        written_ns = report.stat().st_mtime_ns if report.is_file() else 0
        if self._open is None or (self._open.name, self._open.written_ns) != (name, written_ns):
            with open_record(folder / RECORD) as recording:
                scan = scan_to_review(folder, recording, rig=self._rig)
                pictures = {
                    (cell.id, light): jpeg(crop, quality=90)
                    for cell, crops in scan.content.crops()
                    for light, crop in enumerate(crops)
                    if crop is not None
                }
            self._open = _Open(name, folder, scan, pictures, written_ns)
        return self._open

    def _answers(self, scan: _Open) -> dict[str, Answer]:
        path = scan.folder / ANSWERS
        if not path.is_file():
            return {}
        held = Answers.read(path)
        return dict(held.answers) if held.report_digest == scan.report.digest() else {}

    def _table(self, scan: _Open, given: dict[str, Answer]) -> Answers:
        values: dict[str, Any] = {"slide": scan.report.slide, "report_digest": scan.report.digest(), "answers": given}
        return Answers(version="lsm-review-answers/1", **values)

    def _state(self, scan: _Open) -> ReviewState:
        report, given = scan.report, self._answers(scan)
        after = report.verdict
        if given:
            after = scan.scan.with_answers(self._table(scan, given), SURE).after.verdict
        return ReviewState(
            name=scan.name,
            slide=report.slide,
            cells=tuple(_cell(cell, report, given, scan.pictures) for cell in report.queue),
            before=report.verdict,
            after=after,
        )


def _cell(
    cell: CellFacts, report: ScanReport, given: dict[str, Answer], pictures: dict[tuple[str, int], bytes]
) -> ReviewCell:
    return ReviewCell(
        id=cell.id,
        field=cell.field,
        probability=cell.probability,
        evidence=cell.evidence,
        lights=tuple(light.name if (cell.id, k) in pictures else "" for k, light in enumerate(report.lights)),
        answer=given.get(cell.id),
    )
