"""The C core alone: its unit tests, the shared vectors, and a short fuzz."""

import subprocess
import sys
from binascii import crc32
from pathlib import Path

import pytest

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
def test_half_a_minute_of_fuzzing_finds_no_crash(tmp_path: Path):
    command = [sys.executable, str(FIRMWARE / "test" / "fuzz.py"), "--engine", "libfuzzer", "--seconds", str(FUZZ_S)]
    run = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    if run.returncode == 2:
        pytest.skip(run.stdout.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    executions = [int(line.split(": ")[1].split()[0]) for line in run.stdout.splitlines() if "executions" in line]
    assert len(executions) == 2
    assert min(executions) > 1000
