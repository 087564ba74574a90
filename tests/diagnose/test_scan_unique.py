"""Each cell once, however often and from wherever it is seen: laws on drawn points, and a slide that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from twin_scan import kit_of, model, smear_config, twin

from lsm.agent.results import SlideRun
from lsm.diagnose.scan import scan_slide
from lsm.diagnose.scan.unique import NOT_PLACED, SAME_UM, STILL_UM, UniqueCells
from lsm.samples import ProceduralSmear

FIELD_UM = (230.4, 230.4)


def drawn_cells(rng: np.random.Generator, side_um: float, n: int) -> np.ndarray:
    """Points at least 5 um from each other, as cells of a monolayer are."""
    points = rng.uniform(0, side_um, (2 * n, 2))
    close = cKDTree(points).query_pairs(5.0, output_type="ndarray")
    return np.delete(points, np.unique(close[:, 1]), axis=0)[:n]


def scan_points(
    cells: np.ndarray, places: list[tuple[float, float]], *, overlap: float, jitter_um: float, rng: np.random.Generator
) -> tuple[int, list[float]]:
    """Cells counted in fields at these places, each found within `jitter_um` of where it is; and the shifts seen."""
    unique = UniqueCells(40, FIELD_UM, overlap_um=overlap * FIELD_UM[0])
    counted, shifts = 0, []
    for place in places:
        inside = (np.abs(cells - np.array(place)) < np.array(FIELD_UM) / 2).all(axis=1)
        found = cells[inside] + rng.uniform(-jitter_um, jitter_um, (int(inside.sum()), 2))
        placed = unique.place(place, found)
        new = unique.new(place, found, placed.shift_um)
        unique.keep(place, found, new, placed.shift_um)
        counted += int(new.sum())
        shifts.append(float(np.hypot(*placed.shift_um)))
    return counted, shifts


def grid(n: int, overlap: float) -> list[tuple[float, float]]:
    pitch = FIELD_UM[0] * (1 - overlap)
    rows = [[(120 + column * pitch, 120 + row * pitch) for column in range(n)] for row in range(n)]
    return [place for index, row in enumerate(rows) for place in (row if index % 2 == 0 else row[::-1])]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.0, 0.5), st.floats(0.0, 0.8), st.integers(50, 2500))
def test_cells_of_overlapping_fields_count_once(seed: int, overlap: float, jitter_um: float, cells: int):
    rng = np.random.default_rng(seed)
    points = drawn_cells(rng, 800.0, cells)
    places = grid(3, overlap)
    rim = min(4.0, overlap * FIELD_UM[0] / 2)
    low = np.array(FIELD_UM) / 2 - rim
    reach = np.array(places)
    inside = ((points > reach.min(axis=0) - low) & (points < reach.max(axis=0) + low)).all(axis=1)
    counted, _ = scan_points(points, places, overlap=overlap, jitter_um=jitter_um, rng=rng)
    # the jitter moves a cell over the outer rim, whose band of 2 * jitter holds these at most on average
    band = 4 * 2 * (reach.max() + low[0]) * jitter_um * len(points) / 800.0**2
    assert abs(counted - int(inside.sum())) <= 3 + band + 4 * np.sqrt(band)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_a_field_that_is_captured_again_adds_nothing(seed: int):
    rng = np.random.default_rng(seed)
    points = drawn_cells(rng, 300.0, 300)
    once, _ = scan_points(points, [(150.0, 150.0)], overlap=0.1, jitter_um=0.5, rng=rng)
    thrice, _ = scan_points(points, [(150.0, 150.0)] * 3, overlap=0.1, jitter_um=0.5, rng=rng)
    # of some 8 cells within half a micrometre of the rim a few change sides, and are then seen to be the same
    assert abs(thrice - once) <= 8


@pytest.mark.parametrize("by_um", [(4.0, 0.0), (0.0, -6.0), (3.0, 5.0)])
def test_the_displacement_of_a_field_is_found(by_um: tuple[float, float]):
    rng = np.random.default_rng(7)
    points = drawn_cells(rng, 600.0, 1500)
    unique = UniqueCells(10, FIELD_UM, overlap_um=46.0)
    half = np.array(FIELD_UM) / 2
    for place, off in (((150.0, 150.0), (0.0, 0.0)), ((334.0, 150.0), by_um)):
        truly = np.array(place) + off
        inside = (np.abs(points - truly) < half).all(axis=1)
        found = points[inside] - off + rng.normal(0, 0.4, (int(inside.sum()), 2))
        placed = unique.place(place, found)
        unique.keep(place, found, np.ones(len(found), dtype=bool), placed.shift_um)
    assert placed.alike is not None
    assert placed.alike > 0.8
    # the median of some 40 differences with a spread of 0.6 um each: 0.1 um, five times over
    assert placed.shift_um == pytest.approx(np.array(by_um), abs=0.5)


def test_small_displacements_are_not_followed():
    rng = np.random.default_rng(3)
    points = drawn_cells(rng, 900.0, 3000)
    _, shifts = scan_points(points, grid(3, 0.2), overlap=0.2, jitter_um=0.5, rng=rng)
    assert shifts == [0.0] * 9
    assert STILL_UM < SAME_UM


def test_fields_that_share_too_little_say_nothing():
    unique = UniqueCells(10, FIELD_UM, overlap_um=23.0)
    rng = np.random.default_rng(0)
    assert unique.place((0.0, 0.0), rng.uniform(-100, 100, (50, 2))) is NOT_PLACED


def found_of_true(run: SlideRun, sample: ProceduralSmear, rim_um: float) -> float:
    """Red cells that a scan counted for each that truly is where it looked, but for the outermost rim."""
    centres = np.array([visit.xy_um for visit in run.visits])
    half = np.array(run.field_um) / 2 - rim_um
    (x0, y0), (x1, y1) = centres.min(axis=0) - half, centres.max(axis=0) + half
    return run.red_cells / len(sample.truth().red_cells.within(x0, x1, y0, y1))


def test_overlapping_fields_of_a_slide_find_what_others_do():
    """Counted for each true cell, with and without overlap, it is the same within the finder's own error."""
    sample = ProceduralSmear(smear_config(), 3)
    plain = scan_slide(twin(sample), kit_of(3, 3, overlap=0.0)).run
    overlapping = scan_slide(twin(sample), kit_of(4, 4, overlap=0.2)).run
    invented = 1 - model().card.figures["held_out"]["masks"]["1"]["precision"]
    once, plainly = found_of_true(overlapping, sample, 4.0), found_of_true(plain, sample, 0.0)
    # fields without overlap count some cells that their edges cut twice, which is less than the finder invents
    assert once == pytest.approx(plainly, rel=invented)
    assert abs(once - 1) < abs(plainly - 1)
    assert abs(once - 1) < invented
    assert sum(visit.counts["red cell"] for visit in overlapping.visits) > 1.3 * overlapping.red_cells
