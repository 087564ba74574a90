"""A reading depends on images alone, and on nothing but the captures that were taken."""

import inspect

import numpy as np
import pytest
import torch
from vision_phantom import FINDER, phantom_rates, untrained_bundle

from lsm.errors import ModelMismatch, WrongFormat
from lsm.optics import Camera
from lsm.sensing.fields import FieldCells
from lsm.vision import CellFinder, FieldReader


def marking_finder() -> CellFinder:
    """A finder that marks what is darker than its surroundings, without training."""
    finder = CellFinder(FINDER)
    with torch.no_grad():
        for parameter in finder.parameters():
            parameter.zero_()
        finder.body[0].weight[0, 0, 1, 1] = -1.0
        finder.body[2].weight[0, 0] = 0.25
        for layer in (4, 6, 8):
            finder.body[layer].weight[0, 0] = 1 / 9
        finder.heads.weight[0, 0] = 20.0
        finder.heads.bias[0] = -8.0
    return finder


BUNDLE = untrained_bundle(finder=marking_finder())


def frames(count: int = 3, seed: int = 0) -> dict[int, np.ndarray]:
    rates, _ = phantom_rates(1, seed=3)
    camera, generator = Camera(), torch.Generator().manual_seed(seed)
    return {k: camera.expose(rates[0, 0], 5.0, generator).numpy() for k in range(count)}


def same(a: object, b: object) -> bool:
    first, second = (np.concatenate([r.cells.x_px, r.p_infected, r.counts]) for r in (a, b))
    return np.array_equal(first, second, equal_nan=True)


def test_cells_are_found_and_each_red_one_is_counted_once():
    reading = FieldReader(BUNDLE).read(frames())
    assert len(reading.cells) >= 5
    assert reading.mask == 0b111
    assert reading.counts.sum() == (reading.cells.kind == 0).sum() == reading.quality.n_red
    scores = reading.p_infected[reading.cells.kind == 0]
    assert np.all((scores >= 0) & (scores <= 1))
    assert reading.counts.tolist() == np.histogram(scores, [0, 0.25, 0.5, 0.75, 1.0])[0].tolist()


def test_a_reader_has_no_way_to_be_told_the_truth():
    """Neither argument nor attribute can hold it, and readings do not move when the truth is scrambled."""
    assert list(inspect.signature(FieldReader.read).parameters) == ["self", "frames"]
    rates, cells = phantom_rates(1, seed=3)
    image = Camera().expose(rates[0, 0], 5.0, torch.Generator().manual_seed(0)).numpy()
    reader = FieldReader(BUNDLE)
    before = reader.read({0: image})
    rng = np.random.default_rng(0)
    for column in ("x_px", "y_px", "infected"):
        getattr(cells, column)[:] = rng.permutation(getattr(cells, column))
    assert same(before, reader.read({0: image}))
    assert not any(isinstance(value, FieldCells) for value in vars(reader).values())


def test_reading_twice_gives_the_same():
    assert same(FieldReader(BUNDLE).read(frames()), FieldReader(BUNDLE).read(frames()))


def test_every_subset_reads_as_if_it_had_been_taken_alone():
    reader, taken = FieldReader(BUNDLE), frames()
    subsets = reader.read_subsets(taken)
    assert sorted(subsets) == list(range(1, 8))
    for mask, reading in subsets.items():
        alone = reader.read({k: taken[k] for k in taken if mask >> k & 1})
        assert reading.mask == alone.mask == mask
        assert same(reading, alone)


def test_subsets_of_some_captures_leave_out_the_others():
    taken = frames()
    assert sorted(FieldReader(BUNDLE).read_subsets({0: taken[0], 2: taken[2]})) == [1, 4, 5]


def test_the_baseline_reads_bright_field_only():
    reader = FieldReader(BUNDLE, baseline=True)
    assert reader.read({0: frames()[0]}).mask == 1
    with pytest.raises(WrongFormat, match="patterns 0 to 0"):
        reader.read({1: frames()[1]})


@pytest.mark.parametrize("wrong", [{}, {7: np.zeros((64, 64), dtype=np.uint16)}], ids=["none", "unknown pattern"])
def test_frames_that_are_no_field_are_refused(wrong: dict[int, np.ndarray]):
    with pytest.raises(WrongFormat):
        FieldReader(BUNDLE).read(wrong)


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(WrongFormat, match="sizes"):
        FieldReader(BUNDLE).read(frames(1) | {1: np.zeros((32, 32), dtype=np.uint16)})


def test_a_dark_field_of_view_gives_no_cells_and_says_so():
    reading = FieldReader(BUNDLE).read({0: np.full((64, 64), 20, dtype=np.uint16)})
    assert reading.quality.signal == pytest.approx(0.0, abs=1e-6)
    assert reading.counts.sum() == len(reading.cells) == 0


def test_saturation_is_reported():
    image = frames(1)[0]
    image[:32] = 4095
    assert FieldReader(BUNDLE).read({0: image}).quality.saturated == pytest.approx(0.5)


def test_networks_that_do_not_fit_the_card_are_refused():
    wrong = BUNDLE.with_part("classifier", {"out.weight": torch.zeros(1, 1)})
    with pytest.raises(ModelMismatch, match="classifier"):
        FieldReader(wrong)
    with pytest.raises(ModelMismatch, match="finder"):
        FieldReader(BUNDLE.with_card(config={}))
