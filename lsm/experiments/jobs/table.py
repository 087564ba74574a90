"""The table of a set of jobs: one file of JSON lines that only grows, and from which an interrupted run goes on.

The first line says what the file is, each other line is one Row. A row is on the disk before anybody is told that its
job is done. What a killed program left behind the last whole row is cut off when the table is next opened.
"""

import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from types import MappingProxyType, TracebackType

from pydantic import ValidationError

from lsm.errors import FileMissing, ModelMismatch, RecordError, WrongFormat
from lsm.experiments.jobs.call import Call, Row
from lsm.record._disk import lock, sync, sync_folder

_HEAD = b'{"format": "lsm job table", "version": 1}\n'


class JobTable:
    """The rows of a file, open for more; while it is open, no other program can open it.

    Raises RecordError where another program holds it or the disk refuses, WrongFormat where it is no table or a row
    inside it is damaged; the file is then unchanged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), "r+")
        except OSError as error:
            raise RecordError(f"The job table {path} cannot be opened: {error.strerror}.") from error
        try:
            self._rows, self._end = self._open()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "JobTable":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other programs have the table; closing twice does nothing."""
        self._file.close()

    @property
    def rows(self) -> Mapping[str, Row]:
        """By key: the result of each job, or its latest error where it never had one."""
        return MappingProxyType(self._rows)

    def missing(self, calls: list[Call]) -> list[Call]:
        """Those that have no result yet. Raises ModelMismatch where a key stands for another function or arguments."""
        for call in calls:
            self._check(call.key, call.digest)
        return [call for call in calls if call.key not in self._rows or self._rows[call.key].result is None]

    def add(self, row: Row) -> bool:
        """True when the row is on the disk; False where the job already has a result, which then stays.

        Raises ModelMismatch as `missing` does, RecordError where the disk refuses; the table is then as before.
        """
        self._check(row.key, row.arguments_digest)
        known = self._rows.get(row.key)
        if known is not None and known.result is not None:
            return False
        line = json.dumps(row.model_dump(mode="json"), allow_nan=False).encode() + b"\n"
        self._write(line)
        self._rows[row.key] = row
        return True

    def _check(self, key: str, digest: str) -> None:
        known = self._rows.get(key)
        if known is not None and known.arguments_digest != digest:
            raise ModelMismatch(
                f"In {self.path} the job '{key}' has another function or other arguments.",
                hint="name another table, or give the job another key",
            )

    def _open(self) -> tuple[dict[str, Row], int]:
        try:
            free = lock(self._file)
            content = self._file.readall() if free else b""
        except OSError as error:
            raise RecordError(f"The job table {self.path} cannot be read: {error.strerror}.") from error
        if not free:
            raise RecordError(
                f"The job table {self.path} is being written by another program.", hint="wait for it, or stop it"
            )
        rows, end = _parse(content, self.path)
        if end == 0:
            self._end = 0
            self._write(_HEAD)
            sync_folder(self.path.parent)
            return rows, len(_HEAD)
        return rows, end

    def _write(self, line: bytes) -> None:
        """Put the line behind the last whole row, in place of whatever a broken attempt left there."""
        try:
            self._file.seek(self._end)
            self._file.truncate()
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
            sync(self._file.fileno())
        except OSError as error:
            raise RecordError(
                f"The job table {self.path} cannot be written: {error.strerror}.",
                hint="what it held is kept; make room and start again",
            ) from error
        self._end += len(line)


def read_rows(path: Path) -> dict[str, Row]:
    """The rows by key as they are now, also while a program writes the table. Raises FileMissing, WrongFormat."""
    if not path.is_file():
        raise FileMissing(f"The job table {path} does not exist.", hint="check the path")
    return _parse(path.read_bytes(), path)[0]


def _parse(content: bytes, path: Path) -> tuple[dict[str, Row], int]:
    """Rows by key, and where the next one belongs."""
    if len(content) < len(_HEAD) and _HEAD.startswith(content):
        return {}, 0
    if not content.startswith(_HEAD):
        raise WrongFormat(f"{path} is not a job table of this version.", hint="name another file; it was not changed")
    rows: dict[str, Row] = {}
    end = len(_HEAD)
    *lines, _torn = content[end:].split(b"\n")
    for number, line in enumerate(lines):
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            if number == len(lines) - 1:
                break  # blocks of a last line can reach the disk in any order before a power cut
            raise WrongFormat(
                f"{path}, line {number + 2}: not a row of a job table.", hint="delete that line: its job runs again"
            ) from error
        if row.key not in rows or rows[row.key].result is None:
            rows[row.key] = row
        end += len(line) + 1
    return rows, end
