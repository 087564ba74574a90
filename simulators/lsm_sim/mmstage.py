"""Simulated stage, focus drive and shutter: Micro-Manager devices in Python that act on a World.

They are loaded as lsm_sim.mmcamera says.
"""

from pymmcore_plus.experimental.unicore import ShutterDevice, StageDevice, XYStageDevice

from lsm_sim.device_faults import DeviceFaults, DriveFaults
from lsm_sim.mmdevice import InWorld


class SimXYStage(InWorld, XYStageDevice):
    """A stage that stops near its target and reports where."""

    def busy(self) -> bool:
        _suffer(self._world.faults, self._world.faults.stage, "busy")
        return self._world.moving("stage")

    def set_position_um(self, x: float, y: float) -> None:
        _suffer(self._world.faults, self._world.faults.stage, "move")
        self._world.move_xy(x, y)

    def get_position_um(self) -> tuple[float, float]:
        faults = self._world.faults.stage
        _suffer(self._world.faults, faults, "read")
        x_um, y_um = self._world.xy_um
        return x_um + faults.misread_um, y_um + faults.misread_um

    def home(self) -> None:
        self.set_position_um(0.0, 0.0)

    def stop(self) -> None:
        """A simulated stage arrives at once."""

    def set_origin_x(self) -> None:
        raise NotImplementedError("The simulated stage's origin is the corner of the sample.")

    def set_origin_y(self) -> None:
        raise NotImplementedError("The simulated stage's origin is the corner of the sample.")


class SimFocus(InWorld, StageDevice):
    """A focus drive; the sample is in focus at 0."""

    def busy(self) -> bool:
        _suffer(self._world.faults, self._world.faults.focus, "busy")
        return self._world.moving("focus")

    def set_position_um(self, val: float) -> None:
        _suffer(self._world.faults, self._world.faults.focus, "move")
        self._world.move_z(val)

    def get_position_um(self) -> float:
        faults = self._world.faults.focus
        _suffer(self._world.faults, faults, "read")
        return self._world.z_um + faults.misread_um

    def home(self) -> None:
        self.set_position_um(0.0)

    def stop(self) -> None:
        """A simulated focus arrives at once."""

    def set_origin(self) -> None:
        raise NotImplementedError("The simulated focus has its origin in focus.")


class SimShutter(InWorld, ShutterDevice):
    """A shutter in front of the camera; closed when it starts."""

    def initialize(self) -> None:
        super().initialize()
        self._world.shutter_open = False

    def get_open(self) -> bool:
        world = self._world
        return world.shutter_open if world.faults.shutter.lies else world.light_passes

    def set_open(self, open: bool) -> None:
        if self._world.faults.shutter.hangs:
            self._world.faults.hang()
        self._world.shutter_open = open


def _suffer(faults: DeviceFaults, of_drive: DriveFaults, call: str) -> None:
    if of_drive.hangs == call:
        faults.hang()
    if of_drive.raises and call == "move":
        raise RuntimeError("The drive refuses to move.")
