"""Builds any target of the firmware's Makefile once per version of its sources."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lsm.errors import DeviceError, ToolMissing

SOURCE_PATTERNS = ("core/*.[ch]", "hal/*.h", "boards/**/*.*", "sim/*.[ch]", "Makefile", "size_budget.py")
EMPTY_PROGRAM = "int main(void) { return 0; }"
VARIABLES = ("CC", "CFLAGS", "AVR_CC", "ARM_CC")  # of the environment, which change what is built


@dataclass(frozen=True)
class Toolchain:
    """What a target needs.

    packages: the Debian packages that hold it. programs: their commands. libraries: a command that compiles an empty
    C program from standard input and fails where a header or library is missing. elsewhere: advice for other systems.
    """

    packages: str
    programs: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    elsewhere: str = ""

    @property
    def hint(self) -> str:
        return f"apt-get install {self.packages}{self.elsewhere}"

    def find(self, program: str) -> str:
        """The path of a program. Raises ToolMissing, naming the Debian packages."""
        path = shutil.which(program)
        if path is None:
            raise ToolMissing(f"The program '{program}' is not installed.", hint=self.hint)
        return path

    def check(self) -> None:
        """Raises ToolMissing, naming the Debian packages."""
        for program in self.programs:
            self.find(program)
        if not self.libraries:
            return
        probe = subprocess.run(self.libraries, input=EMPTY_PROGRAM, capture_output=True, text=True, check=False)
        if probe.returncode != 0:
            raise ToolMissing(f"A library is not installed: {probe.stderr.strip()[-400:]}", hint=self.hint)


def firmware_folder() -> Path:
    """The firmware's sources: inside an installed package, or beside it in a checkout. Raises ToolMissing."""
    package = Path(__file__).resolve().parent
    for folder in (package / "firmware", package.parents[1] / "firmware"):
        if (folder / "Makefile").is_file():
            return folder
    raise ToolMissing("The firmware's sources are not installed.", hint="reinstall the package, or use a checkout")


def native_toolchain() -> Toolchain:
    """What the native board needs; the compiler is CC of the environment, or cc."""
    compiler = os.environ.get("CC", "cc").split()
    return Toolchain(
        packages="gcc libc6-dev make",
        programs=("make", compiler[0]),
        libraries=(*compiler, "-include", "stdio.h", "-x", "c", "-", "-o", "/dev/null"),
        elsewhere="; elsewhere any C compiler, on macOS: xcode-select --install",
    )


def build_board(*, build_dir: Path | None = None, sanitize: bool = True, trace: bool = False) -> Path:
    """The path of the native board's program. sanitize: with address and undefined-behaviour sanitizers.

    trace: with a record of each executed request in its log. Raises as build_target does.
    """
    options = (*(() if sanitize else ("SANITIZE=",)), *(("TRACE=1",) if trace else ()))
    return build_target("native", "lsm-board", native_toolchain(), options=options, build_dir=build_dir)


def build_target(
    target: str, product: str, toolchain: Toolchain, *, options: tuple[str, ...] = (), build_dir: Path | None = None
) -> Path:
    """The path of `product` as `make target` leaves it, built unless an up-to-date one is there.

    options: more words for make. build_dir: where products are kept; None is the user's cache folder.
    Raises ToolMissing when a program or library is missing, DeviceError when the sources do not build.
    """
    source = firmware_folder()
    kept = build_dir or _cache_folder()
    built = kept / f"{product}-{_digest(source, options)}"
    if built.is_file():
        return built
    toolchain.check()
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as scratch:
        command = [toolchain.find("make"), "-C", str(source), target, f"BUILD={scratch}", f"PYTHON={sys.executable}"]
        run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise DeviceError(
                f"'make {target}' failed: {run.stderr.strip()[-800:]}", hint="run it in the firmware folder"
            )
        (Path(scratch) / product).replace(built)
    return built


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "lsm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir()) / f"lsm-{os.getuid()}"


def _digest(source: Path, options: tuple[str, ...]) -> str:
    digest = hashlib.sha256(" ".join([*options, *(os.environ.get(name, "") for name in VARIABLES)]).encode())
    for pattern in SOURCE_PATTERNS:
        for path in sorted(source.glob(pattern)):
            digest.update(str(path.relative_to(source)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
