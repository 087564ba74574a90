"""What a machine without compilers sees: skips that say what to install, or an error where one must be there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def pytest_without_tools(folder: Path, *words: str, keep: tuple[str, ...] = (), **environment: str):
    """Runs tests with no program in PATH but `keep`, and nothing compiled before."""
    programs = folder / "programs"
    programs.mkdir()
    for name in keep:
        (programs / name).symlink_to(shutil.which(name))
    clean = {name: value for name, value in os.environ.items() if name not in ("CC", "LSM_REQUIRE_NATIVE")}
    clean |= {"PATH": str(programs), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, env=clean | environment, cwd=TESTS, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "test",
    [
        "firmware/test_text.py::test_a_single_digit_of_na_is_a_tenth",
        "firmware/test_watchdog.py::test_a_killed_host_leaves_the_board_dark_and_then_the_board_ends",
    ],
)
def test_a_missing_compiler_skips_and_names_the_packages(tmp_path: Path, test: str):
    run = pytest_without_tools(tmp_path, test)
    assert run.returncode == 0, run.stdout
    assert "1 skipped" in run.stdout
    assert "apt-get install gcc libc6-dev make" in run.stdout


def test_a_test_that_expects_a_missing_tool_still_passes(tmp_path: Path):
    run = pytest_without_tools(tmp_path, "led/test_native_board.py", "-k", "a_missing_tool_is_named")
    assert run.returncode == 0, run.stdout
    assert "2 passed" in run.stdout


def test_a_compiler_that_is_required_must_be_there(tmp_path: Path):
    run = pytest_without_tools(tmp_path, "led/test_codec.py", LSM_REQUIRE_NATIVE="1")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "apt-get install gcc libc6-dev make" in run.stderr


@pytest.mark.firmware
@pytest.mark.parametrize(
    ("test", "package"),
    [
        ("firmware/test_three_boards.py::test_power_on_is_dark[stm32f405]", "qemu-system-arm"),  # in a fixture
        ("firmware/test_emulated_boots.py::test_the_eeprom_file_outlives_the_board", "avr"),  # in the test
    ],
)
def test_an_emulator_may_be_missing_where_the_compiler_is_required(tmp_path: Path, test: str, package: str):
    compiler = os.environ.get("CC", "cc").split()[0]
    kept = tuple({compiler, "cc", "as", "ld", "make", "mkdir"})
    run = pytest_without_tools(tmp_path, test, keep=kept, LSM_REQUIRE_NATIVE="1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 skipped" in run.stdout
    assert re.search(f"SKIPPED.*apt-get install .*{package}", run.stdout)
