from collections.abc import Iterator
from pathlib import Path

import pytest

from lsm_sim.board import NativeBoard


@pytest.fixture
def native(tmp_path: Path) -> Iterator[NativeBoard]:
    """A freshly booted board with the default 13 x 13 grid."""
    with NativeBoard(run_dir=tmp_path) as board:
        yield board
