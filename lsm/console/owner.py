"""The one thread that works with the microscope: commands in order, the live view in between, one run at a time.

Only `halt` goes past it, from any thread. See decision 0017.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from lsm.console.light import lit
from lsm.console.pictures import Pictures
from lsm.console.state import StateBoard, Told
from lsm.devices import Frame, Microscope, Observe
from lsm.errors import DeviceError, Halted, LsmError
from lsm.illum import Pattern, dark
from lsm.safety import Interlock
from lsm.safety.limits import inside

T = TypeVar("T")

MOST_WAITING = 16
LIVE_S = 0.05
"""Between the starts of two frames of the live view, at least."""
UNFORESEEN = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class Busy(LsmError):
    """The microscope has something else to do."""


@dataclass(frozen=True)
class _Job:
    what: str
    work: Callable[[], Any]
    future: "Future[Any]"
    run: bool


class Owner:
    """Owns the microscope until `close`, which closes it.

    Commands are refused with Busy while a run is on, unless it is paused, and while too many wait.
    """

    def __init__(self, scope: Interlock, state: StateBoard, pictures: Pictures, *, exposure_ms: float) -> None:
        self.scope, self.state, self.pictures = scope, state, pictures
        self.pattern: Pattern = dark(scope.board)
        self.exposure_ms = exposure_ms
        self.last: Frame | None = None
        self._jobs: deque[_Job] = deque()
        self._change = threading.Condition()
        self._live = self._closing = self._running = self._paused = False
        self._thread = threading.Thread(target=self._work, name="lsm console owner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the live view and any run at its next capture, then close the microscope."""
        with self._change:
            self._closing, self._paused = True, False
            self._change.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self.scope.close()
        self.pictures.close()

    @property
    def closing(self) -> bool:
        return self._closing

    def submit(self, what: str, work: Callable[[], T], *, run: bool = False) -> "Future[T]":
        """Have `work` done by the owner's thread. run: it lasts, and refuses other commands unless it is paused.

        Raises Busy.
        """
        future: Future[T] = Future()
        with self._change:
            if self._closing:
                raise Busy("The console is being closed.")
            if self._running and (run or not self._paused):
                raise Busy(f"A run is on: {what} has to wait.", hint="pause or stop the run first")
            if len(self._jobs) >= MOST_WAITING:
                raise Busy("The microscope is busy with earlier commands.", hint="try again when they are done")
            self._running = self._running or run
            self._jobs.append(_Job(what, work, future, run))
            self._change.notify_all()
        return future

    def show_live(self, on: bool) -> None:
        """Take frames with the present light all the time, or not."""
        with self._change:
            self._live = on
            self._change.notify_all()
        self._tell()

    def halt(self) -> float:
        """Dark and still, at once; milliseconds until the board had acknowledged. From any thread.

        A run that is on ends at what it was doing, and can be gone on with later. Raises as Interlock.halt does.
        """
        started_s = time.monotonic()
        self._live = False
        try:
            self.scope.halt()
        finally:
            took_ms = 1000 * (time.monotonic() - started_s)
            with self._change:
                self._paused = False
                self._change.notify_all()
            self._tell()
        self.state.note(f"STOP: dark after {took_ms:.0f} ms.", kind="warning")
        return took_ms

    def release(self) -> None:
        """Serve again after `halt`; on the owner's thread."""
        self.scope.release()
        self.state.change("machine", fault=None)
        self.state.note("The stop was released.")
        self._tell()

    def exchange(self, opened: Callable[[], Microscope]) -> None:
        """Work with the rig as `opened` connects it anew; on the owner's thread. See Interlock.exchange."""
        self.scope.exchange(opened)
        if self.pattern.board != self.scope.board.digest:
            self.set_light(dark(self.scope.board))
        self._tell()

    def look(self, xy_um: tuple[float, float] | None = None, z_um: float | None = None) -> Frame:
        """One frame with the present light, there; on the owner's thread. Raises as Interlock.observe does."""
        frame = self.scope.observe(Observe(self.pattern, self.exposure_ms, xy_um, z_um))
        self.publish(frame)
        return frame

    def publish(self, frame: Frame) -> None:
        """Show a frame, where it was taken and under which light."""
        self.last = frame
        self.state.change(
            "light",
            shown_name=frame.request.pattern.name,
            shown=lit(frame.shown.levels),
            limited=frame.shown.limited,
            latch=frame.shown.latch,
        )
        self.state.change("machine", xy_um=frame.xy_um, z_um=frame.z_um, fault=None)
        self._tell()
        self.pictures.put(frame)

    def set_light(self, pattern: Pattern, **asked: Any) -> None:
        """The light of the next frames. asked: `colour` and `brightness` that it was asked for with."""
        self.pattern = pattern
        choice = self.state.now.light.choice + 1
        self.state.change("light", name=pattern.name, asked=lit(pattern.levels), choice=choice, **asked)

    def set_exposure(self, exposure_ms: float) -> None:
        """The exposure of the next frames. Raises LimitExceeded."""
        inside("exposure_ms", exposure_ms, self.scope.limits.exposure_ms)
        self.exposure_ms = exposure_ms
        self._tell()

    def pause(self, paused: bool) -> None:
        """Have a run wait before its next capture, or go on."""
        with self._change:
            if self._running:
                self._paused, self._live = paused, False
            self._change.notify_all()
        self._tell()

    def wait_while_paused(self) -> bool:
        """On the owner's thread, from within a run: serve commands and the live view until it goes on.

        Returns whether it had to wait.
        """
        waited = False
        while self._paused and not self._closing:
            waited = True
            self._serve_one(inside=True)
        return waited

    def _work(self) -> None:
        self._tell()
        while not self._closing:
            self._serve_one(inside=False)
        for job in self._jobs:
            job.future.cancel()

    def _serve_one(self, *, inside: bool) -> None:
        """The next command, else a live frame, else wait for either. inside: a run that is paused."""
        with self._change:
            if not self._jobs and not self._live:
                self._change.wait_for(
                    lambda: self._jobs or self._live or self._closing or (inside and not self._paused), timeout=1.0
                )
            job = self._jobs.popleft() if self._jobs else None
        if job is not None:
            self._do(job, inside=inside)
        elif self._live and not self._closing:
            self._live_frame()

    def _do(self, job: "_Job", *, inside: bool) -> None:
        try:
            if job.future.set_running_or_notify_cancel():
                self._attempt(job, inside=inside)
        finally:
            if job.run:
                with self._change:
                    self._running = self._paused = False
            self._tell()

    def _attempt(self, job: "_Job", *, inside: bool) -> None:
        if inside or not self._running:
            self.state.change("machine", doing="busy")
        try:
            result = job.work()
        except (LsmError, *UNFORESEEN) as error:
            self._failed(job.what, error)
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _live_frame(self) -> None:
        started_s = time.monotonic()
        try:
            self.look()
        except (LsmError, *UNFORESEEN) as error:
            self._live = False
            self._failed("Live view", error)
            self._tell()
        left_s = LIVE_S - (time.monotonic() - started_s)
        with self._change:
            if left_s > 0 and not self._jobs and self._live:
                self._change.wait_for(lambda: self._jobs or not self._live or self._closing, timeout=left_s)

    def _failed(self, what: str, error: Exception) -> None:
        if isinstance(error, Halted):
            return
        if not isinstance(error, LsmError):
            self.state.note(f"{what}: {type(error).__name__}: {error}", hint="this is a fault of lsm", kind="fault")
            return
        if isinstance(error, DeviceError):
            self.state.change("machine", fault=Told(message=error.message, hint=error.hint))
        kind: Any = "fault" if isinstance(error, DeviceError) else "warning"
        self.state.note(f"{what}: {error.message}", hint=error.hint, kind=kind)

    def _tell(self) -> None:
        """What the machine is doing, for those who look."""
        machine = self.state.now.machine
        doing: Any = "live" if self._live else "idle"
        if machine.fault is not None:
            doing = "fault"
        if self._running:
            doing = "paused" if self._paused else "running"
        if self.scope.halted:
            doing = "stopped"
        self.state.change(
            "machine",
            doing=doing,
            live=self._live,
            halted=self.scope.halted,
            exposure_ms=self.exposure_ms,
            dose_led_ms=round(self.scope.spent_led_ms, 1),
        )
