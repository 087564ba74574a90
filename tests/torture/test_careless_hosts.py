"""The harness can fail: hosts that do not look closely are found out."""

import time
from dataclasses import replace

import numpy as np
import pytest

from lsm.devices import Frame, Microscope, Observe, Shown
from lsm.errors import DeviceError
from lsm.illum import LedBoard, bright_field
from lsm.scope import RigConfig, find_rig
from lsm_sim.device_faults import CameraFaults, DriveFaults, LightFaults, ShutterFaults
from lsm_sim.torture.bench import Bench
from lsm_sim.torture.judge import Judge
from lsm_sim.torture.tally import Outcome, TortureReport, Trial

pytestmark = pytest.mark.firmware

RIG = RigConfig.from_file(find_rig("simulated"))
BLIND = RIG.model_copy(update={"tolerance_um": RIG.tolerance_um.model_copy(update={"xy": 1000.0, "z": 1000.0})})


class Wrapped:
    """A microscope whose frames something happens to."""

    def __init__(self, scope: Microscope) -> None:
        self.scope = scope
        self.last: Frame | None = None

    @property
    def board(self) -> LedBoard:
        return self.scope.board

    def observe(self, request: Observe) -> Frame:
        return self.scope.observe(request)

    def close(self) -> None:
        self.scope.close()


class SaysWhatWasAsked(Wrapped):
    """Believes that the stage goes where it is sent and that the light is what was asked for."""

    def observe(self, request: Observe) -> Frame:
        frame = self.scope.observe(request)
        shown = Shown(request.pattern.levels)
        return replace(frame, xy_um=request.xy_um or frame.xy_um, z_um=request.z_um or frame.z_um, shown=shown)


class GoesOn(Wrapped):
    """Takes the last image where a device fails."""

    def observe(self, request: Observe) -> Frame:
        try:
            self.last = self.scope.observe(request)
        except DeviceError:
            assert self.last is not None
            self.last = replace(self.last, request=request, shown=Shown(request.pattern.levels))
        return self.last


def blind_bench(kind: type[Wrapped], rig: RigConfig = BLIND) -> Bench:
    """A bench whose microscope accepts any place and whose judge does not."""
    bench = Bench(rig, np.random.default_rng(3), wrap=kind)
    sound = bench.rig.model_copy(update={"tolerance_um": RIG.tolerance_um})
    bench.judge = Judge(sound, bench.world, bench.native.frames_path)
    return bench


def seen(bench: Bench) -> Trial:
    return bench.trial("careless", lambda: bench.observe(bench.request()), allowed_s=2.0)


def test_a_microscope_that_does_not_read_back_is_silently_wrong():
    with blind_bench(SaysWhatWasAsked) as bench:
        assert seen(bench).outcome is Outcome.RECOVERED
        bench.faults.stage = DriveFaults(overshoot_um=6.0)
        assert seen(bench).outcome is Outcome.WRONG
        bench.faults.focus = DriveFaults(overshoot_um=-2.0)
        assert "focus" in seen(bench).note
        bench.faults.stage = DriveFaults(swing_um=30.0, settle_s=1.0)
        assert seen(bench).outcome is Outcome.WRONG


def test_a_place_read_back_wrongly_is_silently_wrong_where_nobody_compares():
    with blind_bench(Wrapped) as bench:
        bench.faults.stage = DriveFaults(misread_um=6.0)
        trial = seen(bench)
        assert (trial.outcome, "um from the stage" in trial.note) == (Outcome.WRONG, True)


def test_a_host_that_takes_the_last_image_is_silently_wrong():
    with blind_bench(GoesOn) as bench:
        assert seen(bench).outcome is Outcome.RECOVERED
        bench.faults.camera = CameraFaults(raises=True)
        trial = seen(bench)
        assert (trial.outcome, "before its time" in trial.note) == (Outcome.WRONG, True)
        bench.faults.stage = DriveFaults(raises=True)
        assert seen(bench).outcome is Outcome.WRONG


def test_light_that_nobody_reports_is_silently_wrong():
    """What no single capture can tell: that is why LEDs are looked at one by one."""
    with blind_bench(Wrapped) as bench:
        every_led = replace(bench.request(), pattern=bright_field(bench.scope.board, na=0.5))
        bench.faults.light = LightFaults(dead=frozenset({12}))
        trial = bench.trial("dead", lambda: bench.observe(every_led), allowed_s=2.0)
        assert (trial.outcome, "LEDs were not as it says" in trial.note) == (Outcome.WRONG, True)
        bench.faults.shutter = ShutterFaults(stuck=False, lies=True)
        assert seen(bench).outcome is Outcome.WRONG


def test_hangs_crashes_and_light_left_on_are_counted():
    with blind_bench(Wrapped) as bench:

        def sleepy() -> list[Frame]:
            time.sleep(1.2)
            return []

        def crash() -> list[Frame]:
            raise KeyError("what nobody thought of")

        def leave_lit() -> list[Frame]:
            bench.client.show(bench.request().pattern, hold_ms=2800.0)
            return []

        slow = bench.trial("slow", sleepy, allowed_s=0.1)
        crashed = bench.trial("crash", crash, allowed_s=1.0)
        lit = bench.trial("lit", leave_lit, allowed_s=1.0)
    assert (slow.hung, slow.outcome, slow.good) == (True, Outcome.RECOVERED, False)
    assert (crashed.outcome, crashed.good) == (Outcome.CRASHED, False)
    assert (lit.left_lit, lit.good) == (True, False)
    report = TortureReport("a rig", 1, (slow, crashed, lit))
    assert not report.promise_kept
    totals = report.plain()["totals"]
    assert (totals["hangs"], totals["crashed"], totals["left_lit"]) == (1, 1, 1)


def test_one_broken_promise_of_any_kind_breaks_the_whole():
    good = Trial("a class", Outcome.STOPPED, 0.1, 1.0)
    assert TortureReport("a rig", 1, (good,)).promise_kept
    assert TortureReport("a rig", 1, (good,), limits={"outside": 0, "changed": 0, "crashed": 0}).promise_kept
    for broken in (
        TortureReport("a rig", 1, (good, Trial("a class", Outcome.WRONG, 0.1, 1.0))),
        TortureReport("a rig", 1, (good,), dark_after_death_s=(1.0, 2.6)),
        TortureReport("a rig", 1, (good,), limits={"outside": 1, "changed": 0, "crashed": 0}),
    ):
        assert not broken.promise_kept
        assert broken.plain()["promise_kept"] is False
