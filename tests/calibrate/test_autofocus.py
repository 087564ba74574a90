"""Autofocus on a computed microscope, whose sample is in focus at 0 whatever its stage says."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from calibrate.twins import BAD_STAGE, NA, PIXEL_UM, Remounted, smear_twin
from lsm.calibrate import (
    MEASURES,
    FocusSearch,
    TwoLedFocus,
    depth_of_field_um,
    focus_pattern,
    opposite_leds,
    sharpness_focus,
    two_led_focus,
)
from lsm.devices import Frame, Observe, Shown
from lsm.errors import CalibrationFailed, ConfigError, LimitExceeded
from lsm.illum import LedBoard, bright_field
from lsm.safety import Interlock, Limits
from lsm.twin import Twin

DEPTH_UM = depth_of_field_um(NA)
SEARCH = FocusSearch.of_objective((-130.0, 150.0), na=NA, backlash_um=6.0)
TWO = TwoLedFocus.of_objective((-200.0, 200.0), na=NA, pixel_um=PIXEL_UM, backlash_um=6.0)
# the phase of cells shifts the sharpest image, and the shift of images, a little: docs/benchmarks/focus.json
SYSTEMATIC_UM = 0.1 * DEPTH_UM


def by_sharpness(twin: object, search: FocusSearch = SEARCH, exposure_ms: float = 30.0):
    pattern = focus_pattern(twin.board, na=NA)  # type: ignore[attr-defined]
    return sharpness_focus(twin, pattern, search, exposure_ms=exposure_ms)  # type: ignore[arg-type]


def by_two_leds(twin: object, expected_um: float, how: TwoLedFocus = TWO):
    return two_led_focus(twin, how, na=NA, exposure_ms=40.0, expected_um=expected_um)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_sharpest_image_is_in_focus(seed: int):
    found = by_sharpness(smear_twin(seed, stage=BAD_STAGE))
    assert abs(found.z_um) < SYSTEMATIC_UM
    assert 0 < found.sigma_um < 2.0
    assert found.frames > len(found.seen)
    assert {z_um for z_um, _ in found.seen} >= {-130.0, 150.0}


@pytest.mark.parametrize("expected_um", [0.0, -35.0, 40.0])
def test_two_leds_find_focus_with_two_lit_frames(expected_um: float):
    found = by_two_leds(smear_twin(stage=BAD_STAGE), expected_um)
    assert abs(found.z_um) < SYSTEMATIC_UM
    assert len(found.seen) == 1
    assert found.dose_led_ms == pytest.approx(80.0)


def test_two_leds_look_again_where_the_expectation_was_wrong():
    # 150 um off: the first look is by chance in focus, where its two images tell little
    found = by_two_leds(smear_twin(), -150.0)
    assert abs(found.z_um) < SYSTEMATIC_UM
    assert len(found.seen) > 1


def test_two_leds_take_far_less_light_than_sharpness():
    dose = by_sharpness(smear_twin()).dose_led_ms
    assert by_two_leds(smear_twin(), 20.0).dose_led_ms < dose / 50


@pytest.mark.parametrize(
    ("change", "um_per_px"),
    [
        (np.fliplr, ((-PIXEL_UM, 0.0), (0.0, PIXEL_UM))),
        (lambda image: np.rot90(image), ((0.0, -PIXEL_UM), (PIXEL_UM, 0.0))),
    ],
    ids=["mirrored", "quarter turn"],
)
def test_two_leds_need_the_cameras_orientation(
    change: Callable[[np.ndarray], np.ndarray], um_per_px: tuple[tuple[float, float], tuple[float, float]]
):
    turned = Remounted(smear_twin(), change)
    right = TWO.model_copy(update={"um_per_px": um_per_px})
    assert abs(by_two_leds(turned, 20.0, right).z_um) < SYSTEMATIC_UM


def test_the_wrong_sign_of_the_focus_is_noticed():
    with pytest.raises(CalibrationFailed):
        by_two_leds(smear_twin(), 20.0, TWO.model_copy(update={"sign": -1}))


def test_focus_is_left_where_it_was_found():
    class Seen:
        """Notes where the focus was sent last."""

        def __init__(self, twin: Twin) -> None:
            self.board, self._twin, self.z_um = twin.board, twin, math.nan

        def observe(self, request: Observe) -> Frame:
            frame = self._twin.observe(request)
            self.z_um = frame.z_um
            return frame

        def close(self) -> None: ...

    for way in (by_sharpness, lambda seen: by_two_leds(seen, 10.0)):
        seen = Seen(smear_twin())
        assert way(seen).z_um == seen.z_um


def test_a_limit_stops_autofocus_too():
    twin = smear_twin()
    limits = Limits(x_um=(0.0, 400.0), y_um=(0.0, 400.0), z_um=(-200.0, 200.0), z_floor_um=-50.0)
    with pytest.raises(LimitExceeded, match="z_floor_um"):
        by_sharpness(Interlock(twin, limits))


def test_bare_glass_has_no_focus():
    bare = smear_twin(cells=False)
    with pytest.raises(CalibrationFailed, match="sharper"):
        by_sharpness(bare)
    with pytest.raises(CalibrationFailed, match="agree only"):
        by_two_leds(bare, 10.0)


class Drawn:
    """A microscope whose image is drawn from its focus alone: stripes of this mean and contrast."""

    def __init__(self, stripes: Callable[[float], tuple[float, float]]) -> None:
        self.board = LedBoard.grid(rows=7, columns=7, pitch_mm=3.0, distance_mm=50.0)
        self._stripes = stripes

    def observe(self, request: Observe) -> Frame:
        z_um = request.z_um or 0.0
        mean_adu, contrast = self._stripes(z_um)
        row = mean_adu * (1 + contrast * np.sin(np.arange(64) / 3))
        image = np.tile(row, (64, 1)).astype(np.uint16)
        return Frame(image, request, Shown(request.pattern.levels), (0.0, 0.0), z_um, 0, 1)

    def close(self) -> None: ...


def test_light_that_changes_with_the_focus_is_no_focus():
    # so does Micro-Manager's demonstration camera; cut to whole numbers, dim images have another contrast
    lamp = Drawn(lambda z_um: (1000 / (1 + (z_um / 30) ** 2), 0.78))
    with pytest.raises(CalibrationFailed, match="only"):
        by_sharpness(lamp)


def test_two_places_equally_sharp_are_no_focus():
    def one(z_um: float, middle_um: float) -> float:
        return math.exp(-(((z_um - middle_um) / 40) ** 2))

    assert by_sharpness(Drawn(lambda z_um: (1000.0, 0.8 * one(z_um, -60)))).z_um == pytest.approx(-60, abs=2.0)
    with pytest.raises(CalibrationFailed, match="as sharp at"):
        by_sharpness(Drawn(lambda z_um: (1000.0, 0.8 * (one(z_um, -60) + one(z_um, 85)))))


def test_a_focus_outside_the_range_is_not_made_up():
    with pytest.raises(CalibrationFailed):
        by_sharpness(smear_twin(), FocusSearch.of_objective((40.0, 150.0), na=NA))
    narrow = TWO.model_copy(update={"z_um": (30.0, 200.0)})
    with pytest.raises(CalibrationFailed):
        by_two_leds(smear_twin(), 60.0, narrow)


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_measures_ignore_brightness_and_fall_with_blur(name: str):
    from scipy import ndimage

    rng = np.random.default_rng(2)
    sharp = 100 + ndimage.gaussian_filter(rng.standard_normal((64, 64)), 1.0) * 30
    measure = MEASURES[name]
    assert measure(sharp) > 1.5 * measure(ndimage.gaussian_filter(sharp, 1.0)) > 0
    # scaling in float64
    assert measure(3 * sharp) == pytest.approx(measure(sharp), rel=1e-12)
    assert measure(np.zeros((8, 8))) == 0.0


def test_boards_without_suitable_leds():
    alone = LedBoard.grid(rows=1, columns=1, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(ConfigError, match="opposite"):
        opposite_leds(alone, na=NA)
    assert focus_pattern(alone, na=NA) == bright_field(alone, na=NA)
    board = LedBoard.grid(rows=7, columns=7, pitch_mm=3.0, distance_mm=50.0)
    first, second = opposite_leds(board, na=NA)
    assert board.positions_mm[first, :2] == pytest.approx(-board.positions_mm[second, :2])
    assert (board.na[[first, second]] < NA).all()
    with pytest.raises(ConfigError, match="no measure"):
        by_sharpness(smear_twin(), SEARCH.model_copy(update={"measure": "guess"}))
