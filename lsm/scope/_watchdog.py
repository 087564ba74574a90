"""Waits of our own around driver calls that may never return."""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from lsm.errors import DeviceError, LsmError

T = TypeVar("T")

DRIVER_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What Micro-Manager raises (RuntimeError), and what Python devices and their proxies may raise."""

MEANWHILE_S = 0.5
"""Between two calls of what is done while a driver works."""


class _Job:
    """One call and, once `done`, what came of it; neither result nor error when it raised something unforeseen."""

    def __init__(self, work: Callable[[], Any], what: str) -> None:
        self.what = what
        self.done = threading.Event()
        self.result: list[Any] = []
        self.error: Exception | None = None
        self._work = work

    def run(self) -> None:
        try:
            self.result.append(self._work())
        except (LsmError, *DRIVER_ERRORS) as error:
            self.error = error
        finally:
            self.done.set()

    def wait(self, within_s: float, meanwhile: Callable[[], object] | None = None) -> bool:
        """Whether it is done within this time."""
        if meanwhile is None:
            return self.done.wait(within_s)
        deadline_s = time.monotonic() + within_s
        while not self.done.wait(max(0.0, min(MEANWHILE_S, deadline_s - time.monotonic()))):
            if time.monotonic() >= deadline_s:
                return False
            meanwhile()
        return True


class Watchdog:
    """Calls into drivers, each with a time after which the caller gets an error instead of waiting on.

    All calls run on one thread, which does not keep the interpreter alive. A call that does not return cannot
    be ended from outside: the thread stays with it, and every later call is refused until it has returned,
    because a driver is not to be entered twice. One whose caller was interrupted (Ctrl-C) keeps its time; later
    calls wait for it.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hanging: _Job | None = None
        self._deserted: tuple[_Job, float] | None = None

    def call(
        self,
        work: Callable[[], T],
        *,
        what: str,
        within_s: float,
        error: type[DeviceError],
        meanwhile: Callable[[], object] | None = None,
    ) -> T:
        """The result of `work()`. Raises `error` when it fails or takes longer; an LsmError passes unchanged.

        meanwhile: called every `MEANWHILE_S` on the caller's thread, while `work` is on its way.
        """
        self._await_deserted()
        self.refuse_while_hanging(error)
        job = _Job(work, what)
        self._start()
        self._jobs.put(job)
        self._deserted = (job, time.monotonic() + within_s)
        came_back = job.wait(within_s, meanwhile)
        self._deserted = None
        if not came_back:
            self._hanging = job
            raise error(
                f"{what} has not come back within {within_s:g} s.",
                hint="check the device and its cable, then restart; timeouts_s in the rig file sets the time",
            )
        if isinstance(job.error, LsmError):
            raise job.error
        if job.error is not None or not job.result:
            raise error(f"{what} failed: {job.error}.", hint="check the device and its cable") from job.error
        result: T = job.result[0]
        return result

    def refuse_while_hanging(self, error: type[DeviceError]) -> None:
        """Raise `error` while an earlier call has not returned."""
        if self._hanging is not None and not self._hanging.done.is_set():
            raise error(
                f"{self._hanging.what} still has not come back from an earlier request.", hint="restart the program"
            )
        self._hanging = None

    def close(self) -> None:
        """End the thread when it has nothing left to do."""
        self._jobs.put(None)
        self._thread = None

    def _await_deserted(self) -> None:
        if self._deserted is None:
            return
        job, deadline_s = self._deserted
        if not job.done.wait(max(0.0, deadline_s - time.monotonic())):
            self._hanging = job
        self._deserted = None

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._jobs = SimpleQueue()
            self._thread = threading.Thread(target=_work, args=(self._jobs,), daemon=True, name="lsm driver calls")
            self._thread.start()


def _work(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.run()
