"""Paths cover their region, visit every field once, and arrive free of backlash."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import ConfigError
from lsm.optics.stage import AxisErrors, AxisState
from lsm.scope.scan_path import (
    approached,
    field_centres,
    nearest_first,
    raster,
    serpentine,
    spiral,
    travel_um,
)

lengths = st.floats(1.0, 500.0)
starts = st.floats(-1e4, 1e4)
shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))
places = st.lists(st.tuples(*[st.integers(-50, 50).map(float)] * 2), min_size=1, max_size=25)


def grid(rows: int, columns: int) -> np.ndarray:
    return field_centres((0.0, 10.0 * columns), (0.0, 10.0 * rows), (10.0, 10.0))


@given(starts, starts, lengths, lengths, st.floats(20.0, 200.0), st.floats(0.0, 0.6), st.data())
@settings(deadline=None)
def test_fields_cover_the_region_and_none_is_superfluous(
    x: float, y: float, width: float, height: float, field: float, overlap: float, data: st.DataObject
):
    centres = field_centres((x, x + width), (y, y + height), (field, field), overlap=overlap)
    point = np.array([x + width * data.draw(st.floats(0, 1)), y + height * data.draw(st.floats(0, 1))])
    # positions up to 1e4 um in float64
    assert np.abs(centres - point).max(axis=-1).min() <= field / 2 + 1e-6
    for axis, (count, length) in enumerate(zip(centres.shape[1::-1], (width, height), strict=True)):
        fewer_um = field * (1 + (count - 2) * (1 - overlap))
        assert count == 1 or fewer_um < length + 1e-6, axis


def test_a_region_of_whole_fields_is_tiled_exactly():
    centres = field_centres((0.0, 2304.0), (0.0, 1382.4), (230.4, 230.4))
    assert centres.shape == (6, 10, 2)
    assert centres[0, 0] == pytest.approx([115.2, 115.2])
    assert centres[5, 9] == pytest.approx([2188.8, 1267.2])


@given(shapes)
@settings(deadline=None)
def test_every_order_visits_every_field_once(shape: tuple[int, int]):
    centres = grid(*shape)
    wanted = sorted(map(tuple, centres.reshape(-1, 2).tolist()))
    for path in (raster(centres), serpentine(centres), spiral(centres)):
        assert sorted(path) == wanted


@given(shapes)
@settings(deadline=None)
def test_a_serpentine_only_steps_to_neighbours_and_is_the_shortest(shape: tuple[int, int]):
    path = list(serpentine(grid(*shape)))
    assert [math.dist(*pair) for pair in itertools.pairwise(path)] == pytest.approx([10.0] * (len(path) - 1))
    assert travel_um(path) <= travel_um(raster(grid(*shape))) + 1e-9


@given(shapes)
@settings(deadline=None)
def test_a_spiral_goes_outwards(shape: tuple[int, int]):
    path = np.array(list(spiral(grid(*shape))))
    rings = np.round(np.abs(path - path[0]).max(axis=1) / 10)
    assert (np.diff(rings) >= 0).all()
    middle = np.array(grid(*shape)).reshape(-1, 2).mean(axis=0)
    assert np.abs(path[0] - middle).max() <= 5.0 + 1e-9


def test_a_spiral_over_a_square_is_one_turn_after_the_other():
    path = list(spiral(grid(5, 5)))
    steps = [math.dist(*pair) for pair in itertools.pairwise(path)]
    # within a ring to neighbours; from ring to ring a field or a diagonal and a field
    assert max(steps) <= 10 * math.sqrt(5) + 1e-9
    assert sum(step == pytest.approx(10.0) for step in steps) >= len(steps) - 2


@given(places)
@settings(deadline=None)
def test_the_nearest_comes_first(listed: list[tuple[float, float]]):
    path = list(nearest_first(listed, (0.0, 0.0)))
    assert sorted(path) == sorted(listed)
    for index, (here, there) in enumerate(itertools.pairwise([(0.0, 0.0), *path])):
        assert math.dist(here, there) == min(math.dist(here, other) for other in path[index:])


@given(places, st.floats(0.1, 20.0), st.floats(0.0, 1.0), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_stage_with_play_ends_where_it_is_told(
    listed: list[tuple[float, float]], backlash_um: float, share: float, seed: int
):
    rng = np.random.default_rng(seed)
    errors = AxisErrors(backlash_um=backlash_um * share)
    # anywhere within its play
    axes = [AxisState(0.0, float(rng.uniform(0, errors.backlash_um))) for _ in range(2)]
    looked = []
    for stop in approached(listed, backlash_um):
        axes = [axis.moved(to, 0.0, errors, rng) for axis, to in zip(axes, stop.xy_um, strict=True)]
        if stop.look:
            looked.append(stop.xy_um)
            assert [axis.plate_um for axis in axes] == pytest.approx(stop.xy_um, abs=1e-9)
    assert looked == listed


def test_detours_are_made_only_where_they_help():
    straight = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (20.0, 20.0)]
    assert [stop.look for stop in approached(straight, 5.0)] == [False, True, True, True, True]
    back = list(approached([(0.0, 0.0), (-10.0, 10.0)], 5.0))
    assert [stop.xy_um for stop in back] == [(-5.0, -5.0), (0.0, 0.0), (-15.0, 0.0), (-10.0, 10.0)]
    assert all(stop.look for stop in approached(straight[::-1], 0.0))


def test_without_the_detours_the_same_stage_is_off():
    # the test above would not notice a detour that does nothing if play did nothing
    axis = AxisState(0.0, 0.0).moved(-10.0, 0.0, AxisErrors(backlash_um=5.0), np.random.default_rng(0))
    assert axis.plate_um == -5.0


def test_travel_is_the_length_of_the_way():
    assert travel_um([(0.0, 0.0), (3.0, 4.0), (3.0, 0.0)]) == 9.0
    assert travel_um([(3.0, 4.0)], start_um=(0.0, 0.0)) == 5.0
    assert travel_um([]) == 0.0


def test_what_is_no_region_or_place_is_refused():
    for arguments in (((0.0, 1.0), (0.0, 1.0), (0.0, 1.0)), ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))):
        with pytest.raises(ConfigError, match="cannot cover"):
            field_centres(*arguments)
    with pytest.raises(ConfigError, match="overlap"):
        field_centres((0.0, 1.0), (0.0, 1.0), (1.0, 1.0), overlap=1.0)
    with pytest.raises(ConfigError, match="no place"):
        list(nearest_first([(math.nan, 0.0)], (0.0, 0.0)))
    with pytest.raises(ConfigError, match="no place"):
        list(approached([(0.0, math.inf)], 1.0))
    with pytest.raises(ConfigError, match="backlash"):
        list(approached([(0.0, 0.0)], -1.0))
