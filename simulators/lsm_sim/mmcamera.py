"""The simulated camera: a Micro-Manager device in Python that sees a World.

A .cfg file loads such devices beside vendor adapters, in lines that plain Micro-Manager takes for comments:
`#py pyDevice,Camera,lsm_sim.mmcamera,SimCamera` and, before initialisation, `#py Property,Camera,World,NAME`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pymmcore_plus.experimental.unicore import SimpleCameraDevice

from lsm.types import Image
from lsm_sim.mmdevice import InWorld
from lsm_sim.trigger_wires import TriggerWires

GetBuffer: TypeAlias = Callable[[Sequence[int], Any], np.ndarray]

ROWS, COLUMNS = "Rows", "Columns"
TRIGGER_MODE, INTERNAL, EXTERNAL = "TriggerMode", "Internal", "External"
TRIGGER_PATIENCE_S = 0.5


class SimCamera(InWorld, SimpleCameraDevice):
    """A 16-bit camera; its image comes from the light that is on when the exposure begins.

    Where its World has wires to an LED board and TriggerMode is External, the board starts each exposure, and the end
    of the exposure steps the board. A trigger that does not come for half a second ends the sequence.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exposure_ms = 10.0
        self._before: Image | None = None
        self._given: Image | None = None
        self.register_property(ROWS, default_value=192, is_pre_init=True)
        self.register_property(COLUMNS, default_value=192, is_pre_init=True)
        self.register_property(TRIGGER_MODE, default_value=INTERNAL, allowed_values=[INTERNAL, EXTERNAL])

    def initialize(self) -> None:
        super().initialize()
        self._shape = (int(self.get_property_value(ROWS)), int(self.get_property_value(COLUMNS)))

    def get_exposure(self) -> float:
        return self._exposure_ms

    def set_exposure(self, exposure: float) -> None:
        self._exposure_ms = exposure

    def sensor_shape(self) -> tuple[int, int]:
        return self._world.faults.camera.shape_px or self._shape

    def dtype(self) -> Any:
        return np.dtype(self._world.faults.camera.dtype or np.uint16)

    def start_sequence(self, n: int | None, get_buffer: GetBuffer) -> Iterator[Mapping[str, str]]:
        if self.get_property_value(TRIGGER_MODE) != EXTERNAL:
            return self._at_once(n, get_buffer)
        wires = self._world.wires
        if wires is None:
            return iter(())
        wires.listen()
        return self._triggered(n, get_buffer, wires)

    def _triggered(self, n: int | None, get_buffer: GetBuffer, wires: TriggerWires) -> Iterator[Mapping[str, str]]:
        faults = self._world.faults.camera
        exposed = given = 0
        while (n is None or given < n) and wires.wait_for_pulse(TRIGGER_PATIENCE_S):
            image = self._exposed()
            wires.while_exposing(exposed)
            wires.end_of_exposure(exposed)
            exposed += 1
            if faults.drops > 0:
                faults.drops -= 1
                continue
            buffer = get_buffer(self.shape(), self.dtype())
            buffer[:] = np.resize(self._handed_out(image), buffer.shape)
            given += 1
            yield {"FrameNumber": str(exposed)}

    def _at_once(self, n: int | None, get_buffer: GetBuffer) -> Iterator[Mapping[str, str]]:
        faults = self._world.faults.camera
        if n == 1 and faults.drops > 0:
            # the core then hands out the image before, without a word
            faults.drops -= 1
            self._exposed()
            return
        yield from super().start_sequence(n, get_buffer)

    def snap(self, buffer: np.ndarray) -> Mapping[str, str]:
        buffer[:] = np.resize(self._handed_out(self._exposed()), buffer.shape)
        return {}

    def _handed_out(self, image: Image) -> Image:
        """What the driver gives where the camera has taken `image`."""
        faults = self._world.faults.camera
        before, self._before = self._before, image
        if faults.lags and before is not None:
            image = before
        if faults.repeats > 0 and self._given is not None:
            faults.repeats -= 1
            image = self._given
        self._given = image
        return image

    def _exposed(self) -> Image:
        faults = self._world.faults.camera
        if faults.hangs:
            self._world.faults.hang()
        if faults.raises:
            raise RuntimeError("The camera fails.")
        return self._world.expose(self._exposure_ms)
