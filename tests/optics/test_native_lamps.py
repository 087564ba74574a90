"""Sums over lamps stay inside their buffers and are right at every vector width that this processor has."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "lsm" / "optics" / "_native"
FLAGS = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-psabi")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover")
WIDTHS = {
    "generic": (4, (), ""),
    "avx2": (8, ("-mavx2", "-mfma", "-mf16c"), "avx2"),
    "avx512": (16, ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma"), "avx512vl"),
}


def has(feature: str) -> bool:
    if not feature:
        return True
    facts = Path("/proc/cpuinfo")
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and facts.is_file() and f" {feature}" in facts.read_text(encoding="utf-8")


@pytest.mark.firmware
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_over_lamps_under_sanitizers(tmp_path: Path, width: str):
    lanes, options, feature = WIDTHS[width]
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    if not has(feature):
        pytest.skip(f"this processor has no {feature}")
    program = tmp_path / "lamps"
    sources = [str(ROOT / "tests/optics/native/lamps.c"), str(KERNEL / "lamps.c")]
    macros = [f"-DLANES={lanes}", "-DSUFFIX=_run", f"-I{KERNEL}"]
    subprocess.run([compiler, *FLAGS, *SANITIZE, *options, *macros, *sources, "-o", str(program), "-lm"], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["every half: 0 wrong", "240 runs, 0 wrong"]
