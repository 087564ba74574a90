"""The C core alone: its unit tests, the shared vectors, and a short fuzz."""

import os
import shutil
import subprocess
import sys
from binascii import crc32
from pathlib import Path

import pytest

from lsm.errors import ToolMissing
from lsm.led._constants import Command
from lsm.led.protocol import crc16, encode_request
from lsm_sim._build import firmware_folder, native_toolchain

FIRMWARE = firmware_folder()
VECTORS = [
    line.split() for line in (FIRMWARE / "test" / "vectors.txt").read_text().splitlines() if not line.startswith("#")
]
FUZZ_S = 15  # for each of the two variants


@pytest.mark.firmware
def test_the_units_of_the_core_pass_under_sanitizers(tmp_path: Path):
    command = [native_toolchain().find("make"), "-s", "-C", str(FIRMWARE), "unit", f"BUILD={tmp_path}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 failures" in run.stdout


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector[0]}-{len(vector[1]) // 2}")
def test_the_python_codec_agrees_with_the_vectors_of_the_c_codec(vector: list[str]):
    """The unit tests of the core read the same file."""
    kind, first, second = vector
    data, expected = bytes.fromhex(first), bytes.fromhex(second)
    if kind == "crc32":
        assert crc32(data).to_bytes(4, "little") == expected
        return
    assert encode_request(data[0], Command(data[1]), data[2:]) == b"\0" + expected + b"\0"
    assert crc16(data + crc16(data).to_bytes(2, "big")) == 0


@pytest.mark.firmware
def test_clang_without_its_runtime_is_named_with_what_to_install(tmp_path: Path):
    clang = shutil.which("clang")
    if clang is None:
        raise ToolMissing("The program 'clang' is not installed.", hint="apt-get install clang libclang-rt-dev")
    bare = tmp_path / "clang"
    bare.write_text(f'#!/bin/sh\nexec {clang} -resource-dir={tmp_path}/nothing "$@"\n')
    bare.chmod(0o755)
    command = [sys.executable, str(FIRMWARE / "test" / "fuzz.py"), "--engine", "libfuzzer", "--seconds", "1"]
    paths = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run(command, env=paths, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert "does not link" in run.stdout
    assert "apt-get install clang libclang-rt-dev" in run.stdout


@pytest.mark.firmware
def test_half_a_minute_of_fuzzing_finds_no_crash(tmp_path: Path):
    command = [sys.executable, str(FIRMWARE / "test" / "fuzz.py"), "--engine", "libfuzzer", "--seconds", str(FUZZ_S)]
    run = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    if run.returncode == 2:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    executions = [int(line.split(": ")[1].split()[0]) for line in run.stdout.splitlines() if "executions" in line]
    assert len(executions) == 2
    # one idle core runs 30,000 a second; a thirtieth is a loaded machine, less is an input that holds the core up
    assert min(executions) > 1000 * FUZZ_S
