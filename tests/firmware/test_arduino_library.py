"""The Arduino library against a stand-in for the Arduino interface. No real Arduino core compiles it here."""

import importlib.util
import subprocess
import zipfile
from pathlib import Path

import pytest

from lsm_sim._build import Toolchain, firmware_folder

pytestmark = pytest.mark.firmware

FAKE = Path(__file__).parent / "arduino_fake"
CHIPS = {"teensy41": "__IMXRT1062__", "rpipico": "ARDUINO_ARCH_RP2040", "esp32dev": "ESP32"}
STRICT = ["-Wall", "-Wextra", "-Werror"]


def run(*command: object, text: str = "") -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, input=text)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory):
    path = firmware_folder() / "arduino" / "pack.py"
    spec = importlib.util.spec_from_file_location("arduino_pack", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pack(tmp_path_factory.mktemp("arduino"))


@pytest.fixture(scope="module")
def core_objects(library: Path):
    Toolchain(packages="gcc g++ libc6-dev", programs=("gcc", "g++")).check()
    folder = library.parent / "objects"
    folder.mkdir()
    for source in sorted((library / "src" / "lsm").glob("*.c")):
        run("gcc", "-std=gnu11", *STRICT, "-c", source, "-o", folder / f"{source.stem}.o")
    return sorted(folder.glob("*.o"))


def sketch(library: Path, core_objects: list[Path], name: str, chip: str) -> Path:
    program = library.parent / f"{name}-{chip}"
    source = library / "examples" / name / f"{name}.ino"
    flags = ["-std=c++11", *STRICT, f"-D{CHIPS[chip]}", "-include", "Arduino.h", f"-I{FAKE}", f"-I{library / 'src'}"]
    sources = [library / "src" / "LsmBoard.cpp", FAKE / "run_sketch.cpp", source]
    run("g++", *flags, "-x", "c++", *sources, "-x", "none", *core_objects, "-o", program)
    return program


@pytest.mark.parametrize("chip", CHIPS)
def test_a_blank_board_talks_and_shows(library: Path, core_objects: list[Path], chip: str):
    program = sketch(library, core_objects, "Blank", chip)
    out = run(program, text="!frame\nversion\nl.3.1023\n!frame\nx\n!frame\n")
    version = (library / "library.properties").read_text().split("version=")[1].split()[0]
    assert out.splitlines() == [
        "lit 0 at 8000000",
        version,
        "-==-",
        "-==-",
        "lit 2 at 8000000",
        "-==-",
        "lit 0 at 8000000",
    ]


@pytest.mark.parametrize("chip", CHIPS)
def test_edges_step_the_sketch_s_sequence(library: Path, core_objects: list[Path], chip: str):
    program = sketch(library, core_objects, "TriggeredSequence", chip)
    out = run(program, text="!frame\n!edge\n!frame\n")
    assert out.splitlines() == ["lit 0 at 8000000", "lit 128 at 8000000"]


def test_a_host_that_stops_reading_does_not_hold_the_board_up(library: Path, core_objects: list[Path]):
    program = sketch(library, core_objects, "Blank", "teensy41")
    out = run(program, text="!deaf\n")
    assert int(out.split()[1]) < 200  # one wait of 20 ms; five answers in many pieces would take seconds


def test_the_zip_holds_the_library(library: Path):
    names = zipfile.ZipFile(f"{library}.zip").namelist()
    for name in ("library.properties", "src/LsmBoard.h", "src/lsm/core.c", "src/lsm/hal.h", "examples/Blank/Blank.ino"):
        assert f"LearnedSensingMicroscope/{name}" in names
    assert "@" not in (library / "library.properties").read_text()
