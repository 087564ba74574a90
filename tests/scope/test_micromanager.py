"""The driver checks what its devices tell it, and leaves the light off whatever happens."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from lsm.devices import Frame, Illuminator, Microscope, Observe
from lsm.errors import CameraError, DeviceError, IlluminatorTimeout, StageError, WrongFormat
from lsm.illum import LedBoard, bright_field
from lsm.scope import MicroManagerMicroscope
from scope.fakes import BOARD, FakeCore, FakeLight, make_rig

PATTERN = bright_field(BOARD, na=0.1)


class Bench:
    """A microscope of fakes and the diary of what they did."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.core = FakeCore(self.diary)
        self.light = FakeLight(self.diary)
        self.microscope = MicroManagerMicroscope(self.core, self.light, make_rig())

    def observe(self, *, xy_um: tuple[float, float] | None = None, z_um: float | None = None, ms: float = 2.0) -> Frame:
        return self.microscope.observe(Observe(PATTERN, ms, xy_um, z_um))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.core.released.set()
    bench.microscope.close()


def test_it_moves_lights_snaps_and_goes_dark_in_this_order(bench: Bench):
    frame = bench.observe(xy_um=(10.0, 20.0), z_um=1.0)
    assert bench.diary == ["move xy", "wait XY", "move z", "wait Z", "show", "snap", "dark"]
    assert (frame.xy_um, frame.z_um, frame.metadata["attempts"]) == ((10.0, 20.0), 1.0, "1")
    assert frame.started_ns <= frame.ended_ns
    assert isinstance(bench.microscope, Microscope)
    assert isinstance(bench.light, Illuminator)


def test_the_light_outlasts_the_exposure_by_the_margin(bench: Bench):
    bench.observe(ms=30.0)
    assert bench.light.hold_ms == 530.0


def test_an_axis_moves_only_when_its_target_changes_or_it_was_moved_by_hand(bench: Bench):
    bench.observe(xy_um=(10.0, 20.0), z_um=1.0)
    bench.diary.clear()
    bench.observe(xy_um=(10.0, 20.0), z_um=1.0)
    bench.observe()
    assert not any(entry.startswith("move") for entry in bench.diary)
    bench.core.xy = (50.0, 20.0)
    assert bench.observe(xy_um=(10.0, 20.0)).xy_um == (10.0, 20.0)
    assert bench.diary.count("move xy") == 1


@pytest.mark.parametrize("axis", ["xy", "z"])
def test_a_move_that_ends_elsewhere_is_an_error_before_any_light(bench: Bench, axis: str):
    bench.core.offset_um = 3.0
    with pytest.raises(StageError, match="instead of"):
        bench.observe(**({"xy_um": (10.0, 20.0)} if axis == "xy" else {"z_um": 1.0}))
    assert "show" not in bench.diary


def test_a_position_that_is_not_a_number_is_an_error(bench: Bench):
    bench.core.offset_um = float("nan")
    with pytest.raises(StageError):
        bench.observe(z_um=1.0)


def test_a_stage_that_drifts_away_during_the_exposure_is_an_error(bench: Bench):
    def bump() -> None:
        bench.core.xy = (60.0, 20.0)

    bench.core.during["snap"] = bump
    with pytest.raises(StageError):
        bench.observe(xy_um=(10.0, 20.0))
    assert bench.diary[-1] == "dark"


def test_a_stage_that_never_arrives_ends_in_time(bench: Bench):
    bench.core.during["wait XY"] = bench.core.hang
    started_s = time.monotonic()
    with pytest.raises(StageError, match=r"not come back within 0\.3 s"):
        bench.observe(xy_um=(10.0, 20.0))
    # the watchdog's 0.3 s, and a loaded computer
    assert time.monotonic() - started_s < 3.0


def test_a_snap_that_never_returns_ends_in_time_with_the_light_off(bench: Bench):
    bench.core.during["snap"] = bench.core.hang
    with pytest.raises(CameraError, match="not come back"):
        bench.observe()
    assert bench.diary[-1] == "dark"
    with pytest.raises(DeviceError, match=r"Camera.*earlier request"):
        bench.observe()
    assert bench.diary.count("show") == 1
    bench.core.released.set()
    bench.core.during.clear()
    deadline_s = time.monotonic() + 5.0
    while not bench.microscope._watchdog._hanging.done.is_set() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert bench.observe().image.shape == (4, 5)


@pytest.mark.parametrize("failure", [RuntimeError("Error 5"), OSError("gone"), ValueError("odd")])
def test_what_a_driver_raises_becomes_one_readable_error_with_the_light_off(bench: Bench, failure: Exception):
    def fail() -> None:
        raise failure

    bench.core.during["snap"] = fail
    with pytest.raises(CameraError, match=str(failure)) as error:
        bench.observe()
    assert error.value.__cause__ is failure
    assert bench.diary[-1] == "dark"


def test_ctrl_c_during_the_exposure_turns_the_light_off(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.microscope, "_snap", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.observe()
    assert bench.diary[-1] == "dark"


def test_light_lost_once_is_repeated_and_counted(bench: Bench):
    bench.light.outages = 1
    frame = bench.observe()
    assert frame.metadata["attempts"] == "2"
    assert frame.shown.latch == 2
    assert bench.diary == ["show", "snap", "dark", "show", "snap", "dark"]


def test_light_lost_twice_is_an_error_and_never_an_image(bench: Bench):
    bench.light.outages = 2
    with pytest.raises(IlluminatorTimeout, match="went out during 2"):
        bench.observe()
    assert bench.diary[-1] == "dark"


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint16), np.zeros((4, 5), np.float32), np.zeros((4, 5, 3), np.uint8)]
)
def test_an_image_of_the_wrong_kind_is_an_error(bench: Bench, pixels: np.ndarray):
    bench.core.pixels = pixels
    with pytest.raises(CameraError, match=r"the rig expects \(4, 5\)"):
        bench.observe()


def test_eight_bit_cameras_give_the_same_numbers_in_sixteen(bench: Bench):
    bench.core.pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    image = bench.observe().image
    assert image.dtype == np.uint16
    assert np.array_equal(image, bench.core.pixels)


def test_a_frame_does_not_change_when_the_camera_reuses_its_buffer(bench: Bench):
    image = bench.observe().image
    bench.core.pixels[:] = 99
    assert (image == 7).all()


def test_a_camera_that_exposes_otherwise_is_an_error(bench: Bench):
    bench.core.longest_ms = 100.0
    with pytest.raises(CameraError, match="exposes 100 ms where 200 ms"):
        bench.observe(ms=200.0)
    assert "show" not in bench.diary


def test_a_pattern_of_another_board_is_refused_before_anything_moves(bench: Bench):
    other = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
    with pytest.raises(WrongFormat, match="another board"):
        bench.microscope.observe(Observe(bright_field(other, na=0.1), 1.0, (1.0, 1.0)))
    assert bench.diary == []


def test_a_rig_without_a_stage_says_so_when_asked_to_move(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(FakeCore, "get_xy_stage_device", lambda _: "")
    bench = Bench()
    assert bench.observe().xy_um == (0.0, 0.0)
    with pytest.raises(StageError, match="no XY stage"):
        bench.observe(xy_um=(1.0, 1.0))


def test_properties_of_the_rig_file_are_set_once():
    diary: list[str] = []
    rig = make_rig(properties=[["Camera", "PixelType", "16bit"]])
    MicroManagerMicroscope(FakeCore(diary), FakeLight(diary), rig).close()
    assert diary == ["Camera-PixelType=16bit", "closed"]


def test_a_closed_microscope_refuses_and_closes_only_once(bench: Bench):
    bench.microscope.close()
    bench.microscope.close()
    assert bench.diary == ["closed"]
    with pytest.raises(DeviceError, match="closed"):
        bench.observe()


def test_closing_does_not_wait_for_ever_for_a_device_that_hangs(bench: Bench):
    core = bench.core
    microscope = MicroManagerMicroscope(core, bench.light, make_rig(), on_close=core.hang)
    started_s = time.monotonic()
    microscope.close()
    # the 0.3 s of timeouts_s.stage, and a loaded computer
    assert time.monotonic() - started_s < 3.0
    assert bench.diary[-1] == "closed"
