"""LEDs of a computed microscope whose board is not as described."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from lsm.calibrate.leds import LedSearch, measure_leds
from lsm.calibrate.light import measure_light
from lsm.calibrate.survey import BoardTurn, LedSurvey, board_turn, survey_leds
from lsm.calibration import CameraFacts, LightFacts, Measured
from lsm.errors import CalibrationFailed
from lsm.optics import ImagingSystem
from lsm.optics.stage import Position
from lsm.samples import ProceduralSmear, Smear, SmearConfig
from lsm.samples.diffuser import Diffuser
from lsm.twin import FieldRenderer, GridBoardConfig, Twin, TwinConfig
from lsm.types import DutyLevels, Image
from lsm_sim.hidden import Hidden, HiddenRenderer

NA, SIDE_UM = 0.1, 400.0
GRID = GridBoardConfig(rows=7, columns=7)
NOMINAL = GRID.board()
SYSTEM = ImagingSystem(sample_px=448, margin_px=8)
CONFIG = TwinConfig(system=SYSTEM, led_board=GRID, cached_positions=1)
EXACT = Measured(value=0.0, sigma=0.0)
CAMERA = CameraFacts(
    offset_adu=Measured(value=20.0, sigma=0.01),
    gain_e_per_adu=Measured(value=2.5, sigma=0.0),
    read_noise_e=Measured(value=3.0, sigma=0.0),
    light_delay_ms=EXACT,
)


class _Along(FieldRenderer):
    """Takes images as the rig really does, and says that its board is as described."""

    def __init__(self, sample: Smear, hidden: Hidden) -> None:
        super().__init__(sample, NOMINAL, CONFIG)
        real = FieldRenderer(sample, hidden.board(NOMINAL), CONFIG)
        self._real = HiddenRenderer(real, hidden, (SIDE_UM / 2, SIDE_UM / 2))

    def image_along(
        self,
        levels: DutyLevels,
        path: Sequence[tuple[float, Position]],
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        (_, (x_um, y_um, z_um)), *_ = path
        return self._real.image(levels, (x_um, y_um), z_um, exposure_ms, generator)


def rig(hidden: Hidden, sample: Smear | None = None) -> Twin:
    smear = sample or ProceduralSmear(SmearConfig(width_um=SIDE_UM, height_um=SIDE_UM), 3)
    return Twin(smear, CONFIG, 3, renderer=_Along(smear, hidden))


def survey_of(hidden: Hidden) -> tuple[Twin, LedSurvey]:
    twin = rig(hidden)
    return twin, survey_leds(twin, CAMERA, bright_ms=30.0, dark_ms=400.0, full_e=2500.0)


def turn_of(twin: Twin, found: LedSurvey) -> BoardTurn:
    return board_turn(twin, found, exposure_ms=30.0, pixel_um=1.2, focus_um=0.0, away_um=100.0)


@pytest.mark.parametrize("degrees", [0.0, 4.0, 90.0, -90.0])
def test_a_rotated_board_is_seen_before_any_fit(degrees: float):
    turn = turn_of(*survey_of(Hidden(rotation_deg=degrees, shift_mm=(0.4, -0.3))))
    # shifts of five pixels, read to a few hundredths, of some nine LEDs
    assert math.degrees(turn.rotation_rad) == pytest.approx(degrees, abs=2.0)
    assert not turn.mirrored


def test_a_mirrored_camera_makes_the_board_look_mirrored():
    twin, found = survey_of(Hidden(mirror="columns"))
    assert turn_of(twin, found).mirrored


def test_dead_leds_are_named():
    _, found = survey_of(Hidden(dead_leds=(0, 9, 24, 30, 45)))
    assert found.dead == (0, 9, 24, 30, 45)


def test_a_blocked_light_path_is_no_board_of_dead_leds():
    with pytest.raises(CalibrationFailed, match="light path is blocked"):
        survey_of(Hidden(blocked=True))
    diffuser = Diffuser((SIDE_UM, SIDE_UM))
    with pytest.raises(CalibrationFailed, match="light path is blocked"):
        measure_light(rig(Hidden(blocked=True), diffuser), CAMERA, limits_ms=(0.1, 500.0), pixel_um=1.2)


def test_a_diffuser_tells_the_light_of_each_led():
    hidden = Hidden.drawn(np.random.default_rng(4)).model_copy(update={"dead_leds": (11,)})
    found = measure_light(rig(hidden, Diffuser((SIDE_UM, SIDE_UM))), CAMERA, limits_ms=(0.1, 500.0), pixel_um=1.2)
    assert found.facts.dead == (11,)
    alive = np.arange(NOMINAL.n_leds) != 11
    share = np.array(found.facts.irradiance)[alive] / hidden.board(NOMINAL).relative_irradiance[alive]
    error = share / np.median(share) - 1
    sigma = np.array(found.facts.sigma)[alive]
    # speckle of 115 um: 1,900 grains, 2.3 % at each of nine places
    assert float(np.sqrt((error**2).mean())) < 0.02
    # 48 values of one standard deviation scatter by a tenth
    assert 0.6 < float(np.sqrt(((error / sigma) ** 2).mean())) < 1.5


def test_cells_are_no_diffuser():
    with pytest.raises(CalibrationFailed, match="diffuser"):
        measure_light(rig(Hidden()), CAMERA, limits_ms=(0.1, 500.0), pixel_um=1.2)


def test_places_of_the_leds_come_from_bright_and_dark_field():
    hidden = Hidden.drawn(np.random.default_rng(5)).model_copy(
        update={"pixel_factor": 1.0, "focus_um": 0.0, "stage_angle_deg": 0.0}
    )
    twin, found = survey_of(hidden)
    true = hidden.board(NOMINAL)
    share = true.relative_irradiance / np.median(true.relative_irradiance)
    light = LightFacts(irradiance=tuple(share.tolist()), sigma=(0.0,) * NOMINAL.n_leds)
    search = LedSearch(window_px=48, margin_px=16, epochs=20)
    leds = measure_leds(found, turn_of(twin, found), NOMINAL, SYSTEM, search, light=light).facts
    away = np.array(leds.positions_mm) - true.positions_mm
    # promised: 0.2 mm; the board of 49 LEDs is nearer to the axis and tells its distance less well
    assert float(np.sqrt((away[:, :2] ** 2).sum(axis=1).mean())) < 0.2
    assert abs(float(away[:, 2].mean())) < 0.6
    gain = np.array(leds.brightness) / hidden.brightness(NOMINAL.n_leds)
    # light is given exactly; what is left is where the LEDs are
    assert float(np.std(gain / np.median(gain))) < 0.02


def test_windows_that_do_not_fit_are_refused():
    twin, found = survey_of(Hidden())
    with pytest.raises(CalibrationFailed, match="do not fit"):
        measure_leds(found, turn_of(twin, found), NOMINAL, SYSTEM, LedSearch(window_px=500))
