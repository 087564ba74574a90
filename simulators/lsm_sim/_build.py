"""Compiles the firmware for this machine once per version of its sources."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lsm.errors import ToolMissing

SOURCE_PATTERNS = ("core/*.[ch]", "hal/*.h", "boards/native/*.[ch]", "Makefile")
HINT = "install a C compiler and make: apt-get install gcc make, or xcode-select --install"


def firmware_folder() -> Path:
    """The firmware's sources: inside an installed package, or beside it in a checkout. Raises ToolMissing."""
    package = Path(__file__).resolve().parent
    for folder in (package / "firmware", package.parents[1] / "firmware"):
        if (folder / "Makefile").is_file():
            return folder
    raise ToolMissing("The firmware's sources are not installed.", hint="reinstall the package, or use a checkout")


def build_board(*, build_dir: Path | None = None, sanitize: bool = True) -> Path:
    """The path of the board program, compiled unless an up-to-date one is there.

    build_dir: where programs are kept; by default the user's cache folder.
    sanitize: with address and undefined-behaviour sanitizers.
    Raises ToolMissing when compiler or make are missing or refuse the sources.
    """
    source = firmware_folder()
    kept = build_dir or _cache_folder()
    program = kept / f"lsm-board-{_digest(source, sanitize=sanitize)}"
    if program.is_file():
        return program
    make = _tool("make")
    _tool(os.environ.get("CC", "cc").split()[0])
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        command = [make, "-C", str(source), "native", f"BUILD={scratch}", *([] if sanitize else ["SANITIZE="])]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise ToolMissing(f"The firmware did not compile: {run.stderr.strip()[-800:]}", hint=HINT)
        (Path(scratch) / "lsm-board").replace(program)
    return program


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"The program '{name}' that builds the firmware is not installed.", hint=HINT)
    return path


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "lsm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"


def _digest(source: Path, *, sanitize: bool) -> str:
    digest = hashlib.sha256(f"{sanitize} {os.environ.get('CC')} {os.environ.get('CFLAGS')}".encode())
    for pattern in SOURCE_PATTERNS:
        for path in sorted(source.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
