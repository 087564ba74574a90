"""Parts of the console without a server: who steers, pictures, lights, and runs that wait."""

import asyncio
import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PictureFile

from lsm.console import serve as serving
from lsm.console.access import LEASE_S, Lease, NotInControl
from lsm.console.bell import Ear
from lsm.console.calibrating import Calibrating
from lsm.console.light import LightRequest, lit, pattern_of
from lsm.console.owner import Busy, Owner
from lsm.console.pictures import Pictures, Viewer, contrast, eight_bits, encoded, factor, reduced
from lsm.console.runs import RunMicroscope, Runs
from lsm.console.serve import ConsoleOptions
from lsm.console.state import StateBoard
from lsm.devices import Frame, Observe, Shown
from lsm.errors import FileMissing, InputError, RunStopped
from lsm.illum import bright_field
from lsm.safety import Interlock
from lsm.scope import MicroManagerMicroscope, RigConfig
from scope.fakes import BOARD, FakeCore, FakeLight, make_rig

PATTERN = bright_field(BOARD, na=0.1)
RAMP = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80)


def frame(image: np.ndarray = RAMP) -> Frame:
    return Frame(image, Observe(PATTERN, 2.0), Shown(PATTERN.levels), (0.0, 0.0), 0.0, 0, 1)


def test_a_controller_who_is_silent_has_left():
    now = [0.0]
    lease = Lease(StateBoard(), clock=lambda: now[0])
    key = lease.take("one")
    now[0] = LEASE_S - 1
    lease.heard(key)
    now[0] = 2 * LEASE_S - 2
    with pytest.raises(NotInControl):
        lease.take("two")
    now[0] = 2 * LEASE_S
    other = lease.take("two")
    with pytest.raises(NotInControl):
        lease.check(key)
    lease.check(other)


def test_only_sections_that_changed_are_told():
    state, known = StateBoard(), {}
    assert set(state.since(known)) == {"machine", "light", "run", "calibration", "control", "log"}
    state.change("machine", z_um=1.0)
    state.change("machine", z_um=1.0)
    assert set(state.since(known)) == {"machine"}
    assert state.since(known) == {}
    for number in range(100):
        state.note(str(number))
    lines = state.now.log.lines
    assert [line.number for line in lines] == list(range(41, 101))


def test_pictures_span_the_window_and_say_what_is_saturated():
    low, high = contrast(RAMP)
    # half a per cent of the pixels lie on either side
    assert low == pytest.approx(0.005 * RAMP.max(), abs=1.0)
    assert high == pytest.approx(0.995 * RAMP.max(), abs=1.0)
    grey = eight_bits(RAMP, (1000.0, 2000.0))
    assert [grey.ravel()[place] for place in (0, 1000, 1500, 2000, 5119)] == [0, 0, 127, 255, 255]
    made = encoded(frame(), 3, None, 5000.0)
    assert made.facts["saturated"] == pytest.approx(120 / RAMP.size)
    assert sum(made.facts["histogram"]) == (RAMP <= 5000).sum()


@pytest.mark.parametrize("by", [1, 2, 3, 7])
def test_a_reduced_picture_is_the_mean_of_the_pixels(by: int):
    image = np.random.default_rng(by).integers(0, 65536, (38, 51)).astype(np.uint16)
    image[:8, :8] = 65535
    rows, columns = 38 // by, 51 // by
    blocks = image[: rows * by, : columns * by].astype(np.float64).reshape(rows, by, columns, by)
    # float32 of numbers below 2^16, summed over at most seven columns
    assert reduced(image, by) == pytest.approx(blocks.mean(axis=(1, 3)), rel=1e-6)


def test_a_picture_is_nearly_as_fine_as_the_screen_and_never_finer_than_the_camera():
    assert [factor((2048, 1024), side_px) for side_px in (None, 99999, 2048, 1024, 512)] == [1, 1, 1, 2, 5]
    for side_px in range(1, 3000, 7):
        by = factor((2048, 1024), side_px)
        assert by == 1 or 2048 / by >= 0.8 * side_px
    assert factor((3, 3000), 1) == 3


def test_pictures_are_for_the_largest_who_look():
    async def look() -> list[int]:
        pictures, small, large = Pictures(saturated_adu=4095.0), Viewer(64), Viewer(100)
        image = np.zeros((400, 400), np.uint16)
        made: list[int] = []

        def one() -> None:
            newest = pictures.current
            assert newest is not None
            assert newest.facts["shape_px"] == [400, 400]
            made.append(PictureFile.open(io.BytesIO(newest.jpeg)).width)

        async def heard(ear: Ear) -> None:
            await asyncio.wait_for(ear.wait(), 10.0)
            one()

        try:
            with pictures.viewed(small) as ear:
                await ear.wait()
                pictures.put(frame(image))
                await heard(ear)
                with pictures.viewed(large):
                    pictures.put(frame(image))
                    await heard(ear)
                pictures.put(frame(image))
                await heard(ear)
                pictures.resize(small, 1000)
                await heard(ear)
                pictures.resize(small, 64)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ear.wait(), 0.2)
        finally:
            pictures.close()
        return made

    assert asyncio.run(look()) == [57, 80, 57, 400]


def test_the_newest_frame_wins_and_nothing_is_encoded_for_nobody():
    pictures = Pictures(saturated_adu=4095.0)
    try:
        for _ in range(50):
            pictures.put(frame())
        assert pictures.current is None
        newest = pictures.newest()
        assert newest is not None
        assert newest.number == 50
    finally:
        pictures.close()


def test_lights_in_colours_and_brightness():
    pattern = pattern_of(LightRequest(leds=(1, 4), colour="white", brightness=0.5), BOARD, 0.1, ())
    assert lit(pattern.levels) == ((1, 128, 128, 128), (4, 128, 128, 128))
    left = pattern_of(LightRequest(preset="dpc left"), BOARD, 0.1, ())
    assert all(BOARD.positions_mm[led, 0] < 0 for led, *_ in lit(left.levels))
    dim = pattern_of(LightRequest(designed=0, brightness=0.2), BOARD, 0.1, (PATTERN,))
    assert {levels for _, *colours in lit(dim.levels) for levels in colours} == {0, 51}
    for wrong in ({}, {"preset": "dark", "leds": (1,)}, {"leds": (9,)}, {"designed": 1}):
        with pytest.raises(InputError):
            pattern_of(LightRequest(**wrong), BOARD, 0.1, (PATTERN,))


class Bench:
    """An owner of a microscope of fakes, and a run of three captures on it."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.core = FakeCore(self.diary)
        rig = make_rig()
        scope = Interlock(MicroManagerMicroscope(self.core, FakeLight(self.diary), rig), rig.limits)
        self.owner = Owner(scope, StateBoard(), Pictures(saturated_adu=255.0), exposure_ms=2.0)
        self.seen = threading.Semaphore(0)
        self.microscope = RunMicroscope(self.owner, lambda frame: self.seen.release())
        self.frames: list[Frame] = []

    def run(self) -> None:
        for z_um in (1.0, None, None):
            self.frames.append(self.microscope.observe(Observe(PATTERN, 2.0, None, z_um)))


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.core.released.set()
    bench.owner.close()


def test_a_paused_run_lets_others_move_and_comes_back(bench: Bench):
    gate = threading.Event()

    def wait_in_the_first() -> None:
        del bench.core.during["snap"]
        gate.wait(10.0)

    bench.core.during["snap"] = wait_in_the_first
    bench.owner.start()
    run = bench.owner.submit("A run", bench.run, run=True)
    while "snap" not in bench.diary:
        gate.wait(0.01)
    with pytest.raises(Busy, match="pause or stop"):
        bench.owner.submit("A move", lambda: None)
    bench.owner.pause(True)
    gate.set()
    bench.seen.acquire(timeout=10.0)
    assert bench.owner.submit("A move", lambda: bench.owner.look(None, 4.0)).result(10.0).z_um == 4.0
    bench.owner.pause(False)
    run.result(10.0)
    assert [frame.z_um for frame in bench.frames] == [1.0, 1.0, 1.0]
    assert bench.frames[1].request.z_um is None


def test_a_run_that_waited_for_a_command_can_be_paused(bench: Bench):
    gate, paused = threading.Event(), threading.Event()

    def wait_in_the_first() -> None:
        del bench.core.during["snap"]
        paused.wait(10.0)

    bench.core.during["snap"] = wait_in_the_first
    bench.owner.start()
    slow = bench.owner.submit("A slow move", lambda: gate.wait(10.0))
    run = bench.owner.submit("A run", bench.run, run=True)
    gate.set()
    slow.result(10.0)
    bench.owner.pause(True)
    paused.set()
    with pytest.raises(Busy, match="A run is on"):
        bench.owner.submit("Another run", bench.run, run=True)
    # served although the run has not ended: it is paused
    bench.owner.submit("A move", lambda: bench.owner.look(None, 4.0)).result(10.0)
    assert not run.done()
    bench.owner.pause(False)
    run.result(10.0)
    bench.owner.submit("Another run", bench.run, run=True).result(10.0)


def test_a_run_that_has_ended_stays_ended(bench: Bench, tmp_path: Path):
    runs = Runs(bench.owner, tmp_path, make_rig(), named="bench", model="procedural", seed=0)
    bench.owner.state.change("run", status="done")
    runs.pause()
    runs.unpause()
    assert bench.owner.state.now.run.status == "done"


def test_a_rig_is_closed_where_its_console_cannot_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serving, "connect", lambda rig, **simulation: bench.owner.scope)
    with pytest.raises(FileMissing, match="nowhere"):
        serving.serve(ConsoleOptions(model="out/nowhere", port=0))
    assert bench.diary == ["closed"]


def test_a_run_that_is_to_end_takes_no_further_capture(bench: Bench):
    bench.microscope.ending = True
    bench.owner.start()
    run = bench.owner.submit("A run", bench.run, run=True)
    assert isinstance(run.exception(10.0), RunStopped)
    assert "snap" not in bench.diary
    assert bench.owner.submit("A frame", bench.owner.look).result(10.0).image.shape == (4, 5)


def test_a_rig_without_a_calibration_is_calibrated_as_it_is_connected(bench: Bench, tmp_path: Path):
    calibrating = Calibrating(bench.owner, make_rig(), tmp_path, seed=0, simulation={})
    bench.owner.start()
    calibrating.open().result(10.0)
    refused(bench, calibrating)
    calibrating.leave().result(10.0)
    assert "closed" not in bench.diary


def test_a_calibrated_rig_is_connected_as_its_file_describes_it_and_at_the_end_as_before(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rig = make_rig().model_copy(update={"calibration": tmp_path / "before.json"})
    connected: list[Path | None] = []

    def connect(wanted: RigConfig) -> Interlock:
        connected.append(wanted.calibration)
        return Interlock(MicroManagerMicroscope(bench.core, FakeLight(bench.diary), wanted), wanted.limits)

    monkeypatch.setattr("lsm.console.calibrating.connect", connect)
    calibrating = Calibrating(bench.owner, rig, tmp_path, seed=0, simulation={})
    bench.owner.start()
    calibrating.open().result(10.0)
    assert connected == []
    for _ in range(2):
        refused(bench, calibrating)
    # once for all steps: connecting may make stages look for their ends
    assert connected == [None]
    calibrating.leave().result(10.0)
    assert connected == [None, rig.calibration]


def refused(bench: Bench, calibrating: Calibrating) -> None:
    """Measure what cannot be measured before the camera."""
    calibrating.measure("flat")
    while bench.owner.state.now.calibration.status != "open":
        time.sleep(0.01)
    flat = next(each for each in bench.owner.state.now.calibration.steps if each.name == "flat")
    assert flat.said is not None
    assert "after the camera" in flat.said.message
