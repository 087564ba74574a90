"""Simulated stage, focus drive and shutter: Micro-Manager devices in Python that act on a World.

They are loaded as lsm_sim.mmcamera says.
"""

from pymmcore_plus.experimental.unicore import ShutterDevice, StageDevice, XYStageDevice

from lsm_sim.world import WORLD, get_world


class SimXYStage(XYStageDevice):
    """A stage that stops near its target and reports where."""

    def __init__(self) -> None:
        super().__init__()
        self.register_property(WORLD, default_value="", is_pre_init=True)

    def initialize(self) -> None:
        self._world = get_world(str(self.get_property_value(WORLD)))

    def busy(self) -> bool:
        return self._world.moving

    def set_position_um(self, x: float, y: float) -> None:
        self._world.move_xy(x, y)

    def get_position_um(self) -> tuple[float, float]:
        return self._world.xy_um

    def home(self) -> None:
        self._world.move_xy(0.0, 0.0)

    def stop(self) -> None:
        """A simulated stage arrives at once."""

    def set_origin_x(self) -> None:
        raise NotImplementedError("The simulated stage's origin is the corner of the sample.")

    def set_origin_y(self) -> None:
        raise NotImplementedError("The simulated stage's origin is the corner of the sample.")


class SimFocus(StageDevice):
    """A focus drive; the sample is in focus at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.register_property(WORLD, default_value="", is_pre_init=True)

    def initialize(self) -> None:
        self._world = get_world(str(self.get_property_value(WORLD)))

    def busy(self) -> bool:
        return self._world.moving

    def set_position_um(self, val: float) -> None:
        self._world.move_z(val)

    def get_position_um(self) -> float:
        return self._world.z_um

    def home(self) -> None:
        self._world.move_z(0.0)

    def stop(self) -> None:
        """A simulated focus arrives at once."""

    def set_origin(self) -> None:
        raise NotImplementedError("The simulated focus has its origin in focus.")


class SimShutter(ShutterDevice):
    """A shutter in front of the camera; closed when it starts."""

    def __init__(self) -> None:
        super().__init__()
        self.register_property(WORLD, default_value="", is_pre_init=True)

    def initialize(self) -> None:
        self._world = get_world(str(self.get_property_value(WORLD)))
        self._world.shutter_open = False

    def get_open(self) -> bool:
        return self._world.shutter_open

    def set_open(self, open: bool) -> None:
        self._world.shutter_open = open
