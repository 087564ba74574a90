"""Puts the Arduino library together: the wrapper here and the core's sources, which it does not keep a copy of.

pack.py [FOLDER] writes FOLDER/LearnedSensingMicroscope and the same as a zip file; FOLDER is out/arduino by default.
"""

import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parent
NAME = "LearnedSensingMicroscope"


def version() -> str:
    """The firmware's version, from core/config.h."""
    found = re.search(r'LSM_FIRMWARE_VERSION "([\d.]+)"', (FIRMWARE / "core" / "config.h").read_text(encoding="utf-8"))
    if found is None:
        sys.exit("core/config.h names no LSM_FIRMWARE_VERSION")
    return found.group(1)


def pack(folder: Path) -> Path:
    """The library's folder, written anew below `folder`, beside it the zip file."""
    library = folder / NAME
    shutil.rmtree(library, ignore_errors=True)
    shutil.copytree(HERE / "src", library / "src")
    shutil.copytree(HERE / "examples", library / "examples")
    shutil.copy(HERE / "README.md", library)
    properties = (HERE / "library.properties").read_text(encoding="utf-8")
    (library / "library.properties").write_text(properties.replace("@VERSION@", version()), encoding="utf-8")
    core = library / "src" / "lsm"  # flat: the compiler finds "hal.h" beside the file that includes it
    core.mkdir()
    for source in sorted([*(FIRMWARE / "core").glob("*.[ch]"), *(FIRMWARE / "hal").glob("*.h")]):
        shutil.copy(source, core)
    shutil.make_archive(str(library), "zip", folder, NAME)
    return library


if __name__ == "__main__":
    print(pack(Path(sys.argv[1]) if len(sys.argv) > 1 else FIRMWARE.parent / "out" / "arduino"))
