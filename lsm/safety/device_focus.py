"""A rig's own autofocus, watched: it moves the focus itself, past every limit of a request."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsm.errors import ConfigError, DeviceError, LimitExceeded, LsmError, StageError
from lsm.safety.limits import Interval

POLL_S = 0.002
STOP_S = 0.5
"""For the drive to take the order to stop."""

# what Micro-Manager's core and Python devices raise; its C++ errors arrive as RuntimeError
DEVICE_FAILURES = (RuntimeError, ValueError, OSError, AttributeError, KeyError, TypeError)


@dataclass(frozen=True)
class DeviceFocus:
    """Where the rig's autofocus ended.

    lowest_um, highest_um: extremes of `looks` read-backs on the way. blind_s: longest time between two of them.
    """

    z_um: float
    lowest_um: float
    highest_um: float
    looks: int
    blind_s: float
    took_s: float


def guarded_device_focus(
    core: Any,
    *,
    z_um: Interval,
    focus: str = "",
    margin_um: float = 0.0,
    within_s: float = 30.0,
    most_blind_s: float = 0.5,
) -> DeviceFocus:
    """Run Micro-Manager's autofocus (`full_focus`) and stop the focus drive when it leaves `z_um`.

    core: of pycromanager, reached by its snake-case methods. focus: label of the drive; empty takes the core's.
    margin_um: distance from the ends of `z_um` at which it is stopped already: the drive's speed times `POLL_S`
    and its stopping time.

    Raises ConfigError without an autofocus or a drive, and for an unsafe start: the focus outside `z_um`, or a
    hardware focus lock that is on. Raises LimitExceeded when the drive left `z_um`: it was stopped, and taken
    back to where it started once the autofocus had ended. Raises StageError for an autofocus that fails or does not
    end within `within_s`, and for one that cannot be watched: Micro-Manager lets nobody read or stop a drive while
    another device of the same adapter library is at work, so there only the drive's own limits protect.
    After `within_s`, and after Ctrl-C, the drive is told to stop, and watched until the autofocus has ended.
    """
    drive = focus or str(core.get_focus_device())

    def work(given_up: threading.Event) -> DeviceFocus:
        _refuse_unsafe_start(core, drive, z_um)
        return _watched(core, drive, z_um, margin_um, most_blind_s, given_up)

    guarding = _Guarding(work)
    try:
        in_time = guarding.ended.wait(within_s)
    finally:
        guarding.given_up.set()
    if not in_time:
        told = "was told to stop" if guarding.ended.wait(STOP_S) else "cannot be reached, or still moves"
        raise StageError(
            f"The autofocus of '{drive}' does not end within {within_s:g} s; the drive {told}.",
            hint="look at the autofocus in Micro-Manager before anything else moves, or switch the drive off",
        )
    return guarding.outcome()


def _watched(
    core: Any, drive: str, z_um: Interval, margin_um: float, most_blind_s: float, given_up: threading.Event
) -> DeviceFocus:
    watch = _Watch(core, drive, (z_um[0] + margin_um, z_um[1] - margin_um))
    started_um, began_s = watch.z_um, time.monotonic()
    working = _Working(core)
    while working.is_alive():
        working.join(POLL_S)
        watch.look()
        if given_up.is_set():
            watch.stop()
    watch.look()
    if watch.left:
        watch.take_back(started_um)
        raise LimitExceeded(
            f"The autofocus drove '{drive}' to between {watch.lowest_um:g} and {watch.highest_um:g} um, outside the "
            f"rig's limit z_um = [{z_um[0]:g}, {z_um[1]:g}]; it was stopped and taken back to {started_um:g} um.",
            hint="narrow the search range of the autofocus, or start nearer to focus",
        )
    if working.failure is not None:
        raise StageError(f"The autofocus failed: {working.failure}.", hint="try it in Micro-Manager") from (
            working.failure
        )
    if watch.blind_s > most_blind_s:
        raise StageError(
            f"The autofocus could not be watched for {watch.blind_s:.2f} s, with {most_blind_s:g} s allowed.",
            hint="set the limits of the drive itself in its controller, or focus by image sharpness",
        )
    took_s = time.monotonic() - began_s
    return DeviceFocus(watch.z_um, watch.lowest_um, watch.highest_um, watch.looks, watch.blind_s, took_s)


def refuse_focus_lock(core: Any) -> None:
    """Raise ConfigError while Micro-Manager's continuous focus is on: it moves the focus between requests."""
    if bool(core.is_continuous_focus_enabled()):
        raise ConfigError(
            "The hardware focus lock (continuous focus) is on and moves the focus past the rig's limits.",
            hint="switch it off in Micro-Manager",
        )


class _Watch:
    """Reads the drive's position and stops it outside the interval. Raises StageError where it cannot be read."""

    def __init__(self, core: Any, drive: str, interval_um: Interval) -> None:
        self._core, self._drive, self._interval_um = core, drive, interval_um
        self.looks, self.blind_s, self.left = 0, 0.0, False
        self.z_um = self.lowest_um = self.highest_um = self._read()
        self._seen_s = time.monotonic()

    def look(self) -> None:
        z_um = self._read()
        now_s = time.monotonic()
        self.blind_s, self._seen_s = max(self.blind_s, now_s - self._seen_s), now_s
        self.looks += 1
        self.z_um = z_um
        self.lowest_um, self.highest_um = min(self.lowest_um, z_um), max(self.highest_um, z_um)
        if not self._interval_um[0] <= z_um <= self._interval_um[1]:
            self.left = True
            self.stop()

    def stop(self) -> None:
        self._do(lambda: self._core.stop(self._drive), "be stopped")

    def take_back(self, z_um: float) -> None:
        def back() -> None:
            self._core.set_position(self._drive, z_um)
            self._core.wait_for_device(self._drive)

        self._do(back, "be taken back")

    def _read(self) -> float:
        return float(self._do(lambda: self._core.get_position(self._drive), "be read"))

    def _do(self, work: Any, what: str) -> Any:
        try:
            return work()
        except DEVICE_FAILURES as error:
            raise StageError(
                f"Focus '{self._drive}' cannot {what} beside the autofocus: {error}.",
                hint="switch the drive off if it still moves",
            ) from error


class _Guarding(threading.Thread):
    """The guard at work, in a thread of its own: a drive that hangs must not hold up the caller, nor Ctrl-C end it.

    given_up: nobody waits any more; the drive is to stand still. ended: to be waited for, because Ctrl-C during join()
    makes a Thread take itself for dead.
    """

    def __init__(self, work: Callable[[threading.Event], DeviceFocus]) -> None:
        super().__init__(name="autofocus guard", daemon=True)
        self.given_up, self.ended = threading.Event(), threading.Event()
        self._work = work
        self._found: DeviceFocus | None = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._found = self._work(self.given_up)
        except (LsmError, *DEVICE_FAILURES) as error:
            self._error = error
        finally:
            self.ended.set()

    def outcome(self) -> DeviceFocus:
        """What was found. Raises what the work raised."""
        if self._found is None:
            raise self._error or StageError("The autofocus has ended without a result.", hint="try it again")
        return self._found


class _Working(threading.Thread):
    """The autofocus at work, in a thread of its own because the call lasts until it has ended."""

    def __init__(self, core: Any) -> None:
        super().__init__(name="autofocus", daemon=True)
        self._core = core
        self.failure: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._core.full_focus()
        except DEVICE_FAILURES as error:
            self.failure = error


def _refuse_unsafe_start(core: Any, drive: str, z_um: Interval) -> None:
    try:
        device = str(core.get_auto_focus_device())
        if not device or not drive:
            raise ConfigError(
                f"The rig has no {'focus drive' if device else 'autofocus device'}.",
                hint="choose one in Micro-Manager's configuration, or focus by image sharpness",
            )
        refuse_focus_lock(core)
        start_um = float(core.get_position(drive))
    except DEVICE_FAILURES as error:
        raise DeviceError(f"Focus '{drive}' does not answer: {error}.", hint="check its connection") from error
    if not z_um[0] <= start_um <= z_um[1]:
        raise ConfigError(
            f"Focus '{drive}' is at {start_um:g} um, outside [{z_um[0]:g}, {z_um[1]:g}]: no autofocus from there.",
            hint="bring it inside by hand, or by a request, first",
        )
