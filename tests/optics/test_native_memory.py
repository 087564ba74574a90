"""The kernel stays inside its buffers and defines every value it uses, at every vector width."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "lsm" / "optics" / "_native"
FLAGS = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-psabi")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover")


@pytest.mark.firmware
@pytest.mark.parametrize(("real", "index", "lanes"), [("float", "int32_t", 4), ("double", "int64_t", 4)])
def test_sanitizers_find_nothing(tmp_path: Path, real: str, index: str, lanes: int):
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = tmp_path / "memory"
    sources = [str(ROOT / "tests/optics/native/memory.c"), str(KERNEL / "kernel.c")]
    macros = [f"-DREAL={real}", f"-DINDEX={index}", f"-DLANES={lanes}", "-DSUFFIX=_run"]
    options = [*FLAGS, *SANITIZE, *macros, f"-I{KERNEL}"]
    subprocess.run([compiler, *options, *sources, "-o", str(program), "-lm"], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 36
