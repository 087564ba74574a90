"""Shapes and types are checked while tests run, before anything imports the package.

A missing program is a visible skip that names the Debian packages: wherever ToolMissing ends a test, and before tests
marked `firmware`, some of which need the compiler in a process of their own. With LSM_REQUIRE_NATIVE=1 the host's own
compiler must be there; what only the emulated boards need may still be missing.
"""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["lsm", "lsm_sim"], "shape_checks.check")

from lsm.errors import ToolMissing  # noqa: E402 -- once the hook is there
from lsm_sim._build import firmware_folder, native_toolchain  # noqa: E402


def pytest_configure() -> None:
    if os.environ.get("LSM_REQUIRE_NATIVE") == "1" and (missing := _native_missing()):
        raise pytest.UsageError(f"LSM_REQUIRE_NATIVE=1, but: {missing}")


TIMED = frozenset({"bench", "cli", "demo", "firmware", "jobs", "led", "record", "safety", "scope", "torture"})
"""Folders whose tests meet clocks: boards with watchdogs, triggers, timeouts, processes that are killed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `timed` what must not share the machine with other tests; the rest may run on all cores at once."""
    here = Path(__file__).parent
    for item in items:
        if TIMED & set(item.path.relative_to(here).parts) or item.get_closest_marker("firmware") is not None:
            item.add_marker(pytest.mark.timed)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("firmware") is not None and (missing := _native_missing()):
        pytest.skip(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, ToolMissing):
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"Skipped: {call.excinfo.value}")
    return report


@functools.cache
def _native_missing() -> str:
    """What keeps the native board from being built; empty where nothing does."""
    try:
        firmware_folder()
        native_toolchain().check()
    except ToolMissing as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it skip with the reason when it is absent."""
    folder = os.environ.get("LSM_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LSM_DATA does not name a folder with the data sets")
    return Path(folder)
