"""A microscope that refuses what the rig may not do, whoever asks."""

import threading
from types import TracebackType

from lsm.devices import Frame, Microscope, Observe
from lsm.illum import LedBoard
from lsm.safety.limits import Limits, requested_dose_led_ms


class Interlock:
    """The microscope given, behind `limits`: a request outside them reaches no device.

    Also a context manager that closes the microscope. Requests from several threads are served one by one.
    The dose of a capture is charged when it begins, so one that fails half-way is paid in full; attempts that
    the microscope repeated (Frame.metadata["attempts"]) are paid each.
    """

    def __init__(self, microscope: Microscope, limits: Limits) -> None:
        self.limits = limits
        self.microscope = microscope
        self._spent_led_ms = 0.0
        self._one_at_a_time = threading.Lock()

    @property
    def board(self) -> LedBoard:
        return self.microscope.board

    @property
    def spent_led_ms(self) -> float:
        """Light dose charged so far: LED channels at full drive times milliseconds."""
        return self._spent_led_ms

    def observe(self, request: Observe) -> Frame:
        """The frame of the guarded microscope. Raises LimitExceeded before anything moves or shines."""
        with self._one_at_a_time:
            self.limits.check(request, spent_led_ms=self._spent_led_ms)
            dose = requested_dose_led_ms(request)
            self._spent_led_ms += dose
            frame = self.microscope.observe(request)
            self._spent_led_ms += dose * (int(frame.metadata.get("attempts", "1")) - 1)
            return frame

    def close(self) -> None:
        self.microscope.close()

    def __enter__(self) -> "Interlock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
