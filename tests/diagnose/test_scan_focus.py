"""The focus of a scan: planes through measured places, on drawn films of which the focus is known everywhere."""

from collections.abc import Callable

import numpy as np
import pytest

from lsm.calibrate.focus import FocusSearch, focus_pattern, sharpness_focus
from lsm.devices import Frame, Observe, Shown
from lsm.diagnose.scan import FocusConfig, ScanPlan
from lsm.diagnose.scan.focus import Focuser, outwards, predicted_um, spread_places
from lsm.errors import CalibrationFailed
from lsm.illum import LedBoard
from lsm.scope.scan_path import Position

NA = 0.1
BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
COLUMNS, ROWS, FIELD_UM = 20, 10, 230.0
PLAN = ScanPlan(
    tuple((column * FIELD_UM, row * FIELD_UM) for row in range(ROWS) for column in range(COLUMNS)),
    (FIELD_UM, FIELD_UM),
    COLUMNS,
    0.0,
)
FAR_CORNER = PLAN.centres_um[-1]
TILT = (15.0, 8.0)
"""Micrometres per millimetre: 82 from corner to corner, more than a search reaches to one side."""
RANGE_UM = (-200.0, 200.0)
ERROR_UM = 5.0
"""Of a search, whose parabola does not lie symmetrically about the focus: docs/benchmarks/focus.json."""


def focus_um(xy_um: Position) -> float:
    return 10.0 + sum(slope * place / 1000 for slope, place in zip(TILT, xy_um, strict=True))


class Film:
    """Stripes whose contrast falls with the distance from focus as that of cells in dark field does at NA 0.10: the
    variance to a half in 60 um.
    """

    def __init__(self, empty: Callable[[Position], bool] = lambda xy_um: False) -> None:
        self.board, self._empty, self._at = BOARD, empty, (0.0, 0.0)

    def observe(self, request: Observe) -> Frame:
        self._at = request.xy_um or self._at
        z_um = 0.0 if request.z_um is None else request.z_um
        contrast = 0.0 if self._empty(self._at) else 0.8 / np.hypot(1, (z_um - focus_um(self._at)) / 60)
        row = 1000 * (1 + contrast * np.sin(np.arange(64) / 3))
        image = np.tile(row, (64, 1)).astype(np.uint16)
        return Frame(image, request, Shown(request.pattern.levels), self._at, z_um, 0, 1)

    def close(self) -> None: ...


def focuser(film: Film, **changes: float) -> Focuser:
    config = FocusConfig(way="plane", **changes)
    return Focuser(film, config, na=NA, z_range_um=RANGE_UM, start_um=focus_um(PLAN.centres_um[0]))


def test_from_one_corner_a_search_does_not_reach_the_focus_of_the_other():
    """Why searches around the focus of the place before are not enough on a tilted film."""
    around_um = focus_um(PLAN.centres_um[0])
    search = FocusSearch.of_objective((around_um - 60.0, around_um + 60.0), na=NA)
    with pytest.raises(CalibrationFailed):
        sharpness_focus(Film(), focus_pattern(BOARD, na=NA), search, exposure_ms=30.0, xy_um=FAR_CORNER)


def test_the_plane_of_a_tilted_film_is_found():
    found = focuser(Film())
    found.prepare(PLAN)
    assert found.plane is not None
    assert found.plane.residual_um < ERROR_UM
    for place in (PLAN.centres_um[0], PLAN.centres_um[COLUMNS - 1], FAR_CORNER):
        assert found.z_um(place) == pytest.approx(focus_um(place), abs=ERROR_UM)
    assert found.searches <= FocusConfig().places + 1


def test_a_place_without_cells_leaves_the_plane_to_the_others():
    found = focuser(Film(empty=lambda xy_um: xy_um == FAR_CORNER))
    found.prepare(PLAN)
    assert found.z_um(FAR_CORNER) == pytest.approx(focus_um(FAR_CORNER), abs=ERROR_UM)


def test_a_focus_beyond_a_search_is_found_within_twice_its_range_and_not_further():
    start_um = focus_um(outwards(spread_places(PLAN, 5))[0]) - 170.0
    found = Focuser(Film(), FocusConfig(way="plane"), na=NA, z_range_um=RANGE_UM, start_um=start_um)
    with pytest.raises(CalibrationFailed, match="places"):
        found.prepare(PLAN)
    near = Focuser(Film(), FocusConfig(way="plane"), na=NA, z_range_um=RANGE_UM, start_um=start_um + 75.0)
    near.prepare(PLAN)
    assert near.z_um(FAR_CORNER) == pytest.approx(focus_um(FAR_CORNER), abs=ERROR_UM)


def test_a_bare_slide_has_no_plane():
    with pytest.raises(CalibrationFailed, match="found in 0 places"):
        focuser(Film(empty=lambda xy_um: True)).prepare(PLAN)


def test_predictions_follow_what_is_known_and_no_more():
    place = (1000.0, 500.0)
    assert predicted_um(place, [(0.0, 0.0, 7.0)]) == pytest.approx(7.0)
    line = [(0.0, 0.0, 0.0), (500.0, 0.0, 5.0)]
    assert predicted_um(place, line) == pytest.approx(10.0)
    corners = [(x, y, focus_um((x, y))) for x, y in ((0.0, 0.0), (900.0, 0.0), (0.0, 900.0))]
    assert predicted_um(place, corners) == pytest.approx(focus_um(place))


def test_places_are_measured_from_the_middle_outwards():
    places = spread_places(PLAN, 9)
    order = outwards(places)
    assert sorted(order) == sorted(places)
    middle = np.mean(places, axis=0)
    off_um = [float(np.hypot(*(np.array(place) - middle))) for place in order]
    assert off_um[0] == min(off_um)
    # each lies nearer to one before than a step across the whole film would be
    for number, place in enumerate(order[1:], start=1):
        nearest = min(float(np.hypot(*(np.array(place) - np.array(before)))) for before in order[:number])
        assert nearest < 0.7 * np.hypot(COLUMNS * FIELD_UM, ROWS * FIELD_UM)
