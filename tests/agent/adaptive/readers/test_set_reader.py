"""The set reader: whole numbers, the same bytes in any batch and order, files, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lsm.agent.adaptive import BatchAdaptiveEnv, Capture, Reader
from lsm.agent.adaptive.build import build_world
from lsm.agent.adaptive.invented import KINDS
from lsm.agent.adaptive.light import LightBook, named_lights
from lsm.agent.adaptive.readers import (
    BookFrames,
    SetNetwork,
    SetReader,
    SetReaderConfig,
    load_reader,
    quantise,
    save_reader,
    turned_stack,
)
from lsm.agent.adaptive.readers.quantise import quantised
from lsm.agent.adaptive.readers.training import as_capture
from lsm.agent.adaptive.readers.whole import FIRST_SIDE, NEXT_SIDE, patches, whole_frames
from lsm.errors import ConfigError, FileMissing, ModelMismatch, WrongFormat
from lsm.optics import Camera
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import Lamps
from lsm.tensorfile import read_tensors, write_tensors

N = 700


def some_captures(reader: SetReader, number: int, seed: int) -> Capture:
    generator = torch.Generator().manual_seed(seed)
    frame = torch.randint(0, 4096, (N, 16, 16), dtype=torch.int32, generator=generator)
    # from black to saturated
    scale = torch.rand(N, 1, 1, generator=generator) ** 3
    pattern = torch.randint(reader.n_patterns, (N,), generator=generator)
    return as_capture((frame * scale).to(torch.int32), pattern, number)


def part(capture: Capture, rows: Tensor | slice) -> Capture:
    return Capture(*(getattr(capture, name)[rows] for name in ("frame", "pattern", "duty", "exposure_ms", "number")))


def read_all(reader: SetReader, captures: list[Capture], rows: Tensor | slice) -> list[Tensor]:
    memory = torch.zeros(N, reader.n_units)[rows]
    told = []
    for capture in captures:
        reading = reader.read(part(capture, rows), memory)
        memory = reading.memory
        told += list(reading)
    return told


def test_it_is_a_reader_with_numbers_in_range(reader: SetReader):
    assert isinstance(reader, Reader)
    reading = reader.read(some_captures(reader, 0, 0), torch.zeros(N, reader.n_units))
    assert reading.features.shape == (N, reader.n_features)
    assert float(reading.features.min()) >= 0
    assert float(reading.features.max()) <= 1
    # whole numbers that really differ
    assert bool((reading.memory == reading.memory.round()).all())
    assert len(reading.evidence.unique()) > 50


@pytest.mark.parametrize("size", [1, 7, 255, 257])
def test_bytes_are_the_same_alone_and_in_a_batch(reader: SetReader, size: int):
    captures = [some_captures(reader, number, number) for number in range(3)]
    whole = read_all(reader, captures, slice(None))
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(size))[:size]
    for one, all_of_them in zip(read_all(reader, captures, rows), whole, strict=True):
        assert one.numpy().tobytes() == all_of_them[rows].numpy().tobytes()


def test_bytes_do_not_depend_on_the_order_of_captures(reader: SetReader):
    first, second, third = (some_captures(reader, 0, seed) for seed in range(3))

    def last(order: list[Capture]) -> list[bytes]:
        numbered = [
            Capture(c.frame, c.pattern, c.duty, c.exposure_ms, torch.full_like(c.number, k))
            for k, c in enumerate(order)
        ]
        return [part.numpy().tobytes() for part in read_all(reader, numbered, slice(None))[-3:]]

    assert last([first, second, third]) == last([third, first, second])
    assert last([first, second, third]) != last([third, first, first])


def test_threads_change_nothing(reader: SetReader):
    captures = [some_captures(reader, 0, 9)]
    alone = read_all(reader, captures, slice(None))
    torch.set_num_threads(2)
    assert [part.numpy().tobytes() for part in read_all(reader, captures, slice(None))] == [
        part.numpy().tobytes() for part in alone
    ]


@pytest.mark.parametrize("side", [FIRST_SIDE, NEXT_SIDE])
def test_patches_are_those_of_a_convolution(side: int):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(-127, 128, (3, 9, 12, 2), generator=generator).float()
    weight = torch.randint(-127, 128, (side * side * 2, 5), generator=generator).float()
    squares, along = patches(images, side)
    plain = weight.reshape(side, side, 2, 5).permute(3, 2, 0, 1)
    wanted = torch.nn.functional.conv2d(images.permute(0, 3, 1, 2), plain, stride=2, padding=1)
    assert tuple(wanted.shape[2:]) == along
    assert torch.equal((squares @ weight).reshape(3, *along, 5).permute(0, 3, 1, 2), wanted)


def test_frames_are_told_in_their_own_spread():
    generator = torch.Generator().manual_seed(2)
    frame = torch.randint(200, 1000, (5, 16, 16), dtype=torch.int32, generator=generator)
    whole, bright = whole_frames(frame, 4095.0)
    other, brighter = whole_frames(4 * frame, 4095.0)
    # both are rounded, and the floor under the spread weighs less in the brighter one
    assert float((whole - other).abs().max()) <= 3
    assert bool((brighter >= bright).all())
    flat, none = whole_frames(torch.full((1, 16, 16), 300, dtype=torch.int32), 4095.0)
    assert float(flat.abs().max()) == 0
    assert float(none[0, 1]) == 0


def test_it_comes_back_from_its_file(reader: SetReader, tmp_path: Path):
    path = tmp_path / "reader.safetensors"
    save_reader(path, reader, {"of": "a test"})
    back = load_reader(path)
    assert back.digest == reader.digest
    captures = [some_captures(reader, 0, 5)]
    for one, other in zip(read_all(back, captures, slice(None)), read_all(reader, captures, slice(None)), strict=True):
        assert torch.equal(one, other)


def test_files_of_another_kind_and_damaged_ones_are_refused(reader: SetReader, tmp_path: Path):
    path = tmp_path / "reader.safetensors"
    with pytest.raises(FileMissing, match="reader"):
        load_reader(path)
    write_tensors(path, {"a": torch.zeros(2)}, {})
    with pytest.raises(WrongFormat, match="holds no set reader"):
        load_reader(path)
    save_reader(path, reader)
    words, tensors = read_tensors(path, hint="")
    tensors["second"][0, 0] += 1
    write_tensors(path, tensors, words)
    with pytest.raises(WrongFormat, match="damaged"):
        load_reader(path)


def test_other_frames_and_patterns_are_refused(reader: SetReader):
    memory = torch.zeros(1, reader.n_units)
    with pytest.raises(ModelMismatch, match="8 x 16 px"):
        reader.read(as_capture(torch.zeros(1, 8, 16, dtype=torch.int32), torch.zeros(1, dtype=torch.int64), 0), memory)
    for pattern in (-1, reader.n_patterns):
        with pytest.raises(ModelMismatch, match=f"Patterns {pattern}"):
            reader.read(as_capture(torch.zeros(1, 16, 16, dtype=torch.int32), torch.tensor([pattern]), 0), memory)


def test_the_environment_is_the_same_alone_and_in_a_batch(reader: SetReader, cells: tuple[CellStack, Lamps]):
    stack, lamps = cells
    world = build_world(
        stack, lamps, duty=named_lights(lamps, KINDS), budget=PhotonBudget(electrons=1500.0), reader=reader
    )
    actions = torch.tensor([[0, 2, 3, 1, 4, 5]]).repeat(40, 1)

    def facts(places: int, seed: int) -> list[Tensor]:
        env = BatchAdaptiveEnv(world)
        first = env.reset(places, seed).facts
        return [first, *(env.step(column).view.facts for column in actions[:places].T)]

    together = facts(40, 100)
    for place in (0, 17, 39):
        for one, all_of_them in zip(facts(1, 100 + place), together, strict=True):
            assert one[0].numpy().tobytes() == all_of_them[place].numpy().tobytes()


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_cell_is_lit_as_the_reader_saw_it(cells: tuple[CellStack, Lamps], book: LightBook, turn: int):
    stack, lamps = cells
    rows = np.arange(3)
    frames = BookFrames.of(stack, rows, lamps, book, Camera(), 100.0, turned=True)
    turned = turned_stack(stack.where(rows), lamps)
    assert len(turned) == 24
    weights = torch.from_numpy(book.duty * lamps.irradiance.astype(np.float32) * 100)
    lit = turned.mix(np.arange(turn, 24, 8), weights)
    # half precision
    assert torch.allclose(lit, frames.rate[turn].float(), rtol=2e-3, atol=1e-3)


def test_sums_that_are_not_exact_are_refused(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(0)
    network = SetNetwork(2, (16, 16), SetReaderConfig(channels=(4, 4), units=4, head=4), generator)
    sample = (*whole_frames(torch.randint(0, 900, (9, 16, 16), dtype=torch.int32), 4095.0), torch.zeros(9).long())
    monkeypatch.setattr(quantise, "EXACT", 1000)
    with pytest.raises(ConfigError, match="not exact"):
        quantised(network, [sample], network.added(*sample).detach(), 4095.0)
