"""Stage and focus of a Micro-Manager core, believed only where they read back what they were told."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lsm.devices import Observe
from lsm.errors import StageError
from lsm.scope._halt import HaltSwitch
from lsm.scope._watchdog import Watchdog
from lsm.scope.rig import RigConfig

T = TypeVar("T")

LOOK_S = 0.02
"""Between two looks at an axis that says it has arrived and is not there."""
STOP_S = 0.5
"""Longest wait for a drive that was told to stop."""
STILL_LOOKS = 5
"""Looks at the same place after which it is taken for the end of the move."""

Place = tuple[float, float]


class Stages:
    """The XY stage and the focus drive; each may be missing.

    A device that calls itself idle too early is watched for as long as it still moves, up to timeouts_s.stage.
    """

    def __init__(self, core: Any, rig: RigConfig, watchdog: Watchdog, halt: HaltSwitch | None = None) -> None:
        self._core = core
        self._rig = rig
        self._watchdog = watchdog
        self._halt = halt or HaltSwitch()
        self._xy_stage = rig.devices.xy_stage or core.get_xy_stage_device()
        self._focus = rig.devices.focus or core.get_focus_device()
        self._target_xy_um: Place | None = None
        self._target_z_um: float | None = None

    def move(self, xy_um: Place | None, z_um: float | None) -> None:
        """Bring the axes to where they are asked to be; None leaves one alone. Raises StageError."""
        if xy_um is not None and not self._is_at_xy(xy_um):
            self._move_xy(xy_um)
        if z_um is not None and not self._is_at_z(z_um):
            self._move_z(z_um)

    def stop(self) -> None:
        """Tell both drives to stop where they are, from any thread. Raises StageError for one that does not answer."""
        own, within_s = Watchdog(), min(STOP_S, self._rig.timeouts_s.stage)
        try:
            for label in filter(None, (self._xy_stage, self._focus)):
                stop = partial(self._core.stop, label)
                own.call(stop, what=f"Stage '{label}'", within_s=within_s, error=StageError)
        finally:
            own.close()

    def read(self) -> tuple[Place, float]:
        """Where the devices say they are; (0, 0) and 0 without one. Raises StageError."""
        both = " and ".join(label for label in (self._xy_stage, self._focus) if label)
        return (
            self._call(lambda: (self._core_xy(), self._core_z()), both) if both else (self._core_xy(), self._core_z())
        )

    def read_at(self, request: Observe) -> tuple[Place, float]:
        """As read(). Raises StageError too where an axis is not where the request wants it."""
        xy_um, z_um = self.read()
        if request.xy_um is not None:
            self._verify_xy(request.xy_um, xy_um)
        if request.z_um is not None:
            self._verify_z(request.z_um, z_um)
        return xy_um, z_um

    def _is_at_xy(self, xy_um: Place) -> bool:
        """Sent there before, and still there: nobody has touched the joystick."""
        return self._target_xy_um == xy_um and self._near_xy(self._read_xy(), xy_um)

    def _is_at_z(self, z_um: float) -> bool:
        return self._target_z_um == z_um and self._near_z(self._read_z(), z_um)

    def _move_xy(self, xy_um: Place) -> None:
        self._require(self._xy_stage, "XY stage")
        self._target_xy_um = None

        def move() -> Place:
            self._halt.refuse()
            self._core.set_xy_position(self._xy_stage, *xy_um)
            self._core.wait_for_device(self._xy_stage)
            return self._core_xy()

        came_to_um = self._call(move, self._xy_stage)
        if self._rig.settle_ms.xy:
            time.sleep(self._rig.settle_ms.xy / 1000)
            came_to_um = self._read_xy()
        self._verify_xy(xy_um, self._arrived(came_to_um, self._read_xy, lambda got_um: self._near_xy(got_um, xy_um)))
        self._target_xy_um = xy_um

    def _move_z(self, z_um: float) -> None:
        self._require(self._focus, "focus drive")
        self._target_z_um = None

        def move() -> float:
            self._halt.refuse()
            self._core.set_position(self._focus, z_um)
            self._core.wait_for_device(self._focus)
            return self._core_z()

        came_to_um = self._call(move, self._focus)
        if self._rig.settle_ms.z:
            time.sleep(self._rig.settle_ms.z / 1000)
            came_to_um = self._read_z()
        self._verify_z(z_um, self._arrived(came_to_um, self._read_z, lambda got_um: self._near_z(got_um, z_um)))
        self._target_z_um = z_um

    def _arrived(self, got_um: T, read: Callable[[], T], is_there: Callable[[T], bool]) -> T:
        """What is read once it is there, stands still elsewhere, or the time is over."""
        deadline_s = time.monotonic() + self._rig.timeouts_s.stage
        still = 0
        while not is_there(got_um) and still < STILL_LOOKS and time.monotonic() < deadline_s:
            time.sleep(LOOK_S)
            before_um, got_um = got_um, read()
            # as text, because what is not a number does not equal itself
            still = still + 1 if repr(got_um) == repr(before_um) else 0
        return got_um

    def _near_xy(self, got_um: Place, wanted_um: Place) -> bool:
        # not by max(), which passes over what is not a number
        tolerance_um = self._rig.tolerance_um.xy
        return all(abs(got - wanted) <= tolerance_um for got, wanted in zip(got_um, wanted_um, strict=True))

    def _near_z(self, got_um: float, wanted_um: float) -> bool:
        return abs(got_um - wanted_um) <= self._rig.tolerance_um.z

    def _read_xy(self) -> Place:
        return self._call(self._core_xy, self._xy_stage)

    def _read_z(self) -> float:
        return self._call(self._core_z, self._focus)

    def _core_xy(self) -> Place:
        if not self._xy_stage:
            return (0.0, 0.0)
        core = self._core
        return float(core.get_x_position(self._xy_stage)), float(core.get_y_position(self._xy_stage))

    def _core_z(self) -> float:
        return float(self._core.get_position(self._focus)) if self._focus else 0.0

    def _verify_xy(self, wanted_um: Place, got_um: Place) -> None:
        if not self._near_xy(got_um, wanted_um):
            self._target_xy_um = None
            raise StageError(
                f"Stage '{self._xy_stage}' is at ({got_um[0]:.2f}, {got_um[1]:.2f}) um instead of "
                f"({wanted_um[0]:.2f}, {wanted_um[1]:.2f}) um.",
                hint=f"allowed are {self._rig.tolerance_um.xy:g} um; check for an obstacle, then home the stage",
            )

    def _verify_z(self, wanted_um: float, got_um: float) -> None:
        if not self._near_z(got_um, wanted_um):
            self._target_z_um = None
            raise StageError(
                f"Focus '{self._focus}' is at {got_um:.2f} um instead of {wanted_um:.2f} um.",
                hint=f"allowed are {self._rig.tolerance_um.z:g} um; check for an obstacle",
            )

    def _require(self, label: str, role: str) -> None:
        if not label:
            raise StageError(
                f"The rig '{self._rig.name}' has no {role}.",
                hint="leave the axis out of the request, or name the device",
            )

    def _call(self, work: Callable[[], T], label: str) -> T:
        return self._watchdog.call(work, what=f"Stage '{label}'", within_s=self._rig.timeouts_s.stage, error=StageError)
