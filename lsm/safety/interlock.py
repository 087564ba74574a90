"""A microscope that refuses what the rig may not do, whoever asks."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType

from lsm.devices import (
    Burst,
    BurstMicroscope,
    CurrentLimited,
    Frame,
    HaltingMicroscope,
    LocatedMicroscope,
    Microscope,
    Observe,
)
from lsm.errors import DeviceError, Halted, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, dark
from lsm.safety.light import Clock, LightBudget
from lsm.safety.limits import Limits, plain_burst, plain_request, requested_dose_led_ms
from lsm.safety.travel import Pace, Place, route

MOVED_UM = 1.0
"""Beyond what was last read, from which on something else has moved an axis; less is drift and noise of encoders."""


@dataclass(frozen=True)
class NotConnected:
    """In the place of a microscope that could not be connected again."""

    board: LedBoard

    def observe(self, request: Observe) -> Frame:
        raise DeviceError("The rig is not connected.", hint="connect it again; see the fault before this one")

    def close(self) -> None:
        """There is nothing to close."""


class Interlock:
    """The microscope given, behind `limits`: a request outside them reaches no device and charges nothing.

    Also a context manager that closes the microscope. Requests from several threads are served one by one.
    The dose of a capture is charged when it begins, so one that fails half-way is paid in full; attempts that
    the microscope repeated (Frame.metadata["attempts"]) are paid each, and one that a device failed is paid twice:
    microscopes repeat a capture once before they give up. One that the microscope itself refuses costs nothing.

    Before a request that moves anything, a LocatedMicroscope is asked where it is, so that what a joystick has moved
    counts, and the stage goes nowhere while the focus is outside z_um. With another microscope that is known from
    frames alone: where limits depend on the place and it is not known (at first, and after a failure), a dark frame
    that moves nothing reads it back, and what a joystick moves in between is seen in the next frame only.
    A move by way of safe_z_um ends each of its steps with a dark frame. Devices get plain floats, whatever the
    request held. clock: to wait for the speed limits, and over which LEDs cool.
    """

    def __init__(self, microscope: Microscope, limits: Limits, *, clock: Clock | None = None) -> None:
        self.limits = limits
        self.microscope = microscope
        clock = clock or Clock()
        self._light = LightBudget(limits, clock)
        self._pace = Pace(limits, clock)
        # where it was sent, which is checked, and what was read there, which differs a little
        self._at: Place | None = None
        self._read: Place | None = None
        self._one_at_a_time = threading.Lock()
        self._halted = threading.Event()

    @property
    def board(self) -> LedBoard:
        return self.microscope.board

    @property
    def spent_led_ms(self) -> float:
        """Light dose charged so far: LED channels at full drive times milliseconds."""
        return self._light.total_led_ms

    def spent_at_led_ms(self, xy_um: tuple[float, float]) -> float:
        """Most of it that any point seen from this stage position may have had."""
        return self._light.at_led_ms(xy_um)

    @property
    def mean_current_ma(self) -> float:
        """What heats the board: the mean over limits.thermal_s; 0 where mean_current_ma is not limited."""
        return self._light.mean_current_ma

    def observe(self, request: Observe) -> Frame:
        """The frame of the guarded microscope.

        Raises LimitExceeded, or WrongFormat for what is no request, before anything moves or shines.
        """
        plain = plain_request(request)
        with self._one_at_a_time:
            last = self._admit((plain,), plain)
            return _as_asked(self._capture(last), plain)

    def burst(self, request: Burst) -> tuple[Frame, ...]:
        """The frames of a burst, one by one where the microscope has none; checked as a whole before anything moves.

        A burst of the microscope is charged as it begins, captures one by one each as it begins.
        Raises as observe does.
        """
        plain = plain_burst(request)
        captures = plain.requests()
        if not captures:
            raise WrongFormat("A burst has no patterns.", hint="give at least one")
        with self._one_at_a_time:
            last = self._admit(captures, captures[0])
            if not isinstance(self.microscope, BurstMicroscope):
                first = self._capture(last)
                frames = (first, *(self._capture(replace(capture, z_um=last.z_um)) for capture in captures[1:]))
            else:
                frames = self._burst(self.microscope, replace(plain, z_um=last.z_um))
            return tuple(_as_asked(frame, each) for frame, each in zip(frames, captures, strict=True))

    def current_limit_ma(self) -> float | None:
        """Of the guarded microscope, above which it dims a light; None where it tells of none."""
        return self.microscope.current_limit_ma() if isinstance(self.microscope, CurrentLimited) else None

    def charge(self, frame: Frame) -> None:
        """Count the light of a frame from before this rig was connected, such as one of a run that goes on."""
        dose = max(requested_dose_led_ms(frame.request), frame.light_dose)
        with self._one_at_a_time:
            self._light.recall(dose * _attempts(frame), frame.xy_um)

    @property
    def halted(self) -> bool:
        """Whether somebody has stopped it and nobody has released it."""
        return self._halted.is_set()

    def halt(self) -> None:
        """Dark and still, at once, from any thread, past whoever is being served; what is asked then raises Halted.

        A microscope that cannot halt ends the capture under way. Raises as HaltingMicroscope.halt does.
        """
        self._halted.set()
        microscope = self.microscope
        if isinstance(microscope, HaltingMicroscope):
            try:
                microscope.halt()
            except DeviceError:
                # one that is being closed is dark already
                if microscope is self.microscope:
                    raise

    def release(self) -> None:
        """Serve requests again, once the one that was halted has ended; moves and lights nothing."""
        with self._one_at_a_time:
            self._at = None
            if isinstance(self.microscope, HaltingMicroscope):
                self.microscope.release()
            self._halted.clear()

    def exchange(self, opened: Callable[[], Microscope]) -> None:
        """Close the guarded microscope and guard the one that `opened` returns, such as the same rig connected anew.

        Limits, the light that was given and a stop stay: one that is pressed meanwhile holds for the other too.
        Raises Halted while it is stopped, and what `opened` raises; then there is no microscope until the next
        exchange, and requests raise DeviceError.
        """
        with self._one_at_a_time:
            self._refuse_halted()
            before, self._at = self.microscope, None
            self.microscope = NotConnected(before.board)
            before.close()
            self.microscope = opened()
            # who pressed stop before the line above met the one that was not connected
            if self.halted and isinstance(self.microscope, HaltingMicroscope):
                self.microscope.halt()

    def moved_by_others(self) -> None:
        """Say that something else has moved stage or focus, such as the rig's own autofocus."""
        with self._one_at_a_time:
            self._at = None

    def close(self) -> None:
        self.microscope.close()

    def __enter__(self) -> "Interlock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _admit(self, captures: Sequence[Observe], first: Observe) -> Observe:
        """Check everything, then bring the stage to where only the request itself is left; returns that one."""
        self._refuse_halted()
        for capture in captures:
            self.limits.check(capture, spent_led_ms=self._light.total_led_ms)
        known = self._located(first)
        self._light.check(captures, self._end_xy(first))
        if known is None:
            return first
        end = Place(
            known.xy_um if first.xy_um is None else first.xy_um, known.z_um if first.z_um is None else first.z_um
        )
        stations = route(self.limits, known, end)
        for station in stations[:-1]:
            self._pace.wait(known, station)
            self._look(station, first.exposure_ms, known)
            known = station
        self._pace.wait(known, end)
        # after a detour the focus has to go back to where it was
        return replace(first, z_um=end.z_um) if len(stations) > 1 else first

    def _refuse_halted(self) -> None:
        if self._halted.is_set():
            raise Halted

    def _end_xy(self, request: Observe) -> tuple[float, float] | None:
        if request.xy_um is not None:
            return request.xy_um
        return None if self._at is None else self._at.xy_um

    def _located(self, request: Observe) -> Place | None:
        """Where it is, if that matters for the request."""
        moves = request.xy_um is not None or request.z_um is not None
        depends = self.limits.depend_on_place
        if isinstance(self.microscope, LocatedMicroscope) and (moves or (depends and self._at is None)):
            now = Place(*self.microscope.where())
            if self._at is None or self._read is None or not now.near(self._read, MOVED_UM):
                self._at = now
            self._read = now
            return self._at
        if not depends:
            return None
        if self._at is None:
            frame = self.microscope.observe(Observe(dark(self.board), request.exposure_ms))
            self._at = Place(frame.xy_um, frame.z_um)
        return self._at

    def _look(self, station: Place, exposure_ms: float, before: Place) -> None:
        """Go to a station in the dark, moving only what has to."""
        xy_um = None if station.xy_um == before.xy_um else station.xy_um
        z_um = None if station.z_um == before.z_um else station.z_um
        if xy_um is None and z_um is None:
            return
        self._refuse_halted()
        self._at = None
        frame = self.microscope.observe(Observe(dark(self.board), exposure_ms, xy_um, z_um))
        self._at, self._read = station, Place(frame.xy_um, frame.z_um)

    def _capture(self, request: Observe) -> Frame:
        self._refuse_halted()
        xy_um = self._end_xy(request)
        with self._paid((request,), xy_um):
            frame = self.microscope.observe(request)
        self._settle(frame, xy_um)
        return frame

    def _burst(self, microscope: BurstMicroscope, request: Burst) -> tuple[Frame, ...]:
        captures = request.requests()
        xy_um = self._end_xy(captures[0])
        with self._paid(captures, xy_um):
            frames = microscope.burst(request)
        for frame in frames:
            self._settle(frame, xy_um)
        return frames

    @contextmanager
    def _paid(self, captures: Sequence[Observe], xy_um: tuple[float, float] | None) -> Iterator[None]:
        """Charge what is inside. While it runs nobody knows where the stage is."""
        at, self._at = self._at, None
        take_back = self._light.charge(captures, xy_um)
        try:
            yield
        except LimitExceeded:
            # of the microscope itself: nothing has moved or shone
            self._at = at
            take_back()
            raise
        except DeviceError:
            self._light.charge((max(captures, key=requested_dose_led_ms),), xy_um)
            raise

    def _settle(self, frame: Frame, xy_um: tuple[float, float] | None) -> None:
        """Pay for repeated attempts, and note where everything is: where it was sent, else what was read back."""
        self._light.charge([frame.request] * (_attempts(frame) - 1), xy_um)
        sent = frame.request
        xy_um = frame.xy_um if sent.xy_um is None else sent.xy_um
        z_um = frame.z_um if sent.z_um is None else sent.z_um
        finite = all(math.isfinite(value) for value in (*frame.xy_um, frame.z_um))
        self._at, self._read = (Place(xy_um, z_um), Place(frame.xy_um, frame.z_um)) if finite else (None, None)


def _as_asked(frame: Frame, request: Observe) -> Frame:
    """The frame with the request of the caller, who does not see what the way there needed."""
    return frame if frame.request == request else replace(frame, request=request)


def _attempts(frame: Frame) -> int:
    return max(1, int(frame.metadata.get("attempts", "1")))
