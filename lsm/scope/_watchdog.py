"""Waits of our own around driver calls that may never return."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from lsm.errors import DeviceError, LsmError

T = TypeVar("T")

DRIVER_ERRORS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What Micro-Manager raises (RuntimeError), and what Python devices and their proxies may raise."""


class _Work(threading.Thread, Generic[T]):
    """One call on its own thread, which does not keep the interpreter alive."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(daemon=True, name="lsm driver call")
        self._work = work
        self.result: list[T] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result.append(self._work())
        except (LsmError, *DRIVER_ERRORS) as error:
            self.error = error


class Watchdog:
    """Calls into drivers, each with a time after which the caller gets an error instead of waiting on.

    A call that does not return cannot be ended from outside: its thread stays behind, and every later call is
    refused until it has returned, because a driver is not to be entered twice.
    """

    def __init__(self) -> None:
        self._hanging: tuple[threading.Thread, str] | None = None

    def call(self, work: Callable[[], T], *, what: str, within_s: float, error: type[DeviceError]) -> T:
        """The result of `work()`. Raises `error` when it fails or takes longer; an LsmError passes unchanged."""
        self._refuse_while_hanging(error)
        thread = _Work(work)
        thread.start()
        thread.join(within_s)
        if thread.is_alive():
            self._hanging = (thread, what)
            raise error(
                f"{what} has not come back within {within_s:g} s.",
                hint="check the device and its cable, then restart; timeouts_s in the rig file sets the time",
            )
        if isinstance(thread.error, LsmError):
            raise thread.error
        if thread.error is not None or not thread.result:
            raise error(f"{what} failed: {thread.error}.", hint="check the device and its cable") from thread.error
        return thread.result[0]

    def _refuse_while_hanging(self, error: type[DeviceError]) -> None:
        if self._hanging is None:
            return
        thread, what = self._hanging
        if thread.is_alive():
            raise error(f"{what} still has not come back from an earlier request.", hint="restart the program")
        self._hanging = None
