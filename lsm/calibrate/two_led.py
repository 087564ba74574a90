"""Autofocus with two frames: two opposite LEDs shift a defocused image against itself.

Light of an LED at angle t moves the image of a thin sample by z tan(t) when it is z out of focus, so the images under
two opposite LEDs lie 2 z tan(t) apart. In focus they do not only coincide: their phase contrast has opposite signs, and
the correlation has two peaks. So the focus is first moved well away, as in Liao et al., Biomed. Opt. Express 7, 4763
(2016), who light with two LEDs at once.
"""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from lsm.calibrate._frames import Part, Plane, Taker, Vector, as_plane, shift_between
from lsm.calibrate.focus import FocusFound, depth_of_field_um
from lsm.config import Config
from lsm.devices import Microscope, Observe
from lsm.errors import CalibrationFailed, ConfigError
from lsm.illum import LedBoard, single_led
from lsm.safety import Interval

Positive = Annotated[float, Field(gt=0)]

# of the aperture: well inside, where images are bright and little changes with the angle, yet far apart
BEST_SHARE, MOST_SHARE = 0.6, 0.9
ALIKE = 0.3
ROUNDS = 4
# of the depth of field: where the two peaks of the correlation are one again
FAR_DEPTHS = 3.0


class TwoLedFocus(Config):
    """How to look.

    z_um: allowed focus. um_per_px: stage micrometres (x, y) per image pixel (column, row), see StageAffine.
    away_um: how far from the expected focus to look; the error of that expectation should be below a third of it.
    backlash_um: every position is approached from at least so much below.
    sign: 1 where a larger z focuses on a plane farther along the light, -1 where the drive counts the other way.
    """

    z_um: Interval
    um_per_px: tuple[tuple[float, float], tuple[float, float]]
    away_um: Positive
    backlash_um: Annotated[float, Field(ge=0)] = 0.0
    sign: Literal[1, -1] = 1

    @classmethod
    def of_objective(
        cls, z_um: Interval, *, na: float, pixel_um: float, wavelength_um: float = 0.53, backlash_um: float = 0.0
    ) -> "TwoLedFocus":
        """For an upright camera with this pixel at the sample."""
        away_um = FAR_DEPTHS * depth_of_field_um(na, wavelength_um)
        upright = ((pixel_um, 0.0), (0.0, pixel_um))
        return cls(z_um=z_um, um_per_px=upright, away_um=away_um, backlash_um=backlash_um)


def opposite_leds(board: LedBoard, *, na: float) -> tuple[int, int]:
    """Two LEDs on opposite sides of the axis and well inside the aperture. Raises ConfigError where there are none."""
    place = board.directions[:, :2]
    inside = np.flatnonzero((board.na > 0) & (board.na <= MOST_SHARE * na))
    for led in sorted(inside, key=lambda index: abs(board.na[index] - BEST_SHARE * na)):
        partner = int(inside[np.linalg.norm(place[inside] + place[led], axis=1).argmin()])
        # opposite to within a tenth of the angle
        if np.linalg.norm(place[partner] + place[led]) <= 0.1 * board.na[led]:
            return int(led), partner
    raise ConfigError(
        f"Board '{board.name}' has no two opposite LEDs inside {MOST_SHARE:g} of the aperture {na:g}.",
        hint="focus by image sharpness instead",
    )


def two_led_focus(
    microscope: Microscope,
    how: TwoLedFocus,
    *,
    na: float,
    exposure_ms: float,
    expected_um: float,
    xy_um: tuple[float, float] | None = None,
) -> FocusFound:
    """The focus, from two frames away from `expected_um`; the focus is left there.

    Looks again, from the new expectation, where that was wrong by more than a third of `away_um`; four times at most.
    sigma_um comes from the scatter between quarters of the image. Raises CalibrationFailed where the two images are
    not alike or the focus lies outside how.z_um, ConfigError, and what the microscope raises.
    """
    leds = opposite_leds(microscope.board, na=na)
    per_um = _shift_per_um(microscope.board, leds, how)
    taker = Taker(microscope, exposure_ms, z_backlash_um=how.backlash_um)
    seen: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        at_um = _away(expected_um, how)
        taker.approach(xy_um=xy_um, z_um=at_um)
        pair = [
            as_plane(taker.take(Observe(single_led(microscope.board, led), exposure_ms, xy_um, at_um)).image)
            for led in leds
        ]
        defocus_um, sigma_um = _defocus(pair[0], pair[1], per_um)
        seen.append((at_um, defocus_um))
        z_um = at_um - defocus_um
        if not how.z_um[0] < z_um < how.z_um[1]:
            raise CalibrationFailed(
                f"The focus seems to be at {z_um:.1f} um, not inside [{how.z_um[0]:g}, {how.z_um[1]:g}] um.",
                hint="widen the range, or give an expectation nearer to focus",
            )
        if abs(z_um - expected_um) <= how.away_um / 3:
            taker.approach(z_um=z_um)
            return FocusFound(z_um, sigma_um, taker.frames, taker.dose_led_ms, "two LEDs", tuple(seen))
        expected_um = z_um
    raise CalibrationFailed(
        f"The two LEDs tell a different focus each time, last {z_um:.1f} um.",
        hint="check pixel size and orientation of the camera with lsm calibrate stage, and the sign of the focus; "
        "or focus by image sharpness",
    )


def _away(expected_um: float, how: TwoLedFocus) -> float:
    """Above where there is room, else below, and as far as there is."""
    low_um, high_um = how.z_um
    if expected_um + how.away_um <= high_um or high_um - expected_um >= expected_um - low_um:
        return min(high_um, expected_um + how.away_um)
    return max(low_um + how.backlash_um, expected_um - how.away_um)


def _shift_per_um(board: LedBoard, leds: tuple[int, int], how: TwoLedFocus) -> Vector:
    """How far the second LED's image moves against the first's, in pixels, per micrometre of focus."""
    tangents = board.directions[list(leds), :2] / board.directions[list(leds), 2:]
    try:
        per_um: Vector = np.linalg.solve(np.array(how.um_per_px), how.sign * (tangents[1] - tangents[0]))
    except np.linalg.LinAlgError as error:
        raise ConfigError(
            f"um_per_px = {how.um_per_px} has no area.", hint="measure it: lsm calibrate stage"
        ) from error
    return per_um


def _defocus(first: Plane, second: Plane, per_um: Vector) -> tuple[float, float]:
    whole = shift_between(first, second)
    if whole.likeness < ALIKE:
        raise CalibrationFailed(
            f"The images under the two LEDs agree only to {whole.likeness:.2f}, where {ALIKE:g} is needed.",
            hint="look at a place with cells, expose longer, or start nearer to focus",
        )
    squared = float(per_um @ per_um)
    rows, columns = (round(float(value)) for value in whole.px[::-1])
    # quarters of what has been brought together, so that all of each shows the same
    aligned = np.roll(second, (-rows, -columns), axis=(0, 1))
    parts = [
        np.array([columns, rows]) + shift_between(a, b).px
        for a, b in zip(_quarters(first), _quarters(aligned), strict=True)
    ]
    each = np.array([float(part @ per_um) / squared for part in parts])
    return float(whole.px @ per_um) / squared, float(each.std(ddof=1)) / math.sqrt(len(each))


def _quarters(plane: Plane) -> list[Part]:
    height, width = (side // 2 for side in plane.shape)
    return [plane[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
