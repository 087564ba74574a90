"""Autofocus by image sharpness, on any microscope."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from lsm.calibrate._frames import Taker, as_plane
from lsm.calibrate.sharpness import MEASURES
from lsm.config import Config
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed, ConfigError
from lsm.illum import LedBoard, Pattern, bright_field, dark_field
from lsm.safety import Interval

Positive = Annotated[float, Field(gt=0)]
Samples = Float[np.ndarray, " place"]

# of the largest sharpness above the smallest: the part of the curve that a parabola describes
CAP = 0.5
# standard deviations by which the fitted curve must differ from a flat one
CERTAIN = 4.0
FEWEST = 4
# of the smallest measure, by which the largest must be above it: by less it changes with brightness alone, through the
# camera's black level and rounding, and with noise
RISE = 0.1
# of that rise, which must be left above all places further than so many coarse steps away
APART, FAR_STEPS = 0.25, 2.0
# a bright LED among the dark-field ones outshines them: 32 um off on a rig with its board 1 mm aside
CLEAR = 1.25
FLAT_HINT = "look at a place with cells, expose longer, search a wider range, or use a pattern with more contrast"


@dataclass(frozen=True)
class FocusFound:
    """Where the sample is in focus and what it cost to find out.

    sigma_um: standard uncertainty from the scatter of what was seen.
    frames: all that were taken, dark ones included. dose_led_ms: as Frame.light_dose.
    seen: positions of the focus and what was measured there, in the order of time.
    """

    z_um: float
    sigma_um: float
    frames: int
    dose_led_ms: float
    method: str
    seen: tuple[tuple[float, float], ...]


class FocusSearch(Config):
    """How to search: `z_um` in steps of `coarse_um`, then a step to each side of the best in steps of `fine_um`.

    measure: one of lsm.calibrate.MEASURES.
    backlash_um: every position is approached from at least so much below, so that z_um[0] - backlash_um is visited.
    """

    z_um: Interval
    coarse_um: Positive
    fine_um: Positive
    measure: str = "normalised variance"
    backlash_um: Annotated[float, Field(ge=0)] = 0.0

    @classmethod
    def of_objective(
        cls, z_um: Interval, *, na: float, wavelength_um: float = 0.53, backlash_um: float = 0.0
    ) -> "FocusSearch":
        """Steps that suit an objective: 3/4 and 1/5 of its depth of field."""
        depth_um = depth_of_field_um(na, wavelength_um)
        return cls(z_um=z_um, coarse_um=0.75 * depth_um, fine_um=0.2 * depth_um, backlash_um=backlash_um)


def depth_of_field_um(na: float, wavelength_um: float = 0.53) -> float:
    """Wavelength over NA squared, in air."""
    return wavelength_um / na**2


def focus_pattern(board: LedBoard, *, na: float, clear: float = 1.0) -> Pattern:
    """The LEDs outside the objective's aperture, up to twice it; its bright field where there are none.

    clear: from how many times the aperture on. Where a board may stand aside of its description, as before its
    calibration, the ring next to the aperture may be bright: CLEAR leaves it out.

    In bright field, stained cells are sharpest some 10 um out of focus, where their phase shows too; in dark field
    in focus. docs/benchmarks/focus.json compares them.
    """
    if ((board.na > clear * na) & (board.na <= 2 * na)).any():
        return dark_field(board, na=clear * na, na_max=2 * na)
    return bright_field(board, na=na)


def sharpness_focus(
    microscope: Microscope,
    pattern: Pattern,
    search: FocusSearch,
    *,
    exposure_ms: float,
    xy_um: tuple[float, float] | None = None,
) -> FocusFound:
    """The focus at which images under `pattern` are sharpest; the focus is left there.

    xy_um: where to look; None is here. Raises CalibrationFailed where no position is clearly sharper than others, two
    are equally sharp far apart, or the sharpest is at an end of the range, ConfigError for a measure that does not
    exist, and what the microscope raises.
    """
    if search.measure not in MEASURES:
        raise ConfigError(f"There is no measure '{search.measure}'.", hint=f"one of: {', '.join(sorted(MEASURES))}")
    taker = Taker(microscope, exposure_ms, z_backlash_um=search.backlash_um)
    seen: list[tuple[float, float]] = []
    low_um, high_um = search.z_um

    def scan(from_um: float, to_um: float, step_um: float) -> tuple[Samples, Samples]:
        places = np.linspace(from_um, to_um, max(2, math.ceil((to_um - from_um) / step_um) + 1))
        taker.approach(xy_um=xy_um, z_um=float(places[0]))
        values = []
        for z_um in places:
            frame = taker.take(Observe(pattern, exposure_ms, xy_um, float(z_um)))
            values.append(MEASURES[search.measure](as_plane(frame.image)))
            seen.append((float(z_um), values[-1]))
        return places, np.array(values)

    places, values = scan(low_um, high_um, search.coarse_um)
    best_um = float(places[int(values.argmax())])
    step_um = float(places[1] - places[0])
    fine, sharp = scan(max(low_um, best_um - step_um), min(high_um, best_um + step_um), search.fine_um)
    z_um, sigma_um = vertex(fine, sharp)
    if not low_um < z_um < high_um:
        raise CalibrationFailed(
            f"Images are sharpest at {z_um:.1f} um, not inside the range [{low_um:g}, {high_um:g}] um.",
            hint="widen the range, or bring the sample nearer to focus by hand",
        )
    _refuse_weak_peak(np.array(seen), z_um, FAR_STEPS * step_um)
    taker.approach(z_um=z_um)
    return FocusFound(z_um, sigma_um, taker.frames, taker.dose_led_ms, f"sharpness ({search.measure})", tuple(seen))


def vertex(places: Samples, values: Samples) -> tuple[float, float]:
    """Place of the maximum and its standard uncertainty: a parabola through the upper part of the curve."""
    floor, top = values.min(), values.max()
    upper = values >= floor + CAP * (top - floor)
    if upper.sum() < FEWEST:
        upper = values >= np.sort(values)[-FEWEST:].min()
    if len(values) < FEWEST or not top > floor >= 0:
        raise _flat(places)
    middle, width = float(places.mean()), float(np.ptp(places)) / 2
    t, y = (places[upper] - middle) / width, values[upper] / top
    design = np.stack([np.ones_like(t), t, t**2], axis=1)
    (_, slope, bend), *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    noise = float((left**2).sum()) / max(1, len(t) - 3)
    covariance = noise * np.linalg.inv(design.T @ design)
    if not bend < -CERTAIN * math.sqrt(covariance[2, 2]):
        raise _flat(places)
    by_slope, by_bend = -1 / (2 * bend), slope / (2 * bend**2)
    variance = (
        by_slope**2 * covariance[1, 1] + by_bend**2 * covariance[2, 2] + 2 * by_slope * by_bend * covariance[1, 2]
    )
    return middle + width * float(-slope / (2 * bend)), width * math.sqrt(max(0.0, float(variance)))


def _refuse_weak_peak(seen: Float[np.ndarray, "look 2"], z_um: float, far_um: float) -> None:
    """Raise CalibrationFailed for a curve of sharpness that hardly rises, or as high again `far_um` away."""
    places, values = seen.T
    floor, top = values.min(), values.max()
    if not top >= (1 + RISE) * floor:
        raise CalibrationFailed(
            f"Images at {z_um:.1f} um are only {100 * (top / floor - 1):.2g} % sharper than those that are least so; "
            f"a focus is believed from {100 * RISE:g} % on.",
            hint=FLAT_HINT,
        )
    far = np.abs(places - z_um) > far_um
    if far.any() and not top - values[far].max() >= APART * (top - floor):
        again_um = float(places[far][values[far].argmax()])
        raise CalibrationFailed(
            f"Images are about as sharp at {again_um:.1f} um as at {z_um:.1f} um.",
            hint="search a narrower range around the right one, use another measure, or expose longer",
        )


def _flat(places: Samples) -> CalibrationFailed:
    return CalibrationFailed(
        f"No focus from {places[0]:.1f} to {places[-1]:.1f} um is sharper than the others.",
        hint=FLAT_HINT,
    )
