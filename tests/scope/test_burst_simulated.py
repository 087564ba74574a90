"""Bursts in which the simulated camera and the real firmware step each other through the patterns."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lsm.devices import Burst, BurstMicroscope, Observe
from lsm.errors import CameraError, DeviceError, IlluminatorError
from lsm.illum import LedBoard, Pattern, single_led
from lsm.safety import Interlock
from lsm.scope import connect
from lsm_sim.board import read_led_frames
from lsm_sim.rig import SimulatedMicroscope
from lsm_sim.trigger_wires import WireFaults
from lsm_sim.world import World
from scope.painted import WIRED, Painted, asked, lit_in

pytestmark = pytest.mark.firmware


@pytest.fixture(scope="module")
def scope() -> Iterator[Interlock]:
    with connect(WIRED, renderer=Painted(), seed=3) as scope:
        yield scope


@pytest.fixture
def bench(scope: Interlock) -> Iterator[SimulatedMicroscope]:
    assert isinstance(scope.microscope, SimulatedMicroscope)
    yield scope.microscope
    world = world_of(scope.microscope)
    world.faults.end()
    assert world.wires is not None
    world.wires.faults = WireFaults()


def world_of(bench: SimulatedMicroscope) -> World:
    assert bench.world is not None
    return bench.world


def wire_faults(bench: SimulatedMicroscope) -> WireFaults:
    wires = world_of(bench).wires
    assert wires is not None
    return wires.faults


def patterns(board: LedBoard, count: int, *, seed: int = 0) -> tuple[Pattern, ...]:
    leds = np.random.default_rng(seed).choice(board.n_leds, count, replace=False)
    return tuple(single_led(board, int(led)) for led in leds)


def test_each_frame_is_lit_by_its_pattern_and_says_so(scope: Interlock, bench: SimulatedMicroscope):
    burst = Burst(patterns(scope.board, 20), 2.0, (600.0, 500.0), 1.0)
    frames = scope.burst(burst)
    assert isinstance(scope, BurstMicroscope)
    assert [frame.request for frame in frames] == list(burst.requests())
    assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames]
    assert {frame.metadata["burst"] for frame in frames} == {"hardware"}
    assert {frame.z_um for frame in frames} == {1.0}
    log = read_led_frames(bench.native_board.frames_path)
    for frame in frames:
        # the board counts its LED frames from 1, the dark one at power-on
        np.testing.assert_array_equal(log[frame.shown.latch - 1][1], frame.shown.levels)
    assert not bench.native_board.lit().any()


def test_single_captures_go_on_after_a_burst(scope: Interlock):
    """The camera has its own trigger mode back."""
    scope.burst(Burst(patterns(scope.board, 2), 2.0))
    frame = scope.observe(Observe(single_led(scope.board, 84), 2.0))
    assert (lit_in(frame), frame.metadata["attempts"]) == ([84], "1")


def test_a_long_burst_is_divided_so_that_a_dead_host_leaves_no_light(scope: Interlock, bench: SimulatedMicroscope):
    log = len(read_led_frames(bench.native_board.frames_path))
    frames = scope.burst(Burst(patterns(scope.board, 12), 400.0))
    assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames]
    dark_ns = [t_ns for t_ns, levels in read_led_frames(bench.native_board.frames_path)[log:] if not levels.any()]
    assert len(dark_ns) > 3
    assert np.diff(dark_ns).max() < 2.5e9


def test_a_board_that_stores_few_patterns_is_loaded_again(
    scope: Interlock, bench: SimulatedMicroscope, monkeypatch: pytest.MonkeyPatch
):
    """Three colours take 507 bytes a pattern; here it says that it has 2600."""
    client = bench._microscope._illuminator
    monkeypatch.setattr(client, "_hello", replace(client.hello, sequence_bytes=2600))
    loads: list[int] = []
    load = client.sequences.load
    monkeypatch.setattr(client.sequences, "load", lambda some: (loads.append(len(some)), load(some))[1])
    rng = np.random.default_rng(4)
    many = tuple(Pattern.of(scope.board, rng.integers(0, 9, (169, 3)) / 255) for _ in range(12))
    frames = scope.burst(Burst(many, 1.0))
    assert loads == [4, 4, 4]
    assert {frame.metadata["burst"] for frame in frames} == {"hardware"}
    for frame, pattern in zip(frames, many, strict=True):
        np.testing.assert_array_equal(frame.shown.levels, pattern.levels)
        np.testing.assert_array_equal(frame.image[0, :169], 200 * pattern.levels.max(axis=1).astype(np.uint16))


def test_a_burst_that_outlasts_the_boards_time_is_taken_again_one_by_one(
    scope: Interlock, bench: SimulatedMicroscope, monkeypatch: pytest.MonkeyPatch
):
    """The board goes dark by itself after the time that it was given; the dose of both tries is told."""
    world = world_of(bench)
    expose, slow = world.expose, [0.4, 0.4, 0.4]

    def take_longer(exposure_ms: float) -> np.ndarray:
        image = expose(exposure_ms)
        time.sleep(slow.pop() if slow else 0.0)
        return image

    monkeypatch.setattr(world, "expose", take_longer)
    bench._microscope._triggered._gap_ms = 10.0
    frames = scope.burst(Burst(patterns(scope.board, 5), 2.0))
    assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames]
    assert {(frame.metadata["burst"], frame.metadata["attempts"]) for frame in frames} == {("software", "2")}
    monkeypatch.undo()
    assert scope.burst(Burst(patterns(scope.board, 5), 2.0))[0].metadata["burst"] == "hardware"


def test_an_image_that_does_not_come_is_not_replaced_by_the_one_before(scope: Interlock, bench: SimulatedMicroscope):
    """Micro-Manager hands out its last buffer again, without a word."""
    scope.observe(Observe(single_led(scope.board, 1), 2.0))
    world_of(bench).faults.camera.drops = 1
    frame = scope.observe(Observe(single_led(scope.board, 2), 2.0))
    assert (lit_in(frame), frame.metadata["attempts"]) == ([2], "2")


def test_a_driver_that_falls_behind_gives_no_frame_of_earlier_light(scope: Interlock, bench: SimulatedMicroscope):
    """And is believed again, in bursts too, when it is not behind any more."""
    scope.observe(Observe(single_led(scope.board, 1), 2.0))
    world_of(bench).faults.camera.lags = True
    for led in (2, 3, 4):
        with pytest.raises(CameraError, match="gave an image"):
            scope.observe(Observe(single_led(scope.board, led), 2.0))
        with pytest.raises(CameraError):
            scope.burst(Burst(patterns(scope.board, 3), 2.0))
    world_of(bench).faults.end()
    for how in ("software", "hardware"):
        frames = scope.burst(Burst(patterns(scope.board, 3), 2.0))
        assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames]
        assert {frame.metadata["burst"] for frame in frames} == {how}


class TestFaults:
    """Each is an error within the camera's timeout, leaves darkness, and the next burst is right again."""

    @pytest.mark.parametrize("index", [0, 7])
    @pytest.mark.parametrize("kind", ["lost", "doubled", "early"])
    def test_a_disturbed_wire(self, scope: Interlock, bench: SimulatedMicroscope, kind: str, index: int):
        getattr(wire_faults(bench), kind).add(index)
        self.fails(scope, bench, (CameraError, IlluminatorError))

    @pytest.mark.parametrize(("lost", "extra"), [(2, 5), (6, 7)])
    @pytest.mark.parametrize("kind", ["doubled", "early"])
    def test_a_lost_edge_and_one_too_many_do_not_make_up_for_each_other(
        self, scope: Interlock, bench: SimulatedMicroscope, kind: str, lost: int, extra: int
    ):
        wire_faults(bench).lost.add(lost)
        getattr(wire_faults(bench), kind).add(extra)
        self.fails(scope, bench, (CameraError, IlluminatorError))

    def test_a_dropped_frame(self, scope: Interlock, bench: SimulatedMicroscope):
        world_of(bench).faults.camera.drops = 1
        self.fails(scope, bench, (CameraError,))

    def test_an_old_image(self, scope: Interlock, bench: SimulatedMicroscope):
        scope.observe(Observe(single_led(scope.board, 84), 2.0))
        world_of(bench).faults.camera.repeats = 1
        self.fails(scope, bench, (CameraError,))

    def test_an_exposure_that_is_changed_meanwhile(self, scope: Interlock, bench: SimulatedMicroscope):
        world = world_of(bench)
        expose, core = world.expose, bench._microscope._core

        def meddle(exposure_ms: float) -> np.ndarray:
            if exposure_ms == 2.0:
                core.set_exposure(3.0)
            return expose(exposure_ms)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world, "expose", meddle)
            with pytest.raises(CameraError, match="exposes 3 ms"):
                scope.burst(Burst(patterns(scope.board, 8, seed=1), 2.0))
            patch.undo()
        self.check_again(scope)

    def test_light_that_somebody_turns_off(self, scope: Interlock, bench: SimulatedMicroscope):
        world = world_of(bench)
        expose = world.expose

        last = world.exposures + 4

        def darken(exposure_ms: float) -> np.ndarray:
            image = expose(exposure_ms)
            if world.exposures == last:
                bench._microscope._illuminator.dark()
            return image

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world, "expose", darken)
            self.fails(scope, bench, (DeviceError,))

    def fails(self, scope: Interlock, bench: SimulatedMicroscope, errors: tuple[type[DeviceError], ...]) -> None:
        burst = Burst(patterns(scope.board, 8, seed=1), 2.0)
        began_s = time.monotonic()
        with pytest.raises(errors):
            scope.burst(burst)
        # the camera's own half second of patience and the driver's two, and a loaded computer
        assert time.monotonic() - began_s < 6.0
        assert not bench.native_board.lit().any()
        world_of(bench).faults.end()
        faults = wire_faults(bench)
        faults.lost.clear()
        faults.doubled.clear()
        faults.early.clear()
        self.check_again(scope)

    def check_again(self, scope: Interlock) -> None:
        frames = scope.burst(Burst(patterns(scope.board, 8, seed=1), 2.0))
        assert [lit_in(frame) for frame in frames] == [asked(frame) for frame in frames]
