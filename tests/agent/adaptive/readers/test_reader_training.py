"""What a set reader learns: better with more captures, calibrated on patients that it has not met, the same again."""

import numpy as np
import pytest
import torch
from smallreader import BUDGET, SMALL

from lsm.agent.adaptive.invented import invented_stack
from lsm.agent.adaptive.light import LightBook
from lsm.agent.adaptive.readers import BookFrames, SetReader, train_set_reader
from lsm.agent.adaptive.readers.training import as_capture, calibration_error, set_aside
from lsm.errors import InputError
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps


def test_more_captures_tell_more_and_belief_is_calibrated(reader: SetReader, book: LightBook):
    # cells of other patients, drawn anew
    stack, lamps = invented_stack(512, seed=8)
    frames = BookFrames.of(stack, np.arange(512), lamps, book, Camera(), BUDGET.flux_e_per_ms, turned=False)
    generator = torch.Generator().manual_seed(4)
    cell, memory, right = torch.arange(512), torch.zeros(512, reader.n_units), []
    for number in range(3):
        pattern = torch.randint(5, (512,), generator=generator)
        reading = reader.read(as_capture(frames.exposed(cell, pattern, generator), pattern, number), memory)
        memory = reading.memory
        right.append(float(((reading.evidence > 0) == frames.infected).double().mean()))
        # 51 cells a bin: the share of infected ones scatters by 0.07, its mean distance by 0.05
        assert calibration_error(reading.evidence, frames.infected) < 0.12
    assert right[0] > 0.65
    assert right[2] > right[0] + 0.01


def test_the_same_seed_gives_the_same_reader(cells: tuple[CellStack, Lamps], book: LightBook):
    stack, lamps = cells
    short = SMALL.model_copy(update={"epochs": 1})

    def digest(seed: int) -> str:
        heard: list[int] = []
        made = train_set_reader(
            stack,
            np.arange(len(stack)),
            lamps,
            book,
            short,
            camera=Camera(),
            flux_e_per_ms=100.0,
            seed=seed,
            progress=lambda epoch, loss: heard.append(epoch),
        )
        assert heard == [1]
        return made.digest

    assert digest(1) == digest(1) != digest(2)


def test_patients_are_on_one_side_only(cells: tuple[CellStack, Lamps]):
    stack, _ = cells
    rows = np.flatnonzero(stack.patient != "P0")
    learn, check = set_aside(stack, rows, 0.3, 5)
    assert set(learn) | set(check) == set(rows)
    assert not set(stack.patient[learn]) & set(stack.patient[check])
    with pytest.raises(InputError, match="one kind only"):
        set_aside(stack, rows[stack.infected[rows]], 0.3, 5)


def test_errors_of_calibration_are_told():
    infected = torch.tensor([True] * 75 + [False] * 25).repeat(40)
    sure = torch.full((4000,), float(np.log(3.0)), dtype=torch.float64)
    shuffled = infected[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    # bins of 400: a share of 3/4 scatters by 0.02
    assert calibration_error(sure, shuffled) < 0.04
    assert calibration_error(4 * sure, shuffled) > 0.15
