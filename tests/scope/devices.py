"""A Python device for Micro-Manager, loaded by name from a .cfg file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import SimpleCameraDevice


class StillCamera(SimpleCameraDevice):
    """A camera with one grey image of 3 x 2 pixels."""

    def get_exposure(self) -> float:
        return 1.0

    def set_exposure(self, exposure: float) -> None:
        pass

    def sensor_shape(self) -> tuple[int, int]:
        return (3, 2)

    def dtype(self) -> Any:
        return np.dtype(np.uint16)

    def snap(self, buffer: np.ndarray) -> Mapping[str, str]:
        buffer[:] = 100
        return {}
