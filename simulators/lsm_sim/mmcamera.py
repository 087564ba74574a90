"""The simulated camera: a Micro-Manager device in Python that sees a World.

A .cfg file loads such devices beside vendor adapters, in lines that plain Micro-Manager takes for comments:
`#py pyDevice,Camera,lsm_sim.mmcamera,SimCamera` and, before initialisation, `#py Property,Camera,World,NAME`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import SimpleCameraDevice

from lsm_sim.world import WORLD, get_world

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
        self._world = get_world(str(self.get_property_value(WORLD)))
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
