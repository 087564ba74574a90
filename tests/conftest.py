"""Shapes and types are checked while tests run, before anything imports the package."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook(["lsm", "lsm_sim"], "shape_checks.check")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets; tests that need it skip with the reason when it is absent."""
    folder = os.environ.get("LSM_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LSM_DATA does not name a folder with the data sets")
    return Path(folder)
