"""One image per LED, recorded on the twin, and a light that nobody captured computed from it."""

from pathlib import Path

import numpy as np
import pytest

from lsm.calibrate.led_stack import StackPlan, record_led_stack
from lsm.devices import Observe
from lsm.illum import bright_field
from lsm.optics import ImagingSystem
from lsm.record import Recorder, open_record
from lsm.record.replay import Replay
from lsm.record.stacks import StackCamera
from lsm.record.stacks_files import open_stack
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

NA = 0.1
PLACE = (150.0, 100.0)
CAMERA = {"offset_adu": 20.0, "gain_e_per_adu": 2.5, "read_noise_e": 3.0, "saturated_adu": 4020.0}


@pytest.fixture(scope="module")
def twin() -> Twin:
    system = ImagingSystem(sample_px=256, margin_px=8)
    board = GridBoardConfig(rows=5, columns=5, pitch_mm=4.0)
    return Twin(
        ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 0), TwinConfig(system=system, led_board=board), 3
    )


@pytest.fixture(scope="module")
def stack(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.h5"
    steps = []
    with Recorder(path, {"camera": CAMERA}) as recorder:
        frames = record_led_stack(
            twin,
            recorder,
            StackPlan(NA, (20.0, 100.0), darks=2),
            xy_um=PLACE,
            on_step=lambda done, of: steps.append((done, of)),
        )
        recorder.finish({})
    assert steps[-1] == (frames, frames)
    return path


def test_every_led_is_there_once_with_dark_frames_at_both_exposures(stack: Path, twin: Twin):
    with open_record(stack) as recording:
        lit = [(frame.exposure_ms, np.flatnonzero(frame.shown.levels.any(axis=1))) for frame in recording.frames()]
    assert sorted(int(leds[0]) for _, leds in lit if len(leds)) == list(range(twin.board.n_leds))
    assert [exposure_ms for exposure_ms, leds in lit if not len(leds)] == [20.0, 20.0, 100.0, 100.0]
    assert all((exposure_ms == 20.0) == (twin.board.na[leds[0]] <= NA) for exposure_ms, leds in lit if len(leds))


def test_a_light_that_was_not_captured_follows_from_the_stack(stack: Path, twin: Twin):
    request = Observe(bright_field(twin.board, na=NA), 2.0, PLACE)
    captured = twin.observe(request).image.astype(float)
    replayed = Replay(open_stack(stack, board=twin.board, camera=StackCamera()))
    try:
        frame = replayed.observe(request)
    finally:
        replayed.close()
    assert frame.variance_adu2 is not None
    gain, read = CAMERA["gain_e_per_adu"], CAMERA["read_noise_e"] / CAMERA["gain_e_per_adu"]
    variance = frame.variance_adu2 + np.maximum(captured - 20.0, 0) / gain + read**2 + 1 / 12
    chi2 = float(np.mean((captured - frame.sum_adu) ** 2 / variance))
    # the mean of 48 x 48 squares of unit normals scatters by sqrt(2 / 2304) = 0.03; five of that
    assert chi2 == pytest.approx(1.0, abs=0.15)
