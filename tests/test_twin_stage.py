"""The computed microscope with a stage that is not where it says."""

import numpy as np
import pytest
import torch

from lsm.devices import Frame, Observe
from lsm.illum import bright_field
from lsm.optics import Camera, ImagingSystem
from lsm.optics.stage import AxisErrors, StageErrors
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

CONFIG = TwinConfig(
    system=ImagingSystem(sample_px=256, margin_px=8),
    led_board=GridBoardConfig(rows=3, columns=3, pitch_mm=4.0),
    camera=Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0, read_noise_e=0.0),
)
SMEAR = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 0)
HERE = (150.0, 100.0)
EXPOSURE_MS = 10.0


def with_stage(stage: StageErrors | None, seed: int = 0) -> Twin:
    return Twin(SMEAR, CONFIG.model_copy(update={"stage": stage}), seed)


def look(twin: Twin, **place: object) -> Frame:
    return twin.observe(Observe(bright_field(twin.board, na=0.1), EXPOSURE_MS, **place))  # type: ignore[arg-type]


def expected(twin: Twin, xy_um: tuple[float, float], z_um: float) -> np.ndarray:
    rate = twin.renderer.rate(bright_field(twin.board, na=0.1).levels, xy_um, z_um)
    return CONFIG.camera.adu_float(rate * EXPOSURE_MS).numpy()


def distance(image: np.ndarray, truth: np.ndarray) -> float:
    """RMS difference in units of the shot noise of the mean."""
    noise_adu = np.sqrt(truth.mean() / CONFIG.camera.gain_e_per_adu)
    return float(np.sqrt(np.mean((image - truth) ** 2)) / noise_adu)


def test_without_stage_errors_digests_stay_those_that_models_carry():
    assert "stage" not in TwinConfig().model_dump(mode="json")
    assert TwinConfig().digest() == "80083c169c6052c7"
    assert TwinConfig(stage=StageErrors()).digest() != TwinConfig().digest()
    assert TwinConfig.model_validate(TwinConfig(stage=StageErrors()).model_dump()).stage == StageErrors()


def test_a_perfect_stage_gives_the_bytes_of_none():
    def run(stage: StageErrors | None) -> bytes:
        twin = with_stage(stage)
        frames = [look(twin, xy_um=HERE, z_um=3.0), look(twin), look(twin, xy_um=(120.0, 90.0))]
        return b"".join(frame.image.tobytes() for frame in frames)

    assert run(None) == run(StageErrors(move_ms=100.0, wait_ms=50.0))


def test_backlash_moves_the_image_and_not_what_the_frame_says():
    twin = with_stage(StageErrors(xy=AxisErrors(backlash_um=6.0)))
    look(twin, xy_um=(170.0, 120.0))
    frame = look(twin, xy_um=HERE)
    assert frame.xy_um == HERE
    # photon noise alone is 1, and a tenth more for what the mean does not tell of it
    assert distance(frame.image, expected(twin, (156.0, 106.0), 0.0)) < 1.2
    assert distance(frame.image, expected(twin, HERE, 0.0)) > 3


def test_a_picture_taken_too_early_is_blurred_and_waiting_helps():
    axis = AxisErrors(ringing_um=12.0, settling_ms=20.0)
    early, late = (with_stage(StageErrors(xy=axis, wait_ms=wait_ms)) for wait_ms in (0.0, 200.0))
    images = [look(twin, xy_um=(180.0, 100.0)).image for twin in (early, late)]
    truth = expected(early, (180.0, 100.0), 0.0)
    assert distance(images[1], truth) < 1.2
    assert distance(images[0], truth) > 3
    # the second picture begins 10 ms later: 12 um have become 7 um
    assert distance(look(early).image, truth) < distance(images[0], truth)


def test_the_focus_drifts_with_the_time_that_exposures_take():
    # 0.04 um in each ms: 40 um after 100 exposures of 10 ms
    twin = with_stage(StageErrors(z_drift_um_per_min=2400.0))
    twin.observe(Observe(bright_field(twin.board, na=0.1), 990.0, xy_um=HERE))
    frame = look(twin)
    assert frame.z_um == 0.0
    assert distance(frame.image, expected(twin, HERE, 40.0)) < 1.2
    assert distance(frame.image, expected(twin, HERE, 0.0)) > 2


def test_random_errors_follow_the_seed():
    stage = StageErrors(xy=AxisErrors(repeatability_um=2.0))

    def run(seed: int) -> bytes:
        return look(with_stage(stage, seed), xy_um=(140.0, 90.0)).image.tobytes()

    assert run(1) == run(1) != run(2)
    assert run(-1) == run(-1)


def test_an_exposure_along_a_path_is_the_mean_of_its_places():
    twin = with_stage(None)
    levels = bright_field(twin.board, na=0.1).levels
    ends = [(150.0, 100.0, 0.0), (154.0, 100.0, 5.0)]
    path = [(0.25, ends[0]), (0.75, ends[1])]
    image = twin.renderer.image_along(levels, path, EXPOSURE_MS, torch.Generator().manual_seed(0))
    truth = sum(share * expected(twin, (x, y), z) for share, (x, y, z) in path)
    assert distance(image, truth) == pytest.approx(1.0, abs=0.2)


WORN = StageErrors(
    xy=AxisErrors(repeatability_um=0.5, backlash_um=3.0),
    z=AxisErrors(backlash_um=1.0),
    z_drift_um_per_min=300.0,
    z_walk_um_per_sqrt_min=20.0,
    move_ms=80.0,
    wait_ms=40.0,
)
WAY = [{"xy_um": HERE}, {"xy_um": (170.0, 90.0), "z_um": 4.0}, {}, {"z_um": 1.0}, {"xy_um": (140.0, 80.0)}]


def test_a_run_that_is_relived_goes_on_to_the_bit():
    whole = with_stage(WORN)
    images = [look(whole, **place).image.tobytes() for place in WAY]
    resumed = with_stage(WORN)
    pattern = bright_field(resumed.board, na=0.1)
    resumed.relive(Observe(pattern, EXPOSURE_MS, **place) for place in WAY[:3])
    assert [look(resumed, **place).image.tobytes() for place in WAY[3:]] == images[3:]
