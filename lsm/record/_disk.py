"""What the operating system is asked for: bytes that survive a power cut, and locks that end with their process."""

import os
import sys
from pathlib import Path
from typing import BinaryIO

_LOCKED_AT = 2**40
"""Windows locks bytes against reading too, so the locked one lies where no file reaches."""


def sync(descriptor: int) -> None:
    """Return when what was written to the file is on the disk itself."""
    if sys.platform == "darwin":
        import fcntl

        # fsync alone leaves the data in the cache of the drive there
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform == "win32":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def sync_path(path: Path) -> None:
    """Return when the content of the file is on the disk itself."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder are on the disk itself; Windows does not offer that."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(file: BinaryIO) -> bool:
    """Take an advisory lock that ends with the file object or its process; False where another holds it.

    Raises OSError where the file system offers no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_AT)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        # Windows says the second
        return False
    return True
