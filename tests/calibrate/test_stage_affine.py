"""The matrix between image and stage, on a computed microscope whose matrix is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from calibrate.twins import BAD_STAGE, PIXEL_UM, Remounted, smear_twin
from lsm.calibrate import StageAffine, StageMoves, measure_stage
from lsm.errors import CalibrationFailed
from lsm.illum import bright_field
from lsm.optics.stage import AxisErrors, StageErrors

MOVES = StageMoves(pixel_um=PIXEL_UM, backlash_um=8.0)
UPRIGHT = np.diag([PIXEL_UM, PIXEL_UM])


def measure(microscope: object, moves: StageMoves = MOVES) -> StageAffine:
    pattern = bright_field(microscope.board, na=0.1)  # type: ignore[attr-defined]
    return measure_stage(microscope, pattern, moves, exposure_ms=10.0)  # type: ignore[arg-type]


def test_a_perfect_stage_gives_the_pixel_of_the_camera():
    found = measure(smear_twin())
    # correlation is read to a fiftieth of a pixel over moves of 38 pixels
    assert np.abs(found.um_per_px - UPRIGHT).max() < 0.002 * PIXEL_UM
    assert found.pixel_um == pytest.approx(PIXEL_UM, rel=0.001)
    assert found.residual_um < 0.05
    assert found.drift_um < 0.05
    assert not found.mirrored
    assert abs(found.rotation_rad) < 0.002
    assert found.dose_led_ms > 0


def test_a_bad_stage_is_met_within_the_uncertainty_that_is_told():
    errors = []
    for seed in range(3):
        found = measure(smear_twin(seed, stage=BAD_STAGE))
        errors.append((found.um_per_px - UPRIGHT) / found.sigma_um_per_px)
        # 0.3 um of a bad repeatability in both axes, of this image and of the first
        assert 0.05 < found.residual_um < 1.0
        assert found.sigma_pixel_um < 0.01
    spread = np.sqrt(np.mean(np.square(errors)))
    # twelve entries, not all independent, of about one standard deviation each
    assert 0.4 < spread < 2.0


def test_backlash_does_not_enter_where_it_is_approached_from_one_side():
    stage = StageErrors(xy=AxisErrors(backlash_um=6.0))
    good, bad = (measure(smear_twin(stage=stage), MOVES.model_copy(update={"backlash_um": b})) for b in (8.0, 0.0))
    assert good.residual_um < 0.05
    assert bad.residual_um > 0.5


SHEAR = np.array([[1.0, 0.1], [0.0, 0.9]])


def sheared(image: np.ndarray) -> np.ndarray:
    """What lies at (column, row) from the middle of the result lay at SHEAR @ (column, row)."""
    matrix = SHEAR[::-1, ::-1]
    middle = (np.array(image.shape) - 1) / 2
    return ndimage.affine_transform(image, matrix, middle - matrix @ middle, order=3, mode="nearest")


@pytest.mark.parametrize(
    ("change", "matrix", "mirrored"),
    [
        (np.fliplr, [[-1, 0], [0, 1]], True),
        (np.flipud, [[1, 0], [0, -1]], True),
        (lambda image: np.rot90(image, 2), [[-1, 0], [0, -1]], False),
        (lambda image: np.rot90(image), [[0, -1], [1, 0]], False),
        (np.transpose, [[0, 1], [1, 0]], True),
        (sheared, SHEAR, False),
    ],
    ids=["left-right", "up-down", "half turn", "quarter turn", "diagonal", "sheared"],
)
def test_any_mounting_of_the_camera_is_found(
    change: Callable[[np.ndarray], np.ndarray], matrix: list[list[float]], mirrored: bool
):
    found = measure(Remounted(smear_twin(), change))
    # interpolation of the sheared image adds to the fiftieth of a pixel
    assert np.abs(found.um_per_px - PIXEL_UM * np.array(matrix)).max() < 0.004 * PIXEL_UM
    assert found.mirrored is mirrored
    assert found.pixel_um == pytest.approx(PIXEL_UM * math.sqrt(abs(np.linalg.det(matrix))), rel=0.004)


def test_rotation_scale_and_shear_come_from_the_matrix():
    turn, size = math.radians(30), np.array([1.1, 0.9])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    affine = StageAffine(rotation @ np.diag(size), np.full((2, 2), 0.01), 0.0, 0.0, 9, 20, 1.0)
    assert affine.rotation_rad == pytest.approx(turn)
    assert affine.pixel_xy_um == pytest.approx((1.1, 0.9))
    assert affine.shear_rad == pytest.approx(0.0, abs=1e-12)
    opened = StageAffine(np.array([[1.0, -math.sin(0.1)], [0.0, math.cos(0.1)]]), np.ones((2, 2)), 0, 0, 9, 20, 1.0)
    assert opened.shear_rad == pytest.approx(0.1)


def test_the_uncertainty_of_the_pixel_follows_that_of_the_entries():
    rng = np.random.default_rng(0)
    matrix, sigma = np.array([[1.0, 0.2], [-0.1, 1.3]]), np.array([[0.01, 0.02], [0.03, 0.005]])
    affine = StageAffine(matrix, sigma, 0.0, 0.0, 9, 20, 1.0)
    drawn = matrix + sigma * rng.standard_normal((20_000, 2, 2))
    # 20,000 draws tell a standard deviation to 0.5 %; curvature adds less
    assert np.sqrt(np.abs(np.linalg.det(drawn))).std() == pytest.approx(affine.sigma_pixel_um, rel=0.03)


def test_bare_glass_is_refused():
    with pytest.raises(CalibrationFailed, match="agrees with the first only"):
        measure(smear_twin(cells=False))


def test_dust_on_the_camera_is_not_the_sample():
    dust = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((96, 96)), 2.0)
    still = (3000 + 4000 * dust).clip(0, 65535).astype(np.uint16)
    with pytest.raises(CalibrationFailed, match="dust"):
        measure(Remounted(smear_twin(), lambda image: still))


def test_a_wrong_objective_is_noticed():
    with pytest.raises(CalibrationFailed, match="were expected"):
        # moves too small to see, for a pixel that is a tenth
        measure(smear_twin(), StageMoves(pixel_um=PIXEL_UM / 10, backlash_um=0.0))
