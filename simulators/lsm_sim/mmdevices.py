"""Micro-Manager devices in Python that act on a simulated World.

A .cfg file loads them beside vendor adapters, in lines that plain Micro-Manager takes for comments:
`#py pyDevice,Camera,lsm_sim.mmdevices,SimCamera` and, before initialisation, `#py Property,Camera,World,NAME`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import SimpleCameraDevice, StageDevice, XYStageDevice

from lsm_sim.world import World, get_world

WORLD = "World"
ROWS, COLUMNS = "Rows", "Columns"


class SimCamera(SimpleCameraDevice):
    """A 16-bit camera; its image comes from the light that is on when the exposure begins."""

    def __init__(self) -> None:
        super().__init__()
        self._exposure_ms = 10.0
        self.register_property(WORLD, default_value="", is_pre_init=True)
        self.register_property(ROWS, default_value=192, is_pre_init=True)
        self.register_property(COLUMNS, default_value=192, is_pre_init=True)

    def initialize(self) -> None:
        self._world = _world(self)
        self._shape = (int(self.get_property_value(ROWS)), int(self.get_property_value(COLUMNS)))

    def get_exposure(self) -> float:
        return self._exposure_ms

    def set_exposure(self, exposure: float) -> None:
        self._exposure_ms = exposure

    def sensor_shape(self) -> tuple[int, int]:
        return self._shape

    def dtype(self) -> Any:
        return np.dtype(np.uint16)

    def snap(self, buffer: np.ndarray) -> Mapping[str, str]:
        buffer[:] = self._world.expose(self._exposure_ms)
        return {}


class SimXYStage(XYStageDevice):
    """A stage that stops near its target and reports where."""

    def __init__(self) -> None:
        super().__init__()
        self.register_property(WORLD, default_value="", is_pre_init=True)

    def initialize(self) -> None:
        self._world = _world(self)

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
        self._world = _world(self)

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


def _world(device: SimCamera | SimXYStage | SimFocus) -> World:
    return get_world(str(device.get_property_value(WORLD)))
