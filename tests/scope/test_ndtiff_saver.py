"""NDTiff through pycromanager's Acquisition: every frame that was returned, no other, with its light."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ndstorage import Dataset

from lsm.devices import Burst, Frame, Observe
from lsm.errors import CameraError, ConfigError
from lsm.illum import bright_field, single_led
from lsm.safety import Interlock
from lsm.scope import connect
from lsm.scope.ndtiff import NdtiffSaver
from lsm_sim.rig import SimulatedMicroscope
from scope.painted import WIRED, Painted, lit_in

pytestmark = pytest.mark.firmware


@pytest.fixture
def scope() -> Iterator[Interlock]:
    with connect(WIRED, renderer=Painted()) as scope:
        yield scope


def simulated(scope: Interlock) -> SimulatedMicroscope:
    assert isinstance(scope.microscope, SimulatedMicroscope)
    return scope.microscope


def check(folder: Path, frames: list[Frame]) -> None:
    dataset = Dataset(str(folder))
    try:
        assert dataset.axes == {"frame": set(range(len(frames)))}
        for number, frame in enumerate(frames):
            np.testing.assert_array_equal(dataset.read_image(frame=number), frame.image)
            facts = dataset.read_metadata(frame=number)["lsm"]
            levels = np.zeros_like(frame.shown.levels)
            for led, colours in facts["shown"]:
                levels[led] = colours
            np.testing.assert_array_equal(levels, frame.shown.levels)
            assert (facts["xy_um"], facts["exposure_ms"]) == (list(frame.xy_um), frame.exposure_ms)
    finally:
        dataset.close()


def test_each_frame_is_saved_with_the_light_that_was_on(scope: Interlock, tmp_path: Path):
    with simulated(scope).saving_ndtiff(tmp_path) as saver:
        frames = [scope.observe(Observe(single_led(scope.board, led), 2.0, (600.0, 50.0 + led))) for led in (3, 84)]
        frames += scope.burst(Burst((bright_field(scope.board, na=0.1), single_led(scope.board, 5)), 4.0))
        assert saver.n_frames == 4
    assert [lit_in(frame)[:1] for frame in frames[:2]] == [[3], [84]]
    check(saver.folder, frames)
    after = scope.observe(Observe(single_led(scope.board, 9), 2.0))
    assert lit_in(after) == [9]


def test_an_image_that_was_not_right_is_not_saved(scope: Interlock, tmp_path: Path):
    bench = simulated(scope)
    assert bench.world is not None
    with bench.saving_ndtiff(tmp_path) as saver:
        frames = [scope.observe(Observe(single_led(scope.board, 3), 2.0))]
        bench.world.faults.camera.repeats = 1
        frames.append(scope.observe(Observe(single_led(scope.board, 4), 2.0)))
        assert frames[1].metadata["attempts"] == "2"
        bench.world.faults.camera.lags = True
        with pytest.raises(CameraError):
            scope.observe(Observe(single_led(scope.board, 5), 2.0))
    check(saver.folder, frames)


def test_an_acquisition_that_gives_nothing_ends_in_time(
    scope: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As it does when an event fails: it prints, and would let its caller wait for ever."""
    with simulated(scope).saving_ndtiff(tmp_path) as saver:
        monkeypatch.setattr(saver._acquisition, "acquire", lambda event: None)
        began_s = time.monotonic()
        with pytest.raises(CameraError, match="gave no image"):
            scope.observe(Observe(single_led(scope.board, 3), 2.0))
        # the two seconds of timeouts_s.camera, and a loaded computer
        assert time.monotonic() - began_s < 4.0
    assert not simulated(scope).native_board.lit().any()


def test_a_running_micro_manager_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="saves no NDTiff"):
        NdtiffSaver(tmp_path, "frames", WIRED.model_copy(update={"backend": "java"}))
