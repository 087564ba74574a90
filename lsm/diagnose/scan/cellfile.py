"""All red cells of a scan in a file, appended field by field as they are found.

Layout, little endian: MAGIC, then one block per field: HEAD (field, rows, CRC-32 of the rows) and the rows. A block
that a killed writer left half is not read. What is in the file follows from the recording beside it, so a run that
goes on writes it again from its start.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from lsm.errors import FileMissing, RecordError, WrongFormat

MAGIC = b"lsm-cells/1\n"
HEAD = np.dtype([("field", "<u4"), ("rows", "<u4"), ("crc", "<u4")])
CELL = np.dtype(
    [("x_um", "<f8"), ("y_um", "<f8"), ("radius_um", "<f4"), ("score", "<f4"), ("field", "<u4"), ("mask", "u1")]
)
"""One red cell: place on the slide, radius, class-balanced score, index of the field, bit set of patterns seen."""

MAX_ROWS = 2**20


class CellFile:
    """The file being written, from its start; also a context manager.

    Raises RecordError where the disk does not take it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._failed(error) from error
        self._write(MAGIC)

    def add(self, field: int, cells: np.ndarray) -> None:
        """Append the cells of one field, of type CELL; the operating system has them when this returns."""
        payload = cells.astype(CELL, copy=False).tobytes()
        head = np.array([(field, len(cells), zlib.crc32(payload))], dtype=HEAD)
        self._write(head.tobytes() + payload)
        self.rows += len(cells)

    def close(self) -> None:
        """May be called twice."""
        self._file.close()

    def __enter__(self) -> "CellFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, content: bytes) -> None:
        try:
            if self._file.write(content) != len(content):
                raise OSError("the disk is full")
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RecordError:
        return RecordError(f"The cells cannot be written to {self.path}: {error}.", hint="free some space")


def read_cells(path: Path) -> Iterator[np.ndarray]:
    """The whole blocks of a file, one array of type CELL per field. Raises FileMissing, WrongFormat."""
    if not path.is_file():
        raise FileMissing(f"There is no file of cells {path}.", hint="check the path")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise WrongFormat(f"{path} is no file of cells.", hint="give cells.bin of a scan")
        while len(start := file.read(HEAD.itemsize)) == HEAD.itemsize:
            head = np.frombuffer(start, dtype=HEAD)[0]
            if head["rows"] > MAX_ROWS:
                return
            payload = file.read(int(head["rows"]) * CELL.itemsize)
            if zlib.crc32(payload) != head["crc"] or len(payload) != int(head["rows"]) * CELL.itemsize:
                return
            yield np.frombuffer(payload, dtype=CELL)
