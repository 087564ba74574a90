"""The finder finds cells, puts them in the right place and never reports one twice."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from vision_phantom import FINDER, phantom_rates

from lsm.optics import Camera
from lsm.sensing.capture import CaptureModel, ExposureConfig
from lsm.sensing.heads import n_parameters
from lsm.vision import CellFinder, FinderConfig
from lsm.vision.evaluate import match
from lsm.vision.finder import STRIDE, finder_loss
from lsm.vision.finder_training import FinderTrainingConfig, train_finder


def capture(rates: torch.Tensor) -> CaptureModel:
    model = CaptureModel(1, Camera(), ExposureConfig())
    model.freeze([rates])
    return model


def painted(*cells: tuple[float, float, float]) -> torch.Tensor:
    """Grids that say: a cell at x, y with these odds, nothing elsewhere."""
    grids = torch.full((1, 7, 16, 16), 0.0)
    grids[:, 0] = -9.0
    for x_px, y_px, odds in cells:
        column, row = round((x_px - 0.5) / STRIDE), round((y_px - 0.5) / STRIDE)
        grids[0, :3, row, column] = torch.tensor([odds, x_px - 2 * column - 0.5, y_px - 2 * row - 0.5])
    return grids


def test_the_finder_is_small():
    assert n_parameters(CellFinder(FinderConfig())) <= 60_000


def test_the_finder_finds_cells_after_a_short_training():
    rates, cells = phantom_rates(6)
    training = FinderTrainingConfig(steps=80, images_per_step=2, learning_rate=1e-2)
    losses: list[float] = []
    finder = train_finder(
        FINDER, rates, cells, capture(rates), training, torch.Generator().manual_seed(1), advance=losses.append
    )
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    new, truth = phantom_rates(3, seed=7)
    images = capture(rates)(new, torch.Generator().manual_seed(2))[:, 0]
    for i, grids in enumerate(finder.grids(images)):
        found = finder.detect(grids[None])
        partner = match(found, truth.of_field(i), reach_px=2.0)
        assert (partner >= 0).sum() >= 9
        assert len(found) <= 11


def test_a_painted_cell_is_reported_where_it_was_painted():
    found = CellFinder(FINDER).detect(painted((10.2, 21.7, 4.0)))
    # float32 rounding of numbers near 20
    assert found.x_px == pytest.approx([10.2], abs=1e-5)
    assert found.y_px == pytest.approx([21.7], abs=1e-5)
    assert found.radius_px == pytest.approx([FINDER.radius_px])


def test_two_marks_on_one_cell_give_one_detection():
    found = CellFinder(FINDER).detect(painted((10.9, 10.0, 4.0), (12.6, 12.4, 3.0)))
    assert len(found) == 1
    assert found.x_px == pytest.approx([10.9], abs=1e-5)


def test_neighbouring_cells_stay_two():
    assert len(CellFinder(FINDER).detect(painted((10.0, 10.0, 4.0), (15.0, 10.0, 3.0)))) == 2


def test_an_image_that_looks_like_cells_everywhere_is_borne():
    grids = torch.zeros((1, 7, 256, 256))
    grids[:, 0] = 9.0
    found = CellFinder(FINDER).detect(grids)  # pairs of all grid points would need 32 GiB
    places = np.stack((found.x_px, found.y_px), axis=1)
    apart_px, _ = cKDTree(places).query(places, k=2)
    assert len(found) > 1000
    assert apart_px[:, 1].min() >= FINDER.suppress_px


def test_an_empty_field_gives_no_cell():
    assert len(CellFinder(FINDER).detect(painted())) == 0


def test_captures_of_one_field_are_averaged():
    """A centre that only one of two captures believes in falls below the threshold."""
    sure, doubtful = painted((10.0, 10.0, 2.0)), painted((10.0, 10.0, -6.0))
    finder = CellFinder(FINDER)
    assert len(finder.detect(sure)) == 1
    assert len(finder.detect(torch.cat([sure, doubtful]))) == 0


def test_the_loss_is_least_where_the_truth_is():
    cell = (torch.tensor([0]), torch.tensor([10.2]), torch.tensor([21.7]), torch.tensor([3.1]), torch.tensor([0]))
    right = finder_loss(painted((10.2, 21.7, 9.0)), *cell, typical_radius_px=3.1)
    elsewhere = finder_loss(painted((20.2, 11.7, 9.0)), *cell, typical_radius_px=3.1)
    shifted = finder_loss(painted((10.9, 21.0, 9.0)), *cell, typical_radius_px=3.1)
    assert right < shifted < elsewhere
