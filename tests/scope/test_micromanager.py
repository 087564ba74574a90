"""The driver checks what its devices tell it, and leaves the light off whatever happens."""

import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from lsm.devices import Burst, Frame, Illuminator, Microscope, Observe
from lsm.errors import CameraError, DeviceError, IlluminatorTimeout, LimitExceeded, StageError, WrongFormat
from lsm.illum import LedBoard, bright_field, dark
from lsm.safety import Interlock
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


def test_a_frame_says_whether_its_light_was_read_back_or_only_sent(bench: Bench):
    assert bench.observe().metadata["light"] == "read back"
    bench.light.reads_back = False
    blind = MicroManagerMicroscope(bench.core, bench.light, make_rig())
    assert blind.observe(Observe(PATTERN, 2.0)).metadata["light"] == "as sent"


def test_the_light_outlasts_the_exposure_by_the_margin(bench: Bench):
    bench.observe(ms=30.0)
    assert bench.light.hold_ms == 530.0
    slow_to_light = MicroManagerMicroscope(bench.core, bench.light, make_rig(settle_ms={"led": 40.0}))
    slow_to_light.observe(Observe(PATTERN, 30.0))
    assert bench.light.hold_ms == 570.0


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


@pytest.mark.parametrize("place", [(float("nan"), 20.0), (10.0, float("nan"))])
def test_no_axis_of_the_stage_may_be_nowhere(bench: Bench, place: tuple[float, float]):
    def lose() -> None:
        bench.core.xy = place

    bench.core.during["wait XY"] = lose
    with pytest.raises(StageError, match="nan"):
        bench.observe(xy_um=(10.0, 20.0))


def test_a_stage_that_calls_itself_idle_while_it_moves_is_waited_for(bench: Bench):
    steps_um = iter([2.0, 5.0, 9.9])

    def creep(_: FakeCore, label: str) -> float:
        return next(steps_um, 10.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCore, "get_x_position", creep)
        assert bench.observe(xy_um=(10.0, 20.0)).xy_um == (10.0, 20.0)


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

    monkeypatch.setattr(bench.microscope._camera, "snap", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.observe()
    assert bench.diary[-1] == "dark"


def test_after_ctrl_c_the_next_capture_waits_for_what_was_left_behind(bench: Bench):
    def long_exposure() -> None:
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.75)
        bench.diary.append("exposed")

    bench.core.during["snap"] = long_exposure
    with pytest.raises(KeyboardInterrupt):
        bench.observe(ms=800.0)
    assert bench.diary[-1] == "dark"
    bench.core.during.clear()
    # longer than the stage's own time of 0.3 s
    frame = bench.observe(xy_um=(10.0, 20.0))
    assert frame.xy_um == (10.0, 20.0)
    assert bench.diary.index("exposed") < bench.diary.index("move xy")


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


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 3, (4, 5)).astype(np.uint16)


def gives(bench: Bench, images: list[np.ndarray]) -> None:
    """The n-th exposure with light gives the n-th image; the fake gives black ones in the dark."""
    bench.core.during["snap"] = lambda: setattr(bench.core, "pixels", images[bench.diary.count("show") - 1])


def test_an_image_that_came_before_is_tried_again_once_and_counted(bench: Bench):
    gives(bench, [noise(0), noise(0), noise(1), noise(2)])
    first, second, third = bench.observe(), bench.observe(), bench.observe()
    assert [frame.metadata["attempts"] for frame in (first, second, third)] == ["1", "2", "1"]
    assert np.array_equal(second.image, noise(1))
    assert second.shown.latch == 3


@pytest.mark.parametrize("back", [1, 2, 3])
def test_a_camera_that_goes_on_giving_old_images_is_an_error_and_never_an_image(bench: Bench, back: int):
    """It may have a ring of buffers: the old image need not be the last."""
    gives(bench, [noise(seed % back) for seed in range(back + 2)])
    for _ in range(back):
        bench.observe()
    with pytest.raises(CameraError, match="given before"):
        bench.observe()
    assert bench.diary.count("show") == back + 2
    assert bench.diary[-1] == "dark"


@pytest.mark.parametrize("behind", [1, 2])
def test_a_driver_that_falls_behind_gives_no_image_of_earlier_light(bench: Bench, behind: int):
    """Each image is new, only not of this exposure; to be seen where the one before was dark."""
    exposed = [noise(seed) for seed in range(30)]
    lag = 0

    def snap(core: FakeCore) -> None:
        lit = [entry for entry in core.diary if entry in ("show", "dark")][-1:] == ["show"]
        taken.append(exposed.pop() if lit else np.zeros((4, 5), np.uint16))

    taken: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCore, "snap_image", snap)
        patch.setattr(
            FakeCore,
            "get_tagged_image",
            lambda core, *_: SimpleNamespace(pix=taken[max(0, len(taken) - 1 - lag)], tags={}),
        )
        for _ in range(3):
            bench.observe()
        lag = behind
        for _ in range(3):
            with pytest.raises(CameraError, match="old"):
                bench.observe()
        lag = 0
        assert np.array_equal(bench.observe().image, taken[-1])
        assert bench.microscope.burst(Burst((PATTERN,), 2.0))[0].metadata["attempts"] == "1"


def test_after_a_camera_error_darkness_may_be_looked_at_and_light_must_prove_itself(bench: Bench):
    bench.core.during["snap"] = lambda: (_ for _ in ()).throw(RuntimeError("Error 5"))
    with pytest.raises(CameraError, match="Error 5"):
        bench.observe()
    bench.core.during.clear()
    bench.core.pixels = np.zeros((4, 5), np.uint16)
    bench.microscope.observe(Observe(dark(BOARD), 2.0))
    with pytest.raises(CameraError, match="no brighter than the dark"):
        bench.observe()
    bench.core.pixels = noise(1)
    assert bench.observe().metadata["attempts"] == "1"


def test_a_camera_that_the_rig_calls_free_of_noise_may_repeat_itself():
    diary: list[str] = []
    core = FakeCore(diary)
    core.pixels = noise(0)
    rig = make_rig(camera={"pixel_um": 4.8, "noise": False})
    microscope = MicroManagerMicroscope(core, FakeLight(diary), rig)
    frames = [microscope.observe(Observe(PATTERN, 2.0)) for _ in range(3)]
    assert {frame.metadata["attempts"] for frame in frames} == {"1"}
    microscope.close()


def test_images_without_noise_may_be_equal(bench: Bench):
    """Black and saturated images are equal for good reason."""
    for value in (0, 0, 65535, 65535):
        bench.core.pixels = np.full((4, 5), value, np.uint16)
        assert bench.observe().metadata["attempts"] == "1"


def test_a_camera_that_changes_its_pixels_on_the_way_is_an_error(bench: Bench):
    bench.observe()
    bench.core.pixels = np.full((4, 5), 7, np.uint8)
    with pytest.raises(CameraError, match=r"uint8.*expects uint16"):
        bench.observe()


def test_flat_images_take_the_shape_that_their_tags_tell(bench: Bench):
    bench.core.pixels, bench.core.tags = np.arange(20, dtype=np.uint16), {"Height": "4", "Width": "5"}
    assert np.array_equal(bench.observe().image, np.arange(20).reshape(4, 5))
    bench.core.tags = {"Height": "4", "Width": "6"}
    with pytest.raises(CameraError, match="expects"):
        bench.observe()
    bench.core.tags = {}
    with pytest.raises(CameraError, match="Height"):
        bench.observe()


def test_an_exposure_that_somebody_changes_meanwhile_is_an_error(bench: Bench):
    bench.core.during["snap"] = lambda: setattr(bench.core, "exposure", 9.0)
    with pytest.raises(CameraError, match="exposes 9 ms where 2 ms"):
        bench.observe()
    bench.core.during.clear()
    assert bench.observe().exposure_ms == bench.core.exposure == 2.0


class TestShutter:
    """Micro-Manager's autoshutter does nothing for Python devices: the driver opens the shutter itself."""

    @pytest.fixture
    def shuttered(self) -> Iterator[Bench]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FakeCore, "get_shutter_device", lambda _: "Shutter")
            bench = Bench()
            yield bench
            bench.core.released.set()
            bench.microscope.close()

    def test_it_is_open_during_the_exposure_and_closed_after_it(self, shuttered: Bench):
        shuttered.observe()
        done = ["Shutter open", "wait Shutter", "show", "snap", "dark", "Shutter closed", "wait Shutter"]
        assert shuttered.diary == done
        assert not shuttered.core.auto_shutter
        shuttered.microscope.close()
        assert shuttered.core.auto_shutter

    @pytest.mark.parametrize(("stuck_open", "what"), [(False, "does not open"), (True, "does not close")])
    def test_one_that_is_stuck_is_an_error(self, shuttered: Bench, stuck_open: bool, what: str):
        shuttered.core.shutter_open, shuttered.core.shutter_stuck = stuck_open, True
        with pytest.raises(DeviceError, match=what):
            shuttered.observe()
        assert shuttered.diary.count("show") == shuttered.diary.count("dark")

    def test_one_that_closes_during_the_exposure_is_an_error(self, shuttered: Bench):
        shuttered.core.during["snap"] = lambda: setattr(shuttered.core, "shutter_open", False)
        with pytest.raises(DeviceError, match="closed during the exposure"):
            shuttered.observe()

    def test_a_failed_capture_closes_it_and_says_what_failed(self, shuttered: Bench):
        def fail() -> None:
            raise RuntimeError("Error 5")

        shuttered.core.during["snap"] = fail
        with pytest.raises(CameraError, match="Error 5"):
            shuttered.observe()
        assert not shuttered.core.shutter_open

    def test_a_light_source_in_the_role_of_the_shutter_is_left_to_the_light(self, shuttered: Bench):
        rig = make_rig(led={"kind": "mm_slm", "micro_manager": {"device": "Shutter"}})
        microscope = MicroManagerMicroscope(shuttered.core, shuttered.light, rig)
        microscope.observe(Observe(PATTERN, 2.0))
        assert "Shutter open" not in shuttered.diary


def test_a_camera_that_exposes_otherwise_is_an_error(bench: Bench):
    bench.core.longest_ms = 100.0
    with pytest.raises(CameraError, match="exposes 100 ms where 200 ms"):
        bench.observe(ms=200.0)
    assert "show" not in bench.diary


def test_a_line_time_more_is_forgiven_but_not_five_times_the_exposure(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench.core, "get_exposure", lambda: bench.core.exposure + 0.04)
    bench.observe(ms=2.0)
    with pytest.raises(CameraError, match=r"exposes 0\.05 ms where 0\.01 ms"):
        bench.observe(ms=0.01)
    assert bench.diary.count("show") == 1


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


def test_limits_hold_where_the_focus_stands_and_not_only_where_it_is_sent(bench: Bench):
    bench.core.z = 50.0
    scope = Interlock(bench.microscope, make_rig().limits)
    with pytest.raises(LimitExceeded, match="z_um = 50"):
        scope.observe(Observe(PATTERN, 2.0, (10.0, 20.0)))
    assert bench.diary == []
    assert scope.spent_led_ms == 0


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
