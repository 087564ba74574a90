"""Builds any target of the firmware's Makefile once per version of its sources."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lsm.errors import ToolMissing
from lsm_sim._build import firmware_folder

SOURCE_PATTERNS = ("core/*.[ch]", "hal/*.h", "boards/**/*.*", "sim/*.[ch]", "Makefile", "size_budget.py")


def build_target(target: str, product: str, *, build_dir: Path | None, tools: tuple[str, ...], packages: str) -> Path:
    """The path of `product` as `make target` leaves it, built unless an up-to-date one is there.

    build_dir: where products are kept; None is the user's cache folder. tools: programs that the target needs.
    packages: the Debian packages that hold them. Raises ToolMissing when one is missing or refuses the sources.
    """
    source = firmware_folder()
    kept = build_dir or _cache_folder()
    built = kept / f"{product}-{_digest(source)}"
    if built.is_file():
        return built
    for tool in ("make", *tools):
        find_tool(tool, packages=packages)
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        command = ["make", "-C", str(source), target, f"BUILD={scratch}", f"PYTHON={sys.executable}"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise ToolMissing(f"'make {target}' failed: {run.stderr.strip()[-800:]}", hint=_install(packages))
        (Path(scratch) / product).replace(built)
    return built


def find_tool(name: str, *, packages: str) -> str:
    """The path of a program. Raises ToolMissing, naming the Debian packages."""
    path = shutil.which(name)
    if path is None:
        raise ToolMissing(f"The program '{name}' is not installed.", hint=_install(packages))
    return path


def _install(packages: str) -> str:
    return f"apt-get install {packages}"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "lsm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"


def _digest(source: Path) -> str:
    digest = hashlib.sha256(
        " ".join(os.environ.get(name, "") for name in ("CC", "CFLAGS", "AVR_CC", "ARM_CC")).encode()
    )
    for pattern in SOURCE_PATTERNS:
        for path in sorted(source.glob(pattern)):
            digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
