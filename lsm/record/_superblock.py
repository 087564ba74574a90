"""Mend the first bytes of an HDF5 file whose writer was killed.

A writer marks the file as open in the superblock and keeps the end-of-file address of the moment it
opened it. The data written since are consistent (single writer, multiple readers: metadata are written
children first), but plain readers refuse the mark and would not look beyond the old end. This does what
`h5clear --status --increment=0` does. Layout: HDF5 file format specification 3.0, section II.A, superblock 2 and 3.
"""

from pathlib import Path
from typing import BinaryIO

from lsm.record._disk import lock

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSION, _OFFSET_SIZE, _FLAGS = 8, 9, 11
_END_OF_FILE = slice(28, 36)
_CHECKSUM = slice(44, 48)
_WORD = 0xFFFFFFFF


def is_marked_open(path: Path) -> bool:
    """True where the superblock says that a writer has the file open, or had when it was killed."""
    with path.open("rb") as file:
        head = file.read(48)
    return _is_version_3(head) and head[_FLAGS] != 0


def clear_mark(path: Path) -> bool:
    """Clear the writer's mark and set the end of file; True where the file is now free of it.

    False, and the file untouched, while another program has it locked or where it may not be changed.
    """
    try:
        with path.open("r+b") as file:
            return lock(file) and _mend(file)
    except OSError:
        return False


def lookup3(data: bytes) -> int:
    """Jenkins' lookup3 hash (hashlittle, initial value 0), the checksum of HDF5 metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    while len(data) > 12:
        a, b, c = _mix(*_add(a, b, c, data[:12]))
        data = data[12:]
    return _final(*_add(a, b, c, data.ljust(12, b"\0"))) if data else c


def _is_version_3(head: bytes) -> bool:
    return len(head) == 48 and head.startswith(SIGNATURE) and head[_VERSION] == 3 and head[_OFFSET_SIZE] == 8


def _mend(file: BinaryIO) -> bool:
    head = bytearray(file.read(48))
    if not _is_version_3(bytes(head)) or lookup3(bytes(head[:44])) != int.from_bytes(head[_CHECKSUM], "little"):
        return False
    head[_FLAGS] = 0
    head[_END_OF_FILE] = file.seek(0, 2).to_bytes(8, "little")
    head[_CHECKSUM] = lookup3(bytes(head[:44])).to_bytes(4, "little")
    file.seek(0)
    file.write(head)
    return True


def _add(a: int, b: int, c: int, block: bytes) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(block[i : i + 4], "little") for i in (0, 4, 8))
    return (a + x) & _WORD, (b + y) & _WORD, (c + z) & _WORD


def _turn(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _WORD


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _WORD) ^ _turn(c, bits)
        c = (c + b) & _WORD
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turn(b, bits)) & _WORD
        a, b, c = b, c, a
    return b
