"""One thread, so that trainings repeat whatever else runs; one small reader for all tests."""

import numpy as np
import pytest
import torch
from smallreader import BUDGET, SMALL

from lsm.agent.adaptive.invented import KINDS, NAMES, invented_stack
from lsm.agent.adaptive.light import LightBook, Meter, named_lights
from lsm.agent.adaptive.readers import SetReader, train_set_reader
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cells() -> tuple[CellStack, Lamps]:
    return invented_stack(256)


@pytest.fixture(scope="session")
def book(cells: tuple[CellStack, Lamps]) -> LightBook:
    stack, lamps = cells
    return Meter.of(stack, lamps, BUDGET, Camera()).book(named_lights(lamps, KINDS), NAMES)


@pytest.fixture(scope="session")
def reader(cells: tuple[CellStack, Lamps], book: LightBook) -> SetReader:
    stack, lamps = cells
    torch.set_num_threads(1)
    return train_set_reader(
        stack, np.arange(len(stack)), lamps, book, SMALL, camera=Camera(), flux_e_per_ms=100.0, seed=3
    )
