"""Where to focus in every field of a scan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lsm.calibrate.focus import FocusSearch, depth_of_field_um, focus_pattern, sharpness_focus
from lsm.devices import Microscope, Observe
from lsm.diagnose.scan.config import FocusConfig
from lsm.diagnose.scan.plan import ScanPlan
from lsm.errors import CalibrationFailed
from lsm.illum import dark
from lsm.safety import Interval
from lsm.scope.scan_path import Position

FEWEST_POINTS = 4
"""A plane has three numbers; with four points it can miss them."""

WIDER = 2.0
"""Times the range of a search, where the first found nothing: the film may be tilted more than it reaches."""

Found = tuple[float, float, float]
"""x and y of a place, and its focus."""


@dataclass(frozen=True)
class FocusPlane:
    """Focus over the slide: at_zero_um + slope_x * x + slope_y * y. residual_um: root mean square, of the points."""

    at_zero_um: float
    slope_x: float
    slope_y: float
    residual_um: float

    def z_um(self, xy_um: Position) -> float:
        """Focus at a place."""
        return self.at_zero_um + self.slope_x * xy_um[0] + self.slope_y * xy_um[1]


def fit_plane(points_um: Float[np.ndarray, "point 3"], *, residual_um: float) -> FocusPlane:
    """The plane through measured (x, y, z) by least squares.

    Raises CalibrationFailed for fewer than four points, points on a line, or a plane that misses them by more than
    residual_um (root mean square over the degrees of freedom).
    """
    if len(points_um) < FEWEST_POINTS:
        raise CalibrationFailed(
            f"The focus was found in {len(points_um)} places, a plane needs {FEWEST_POINTS}.",
            hint="measure more places, widen focus.search_um, or scan where there are cells",
        )
    middle = points_um[:, :2].mean(axis=0)
    design = np.column_stack([np.ones(len(points_um)), points_um[:, :2] - middle])
    (level, slope_x, slope_y), _, rank, _ = np.linalg.lstsq(design, points_um[:, 2], rcond=1e-6)
    if rank < 3:
        raise CalibrationFailed("The places of the focus lie on a line.", hint="choose a region with rows and columns")
    left = points_um[:, 2] - design @ [level, slope_x, slope_y]
    missed_um = float(np.sqrt((left**2).sum() / (len(points_um) - 3)))
    if missed_um > residual_um:
        raise CalibrationFailed(
            f"A plane misses the focus by {missed_um:.1f} um, {residual_um:.1f} um are allowed.",
            hint="the slide is not flat or was focused wrongly: use focus.way = 'every', or measure more places",
        )
    at_zero = float(level - slope_x * middle[0] - slope_y * middle[1])
    return FocusPlane(at_zero, float(slope_x), float(slope_y), missed_um)


class Focuser:
    """Tells the focus of each field, measuring where it has to.

    start_um: expected focus; None is where it is. z_range_um: limits of the rig. searches: made so far.
    """

    def __init__(
        self, microscope: Microscope, config: FocusConfig, *, na: float, z_range_um: Interval, start_um: float | None
    ) -> None:
        self.searches = 0
        self.plane: FocusPlane | None = None
        self._microscope, self._config, self._na, self._range_um = microscope, config, na, z_range_um
        self._pattern = focus_pattern(microscope.board, na=na)
        self._z_um = start_um
        # above the plane: what a later search in one field found the slide to have drifted
        self._offset_um = 0.0
        self._since = config.every

    def prepare(self, plan: ScanPlan) -> None:
        """Measure the plane, where that is the way. Raises CalibrationFailed for one that does not fit.

        From the middle outwards, each place around what those before it predict; a place that shows no focus is
        searched over a wider range, and again once all others are known.
        """
        if self._config.way != "plane":
            return
        points: list[Found] = []
        missed = self._measure(outwards(spread_places(plan, self._config.places)), points, wider=True)
        self._measure(missed, points, wider=False)
        allowed_um = self._config.residual_um or depth_of_field_um(self._na) / 4
        self.plane = fit_plane(np.array(points).reshape(-1, 3), residual_um=allowed_um)

    def z_um(self, xy_um: Position) -> float | None:
        """Focus for the field at this place; None leaves it where it is."""
        if self.plane is not None:
            low_um, high_um = self._range_um
            return min(max(self.plane.z_um(xy_um) + self._offset_um, low_um), high_um)
        if self._config.way == "every":
            if self._since >= self._config.every:
                self._since = 0
                found_um = self._search(xy_um, self._expected_um())
                self._z_um = self._z_um if found_um is None else found_um
            self._since += 1
        return self._z_um

    def refocus(self, xy_um: Position, z_um: float) -> float | None:
        """Focus measured here because the image taken at z_um is bad; it holds from here on. None: not found."""
        found_um = self._search(xy_um, z_um)
        if found_um is None:
            self._microscope.observe(Observe(dark(self._microscope.board), self._config.exposure_ms, xy_um, z_um))
            return None
        if self.plane is not None:
            self._offset_um = found_um - self.plane.z_um(xy_um)
        self._z_um = found_um
        return found_um

    def _measure(self, places: Sequence[Position], points: list[Found], *, wider: bool) -> list[Position]:
        """Add to the points what is found at these places; those where nothing is."""
        missed = []
        for place in places:
            low_um, high_um = self._range_um
            around_um = predicted_um(place, points) if points else self._expected_um()
            around_um = min(max(around_um, low_um), high_um)
            found_um = self._search(place, around_um)
            if found_um is None and wider:
                found_um = self._search(place, around_um, times=WIDER)
            if found_um is None:
                missed.append(place)
            else:
                points.append((*place, found_um))
                self._z_um = found_um
        return missed

    def _expected_um(self) -> float:
        if self._z_um is None:
            self._z_um = self._microscope.observe(Observe(dark(self._microscope.board), self._config.exposure_ms)).z_um
        return self._z_um

    def _search(self, xy_um: Position, around_um: float, *, times: float = 1.0) -> float | None:
        self.searches += 1
        low_um, high_um = self._range_um
        backlash_um, half_um = self._config.backlash_um, times * self._config.search_um
        span = (max(low_um + backlash_um, around_um - half_um), min(high_um, around_um + half_um))
        search = FocusSearch.of_objective(span, na=self._na, backlash_um=backlash_um)
        try:
            found = sharpness_focus(
                self._microscope, self._pattern, search, exposure_ms=self._config.exposure_ms, xy_um=xy_um
            )
        except CalibrationFailed:
            return None
        return found.z_um


def predicted_um(xy_um: Position, points: Sequence[Found]) -> float:
    """Focus at a place by the flattest plane through what was found; along a line, or around a point, where that is
    all that the points tell.
    """
    known = np.array(points)
    middle = known.mean(axis=0)
    slope, *_ = np.linalg.lstsq(known[:, :2] - middle[:2], known[:, 2] - middle[2], rcond=1e-3)
    return float(middle[2] + (np.array(xy_um) - middle[:2]) @ slope)


def outwards(places: Sequence[Position]) -> tuple[Position, ...]:
    """The same, from the one nearest to their middle on, each time the nearest to one before."""
    left = np.array(places)
    near = np.hypot(*(left - left.mean(axis=0)).T)
    order: list[int] = []
    while len(order) < len(left):
        order.append(int(np.where(np.isin(np.arange(len(left)), order), math.inf, near).argmin()))
        step = np.hypot(*(left - left[order[-1]]).T)
        near = step if len(order) == 1 else np.minimum(near, step)
    return tuple(places[index] for index in order)


def spread_places(plan: ScanPlan, count: int) -> tuple[Position, ...]:
    """That many fields of the plan, far from each other: from one corner, each time the farthest that is left."""
    centres = np.array(plan.centres_um)
    chosen = [int(centres.sum(axis=1).argmin())]
    nearest = np.full(len(centres), np.inf)
    while len(chosen) < min(count, len(centres)):
        nearest = np.minimum(nearest, np.hypot(*(centres - centres[chosen[-1]]).T))
        chosen.append(int(nearest.argmax()))
    return tuple(plan.centres_um[index] for index in chosen)
