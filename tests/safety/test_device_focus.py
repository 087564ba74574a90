"""A rig's own autofocus is watched: Micro-Manager's demonstration drive, and autofocus devices that run away."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lsm.errors import ConfigError, LimitExceeded, StageError
from lsm.safety import guarded_device_focus
from lsm.scope import RigConfig, find_rig
from lsm.scope._pymmcore import close_core, open_core

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")

RANGE_UM = (-50.0, 50.0)
STEP_UM, STEP_S = 1.0, 0.001


@pytest.fixture(scope="module")
def demo() -> Iterator[Any]:
    rig = RigConfig.from_file(find_rig("demo_camera"))
    assert rig.cfg is not None
    core = open_core(rig.cfg, adapters=rig.micro_manager)
    yield core
    close_core(core)


@pytest.fixture
def core(demo: Any) -> Any:
    demo.set_position(demo.get_focus_device(), 5.0)
    demo.wait_for_device(demo.get_focus_device())
    return demo


class OtherAutofocus:
    """The core with another autofocus: one that does `work` with a drive that heeds stop() or does not."""

    def __init__(self, core: Any, work: Callable[["OtherAutofocus"], None]) -> None:
        self._core, self._work = core, work
        self.stopped = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def full_focus(self) -> None:
        self._work(self)

    def stop(self, label: str) -> None:
        self.stopped.set()
        self._core.stop(label)

    def creep(self, end_um: float, *, heeds: bool = True) -> None:
        """Drive towards `end_um` as a motor does, a step in each millisecond."""
        drive = self._core.get_focus_device()
        way_um = end_um - self._core.get_position(drive)
        for _ in range(int(abs(way_um) / STEP_UM)):
            if heeds and self.stopped.is_set():
                return
            self._core.set_relative_position(drive, STEP_UM if way_um > 0 else -STEP_UM)
            time.sleep(STEP_S)


def test_the_demonstration_autofocus_runs_under_guard(core: Any):
    found = guarded_device_focus(core, z_um=RANGE_UM)
    assert found.z_um == pytest.approx(5.0, abs=0.02)
    assert found.looks > 0


def test_an_autofocus_that_stays_inside_is_let_alone(core: Any):
    found = guarded_device_focus(OtherAutofocus(core, lambda other: other.creep(35.0)), z_um=RANGE_UM)
    # the demonstration drive moves in steps of 0.015 um, thirty times
    assert found.z_um == found.highest_um == pytest.approx(35.0, abs=0.5)
    assert found.lowest_um == pytest.approx(5.0, abs=STEP_UM)
    assert found.looks >= 5


@pytest.mark.parametrize("end_um", [200.0, -200.0])
def test_one_that_runs_away_is_stopped_and_taken_back(core: Any, end_um: float):
    runaway = OtherAutofocus(core, lambda other: other.creep(end_um))
    with pytest.raises(LimitExceeded, match=r"z_um = \[-50, 50\]") as refusal:
        guarded_device_focus(runaway, z_um=RANGE_UM, margin_um=10.0)
    assert runaway.stopped.is_set()
    lowest, highest = (float(text.split()[-1]) for text in str(refusal.value).split(" um, outside")[0].split(" and "))
    # looked at every few milliseconds: ten steps of margin are enough to stay within the range itself
    assert -50.0 <= lowest <= highest <= 50.0
    assert core.get_position(core.get_focus_device()) == pytest.approx(5.0, abs=0.02)


def test_one_that_does_not_heed_is_reported_and_taken_back_once_it_ends(core: Any):
    deaf = OtherAutofocus(core, lambda other: other.creep(80.0, heeds=False))
    with pytest.raises(LimitExceeded):
        guarded_device_focus(deaf, z_um=RANGE_UM)
    assert core.get_position(core.get_focus_device()) == pytest.approx(5.0, abs=0.02)


def test_one_that_never_ends_is_stopped(core: Any):
    def forever(other: OtherAutofocus) -> None:
        other.stopped.wait(20.0)

    began_s = time.monotonic()
    with pytest.raises(StageError, match="does not end"):
        guarded_device_focus(OtherAutofocus(core, forever), z_um=RANGE_UM, within_s=0.2)
    assert time.monotonic() - began_s < 2.0


def test_one_that_fails_says_so(core: Any):
    def fail(other: OtherAutofocus) -> None:
        raise RuntimeError("no reflection found")

    with pytest.raises(StageError, match="no reflection found"):
        guarded_device_focus(OtherAutofocus(core, fail), z_um=RANGE_UM)


class Unwatchable(OtherAutofocus):
    """A drive of the same adapter library: nobody can ask it while its neighbour works."""

    _lock = threading.Lock()

    def full_focus(self) -> None:
        with self._lock:
            super().full_focus()

    def get_position(self, label: str) -> float:
        with self._lock:
            return float(self._core.get_position(label))


def test_one_that_cannot_be_watched_is_not_trusted(core: Any):
    hidden = Unwatchable(core, lambda other: time.sleep(0.4))
    with pytest.raises(StageError, match="could not be watched"):
        guarded_device_focus(hidden, z_um=RANGE_UM, most_blind_s=0.2)
    astray = Unwatchable(core, lambda other: other.creep(80.0))
    with pytest.raises(LimitExceeded):
        guarded_device_focus(astray, z_um=RANGE_UM)
    assert core.get_position(core.get_focus_device()) == pytest.approx(5.0, abs=0.02)


def test_one_that_hangs_with_the_drive_is_an_error_all_the_same(core: Any):
    freed = threading.Event()
    hanging = Unwatchable(core, lambda other: freed.wait(20.0) and None)
    began_s = time.monotonic()
    try:
        with pytest.raises(StageError, match="cannot be reached"):
            guarded_device_focus(hanging, z_um=RANGE_UM, within_s=0.2)
        assert time.monotonic() - began_s < 2.0
    finally:
        freed.set()
        for thread in threading.enumerate():
            if thread.name.startswith("autofocus"):
                thread.join(10.0)


def test_ctrl_c_stops_the_drive_and_the_guard_stays_until_the_autofocus_ends(core: Any):
    def creep_with_ctrl_c(other: OtherAutofocus) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        other.creep(80.0, heeds=False)
        gone.set()

    gone = threading.Event()
    interrupted = OtherAutofocus(core, creep_with_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        guarded_device_focus(interrupted, z_um=RANGE_UM)
    assert interrupted.stopped.wait(2.0)
    # it does not heed, leaves the range, and is taken back
    assert gone.wait(5.0)
    deadline_s = time.monotonic() + 5.0
    while core.get_position(core.get_focus_device()) > 6.0 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert core.get_position(core.get_focus_device()) == pytest.approx(5.0, abs=0.02)


def test_no_autofocus_from_outside_or_without_a_device(core: Any, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="outside"):
        guarded_device_focus(core, z_um=(10.0, 50.0))
    other = OtherAutofocus(core, lambda other: None)
    monkeypatch.setattr(other, "is_continuous_focus_enabled", lambda: True, raising=False)
    with pytest.raises(ConfigError, match="continuous focus"):
        guarded_device_focus(other, z_um=RANGE_UM)
    monkeypatch.setattr(other, "get_auto_focus_device", lambda: "", raising=False)
    with pytest.raises(ConfigError, match="no autofocus"):
        guarded_device_focus(other, z_um=RANGE_UM)
