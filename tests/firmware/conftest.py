from pathlib import Path

import pytest
from wire import Wire

from lsm_sim.board import NativeBoard


@pytest.fixture
def native(tmp_path: Path):
    """A freshly booted board with the default 13 x 13 grid."""
    with NativeBoard(run_dir=tmp_path) as board:
        yield board


@pytest.fixture
def wire(native: NativeBoard):
    transport = native.open_transport()
    yield Wire(transport)
    transport.close()
