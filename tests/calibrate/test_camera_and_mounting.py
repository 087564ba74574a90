"""Camera and mounting of computed microscopes whose true values are known."""

from collections.abc import Callable

import numpy as np
import pytest

from calibrate.twins import CONFIG, NA, PIXEL_UM, SIDE_UM, Remounted, smear_twin
from lsm.calibrate import StageAffine, StageMoves, measure_stage
from lsm.calibrate.camera import camera_facts, measure_dark, measure_transfer
from lsm.calibrate.mounting import BacklashFound, Upright, measure_backlash, orientation_of, stage_facts, upright_matrix
from lsm.calibration import CameraFacts, Measured
from lsm.devices import Observe
from lsm.errors import CalibrationFailed
from lsm.illum import bright_field, dark
from lsm.optics import Camera
from lsm.optics.stage import AxisErrors, StageErrors
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import Twin

LIMITS_MS = (0.05, 500.0)
MOVES = StageMoves(pixel_um=PIXEL_UM, backlash_um=8.0)


def of_camera(camera: Camera, seed: int) -> CameraFacts:
    smear = ProceduralSmear(SmearConfig(width_um=SIDE_UM, height_um=SIDE_UM), 0)
    twin = Twin(smear, CONFIG.model_copy(update={"camera": camera}), seed)
    found = measure_dark(twin, exposure_ms=LIMITS_MS[0])
    transfer = measure_transfer(twin, bright_field(twin.board, na=NA), found, limits_ms=LIMITS_MS)
    return camera_facts(found, transfer)


def within(found: Measured, truth: float, sigmas: float = 4.0) -> bool:
    return abs(found.value - truth) <= sigmas * found.sigma


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(gain_e_per_adu=0.8, read_noise_e=2.0, offset_adu=100.0, bits=16, full_well_e=8000.0),
        Camera(gain_e_per_adu=4.0, read_noise_e=9.0, offset_adu=60.0, prnu=0.02, dsnu_e=2.0),
    ],
    ids=["default", "fine digits", "noisy"],
)
def test_the_photon_transfer_tells_what_the_camera_is(camera: Camera):
    found = of_camera(camera, 1)
    # promised: 3 % and 10 %; four standard uncertainties are passed by one in 16,000
    assert found.gain_e_per_adu.value == pytest.approx(camera.gain_e_per_adu, rel=0.03)
    assert within(found.gain_e_per_adu, camera.gain_e_per_adu)
    assert found.read_noise_e.value == pytest.approx(camera.read_noise_e, rel=0.10)
    assert within(found.read_noise_e, camera.read_noise_e)
    assert within(found.offset_adu, camera.offset_adu)
    assert within(found.light_delay_ms, 0.0)
    assert found.hot_pixels == ()


def test_hot_pixels_are_listed_and_left_out():
    def with_hot(image: np.ndarray) -> np.ndarray:
        changed = image.copy()
        changed[7, 9] += 300
        return changed

    found = measure_dark(Remounted(smear_twin(), with_hot), exposure_ms=1.0)
    assert np.argwhere(found.hot).tolist() == [[7, 9]]
    assert found.offset_adu.value == pytest.approx(20.0, abs=0.02)  # the dark signal's spread, 0.2 ADU / 191


def test_a_blocked_light_path_is_named():
    twin = smear_twin()
    found = measure_dark(twin, exposure_ms=1.0)
    with pytest.raises(CalibrationFailed, match="light path is blocked"):
        measure_transfer(twin, dark(twin.board), found, limits_ms=(1.0, 20.0))


def test_a_black_level_at_zero_is_refused():
    twin = Remounted(smear_twin(), lambda image: np.maximum(image.astype(int) - 20, 0).astype(np.uint16))
    with pytest.raises(CalibrationFailed, match="dark level"):
        measure_dark(twin, exposure_ms=1.0)


def test_an_image_that_is_curved_has_no_gain():
    def gamma(image: np.ndarray) -> np.ndarray:
        return np.round(4095 * (image / 4095) ** 0.6).astype(np.uint16)

    twin = Remounted(smear_twin(), gamma)
    found = measure_dark(twin, exposure_ms=1.0)
    with pytest.raises(CalibrationFailed, match="off a line"):
        measure_transfer(twin, bright_field(twin.board, na=NA), found, limits_ms=LIMITS_MS)


@pytest.mark.parametrize("backlash_um", [0.0, 3.0])
def test_backlash_is_met_within_what_is_told(backlash_um: float):
    twin = smear_twin(stage=StageErrors(xy=AxisErrors(backlash_um=backlash_um, repeatability_um=0.2)))
    found = measure_backlash(
        twin, bright_field(twin.board, na=NA), MOVES, np.diag([PIXEL_UM] * 2), exposure_ms=10.0, repeats=4
    )
    for axis in found.um:
        assert axis.value == pytest.approx(backlash_um, abs=0.5)  # as promised
        # 0.02 px of correlation, and Student's t of three degrees: 0.999
        assert abs(axis.value - backlash_um) < 0.03 + 10 * axis.sigma


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upright": lambda image: image,
    "mirrored": np.fliplr,
    "upside down": np.flipud,
    "half turn": lambda image: image[::-1, ::-1],
    "quarter turn": np.rot90,
    "transposed": np.transpose,
}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_camera_mounted_any_way_is_turned_upright(way: str):
    turned = Remounted(smear_twin(), WAYS[way])
    pattern = bright_field(turned.board, na=NA)
    affine = measure_stage(turned, pattern, MOVES, exposure_ms=10.0)
    orientation = orientation_of(affine.um_per_px)
    assert orientation.upright == (way == "upright")
    # correlation is read to a fiftieth of a pixel over moves of 38 pixels
    assert upright_matrix(affine.um_per_px, orientation) == pytest.approx(np.diag([PIXEL_UM] * 2), abs=0.003)
    request = Observe(pattern, 10.0)
    seen = Upright(Remounted(smear_twin(), WAYS[way]), orientation).observe(request)
    assert np.array_equal(seen.image, smear_twin().observe(request).image)


def test_a_camera_between_two_axes_is_refused():
    half = PIXEL_UM * np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    with pytest.raises(CalibrationFailed, match="half way"):
        orientation_of(half)


def test_angle_and_pixel_belong_to_the_upright_image():
    turn = np.radians(1.5)
    upright = PIXEL_UM * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = _affine(upright * np.array([-1.0, 1.0]))
    facts = stage_facts(affine, _no_backlash())
    assert facts.angle_deg.value == pytest.approx(1.5)
    assert facts.pixel_um.value == pytest.approx(PIXEL_UM)
    assert facts.orientation.flip_columns
    assert np.array(facts.um_per_px) == pytest.approx(upright)


def _affine(matrix: np.ndarray) -> StageAffine:
    return StageAffine(matrix, np.full((2, 2), 1e-3), 0.1, 0.1, 9, 20, 1.0)


def _no_backlash() -> BacklashFound:
    none = Measured(value=0.0, sigma=0.1)
    return BacklashFound((none, none), np.zeros((2, 1)))
