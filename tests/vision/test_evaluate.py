"""Readings against the truth: who is whom, and what is counted where."""

import numpy as np
import pytest

from lsm.sensing.fields import FieldCells
from lsm.vision import FieldQuality, FieldReading, FoundCells
from lsm.vision.evaluate import Tally, match


def found(*places: tuple[float, float], kind: int = 0) -> FoundCells:
    x_px, y_px = (np.array(column, dtype=np.float64) for column in zip(*places, strict=True))
    return FoundCells(x_px, y_px, np.full(len(x_px), 3.0), np.full(len(x_px), kind), np.full(len(x_px), 0.9))


def true(*places: tuple[float, float], infected: tuple[bool, ...] = (), kind: int = 0) -> FieldCells:
    x_px, y_px = (np.array(column, dtype=np.float64) for column in zip(*places, strict=True))
    n = len(x_px)
    ill = np.array(infected or (False,) * n)
    return FieldCells(np.zeros(n, dtype=np.int64), x_px, y_px, np.full(n, 3.0), np.full(n, kind), ill)


def reading(cells: FoundCells, p_infected: list[float]) -> FieldReading:
    quality = FieldQuality(n_red=len(cells), n_other=0, coverage=0.1, signal=1.0, saturated=0.0)
    return FieldReading(1, cells, np.array(p_infected), np.zeros(2, dtype=np.int64), quality)


def test_cells_are_matched_to_the_nearest_one_to_one():
    partner = match(found((1, 0), (0.2, 0), (50, 50)), true((0, 0), (2.5, 0)), reach_px=2.0)
    assert partner.tolist() == [1, 0, -1]


def test_a_cell_beyond_reach_is_not_matched():
    assert match(found((0, 0)), true((2.1, 0)), reach_px=2.0).tolist() == [-1]


def test_nothing_matches_nothing():
    nothing = true((0, 0)).where(np.array([False]))
    assert match(found((0, 0)), nothing, reach_px=2.0).tolist() == [-1]


def test_a_red_cell_found_where_there_is_none_counts_as_uninfected():
    tally = Tally(1)
    cells = true((0, 0), (10, 0), infected=(True, False))
    tally.add(0, reading(found((0, 0), (10, 0), (30, 0)), [0.9, 0.2, 0.8]), cells, 1.2)
    infected, uninfected = tally.counts(np.array([0.5]), 1)
    assert infected[0, 1].tolist() == [0, 1]
    assert uninfected[0, 1].tolist() == [1, 1]
    assert tally.finder(1) == pytest.approx(
        {"precision": 2 / 3, "recall": 1.0, "recall_infected": 1.0, "recall_uninfected": 1.0}
    )


def test_a_missed_infected_cell_lowers_only_their_recall():
    tally = Tally(1)
    cells = true((0, 0), (10, 0), infected=(True, False))
    tally.add(0, reading(found((10, 0)), [0.2]), cells, 1.2)
    assert tally.finder(1)["recall_infected"] == 0.0
    assert tally.finder(1)["recall_uninfected"] == 1.0


def test_a_platelet_taken_for_a_red_cell_is_a_false_one():
    tally = Tally(1)
    tally.add(0, reading(found((0, 0)), [0.9]), true((0, 0), kind=2), 1.2)
    assert tally.finder(1)["precision"] == 0.0
    assert tally.counts(np.array([0.5]), 1)[1][0, 1].tolist() == [0, 1]


def test_the_area_under_the_curve_comes_with_an_interval_over_slides():
    tally, rng = Tally(1), np.random.default_rng(0)
    places = [(12.0 * k, 0.0) for k in range(10)]
    ill = tuple(k < 5 for k in range(10))
    for slide in range(6):
        scores = np.clip(np.where(ill, 0.6, 0.4) + 0.15 * rng.standard_normal(10), 0, 1)
        tally.add(slide, reading(found(*places), scores.tolist()), true(*places, infected=ill), 1.2)
    area = tally.auc(1, rng)
    assert area.groups == 6
    assert 0.6 < area.low <= area.auc <= area.high <= 1.0


def test_without_an_infected_cell_nothing_is_claimed():
    tally = Tally(1)
    tally.add(0, reading(found((0, 0)), [0.9]), true((0, 0)), 1.2)
    area = tally.auc(1, np.random.default_rng(0))
    assert (area.low, area.high) == (0.0, 1.0)
