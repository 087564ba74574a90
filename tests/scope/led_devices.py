"""LED arrays as Micro-Manager's adapters present them, loaded by name from a .cfg file.

`ListedLeds` behaves as the IlluminateLEDArray adapter is documented to: the list is only kept, the pattern property
lights it. What really shines is in `lit`, which no light source reads.
"""

import threading
from typing import Any, ClassVar

import numpy as np
from pymmcore_plus.experimental.unicore import ShutterDevice, SLMDevice

N_LEDS = 9


class ListedLeds(ShutterDevice):
    """A shutter with string properties."""

    lit: ClassVar[set[int]] = set()
    cuts_lists: ClassVar[bool] = False
    hangs: ClassVar[threading.Event | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._list = "0.1.2"
        self._pattern = "None"
        self.register_property("ManualLedList", default_value="", getter=_get_list, setter=_set_list)
        self.register_property("IlluminationPattern", default_value="", getter=_get_pattern, setter=_set_pattern)
        self.register_property("LedCount", default_value=str(N_LEDS))

    def get_open(self) -> bool:
        return bool(self.lit)

    def set_open(self, open: bool) -> None:
        """As its adapter: the pattern stays what it was."""


def _get_list(device: ListedLeds) -> str:
    return device._list


def _set_list(device: ListedLeds, value: str) -> None:
    device._list = value[:4] if device.cuts_lists else value


def _get_pattern(device: ListedLeds) -> str:
    return device._pattern


def _set_pattern(device: ListedLeds, value: str) -> None:
    if ListedLeds.hangs is not None:
        ListedLeds.hangs.wait(20.0)
    device._pattern = value
    ListedLeds.lit.clear()
    if value == "Manual LED Indicies":
        ListedLeds.lit.update(int(led) for led in device._list.split("."))


class LedSlm(SLMDevice):
    """A greyscale SLM of 3 x 3 pixels."""

    shown: ClassVar[np.ndarray] = np.zeros((3, 3), np.uint8)

    def __init__(self) -> None:
        super().__init__()
        self._image = np.zeros((3, 3), np.uint8)

    def shape(self) -> tuple[int, ...]:
        return (3, 3)

    def dtype(self) -> Any:
        return np.dtype(np.uint8)

    def set_image(self, pixels: np.ndarray) -> None:
        self._image = pixels.copy()

    def display_image(self) -> None:
        LedSlm.shown = self._image

    def set_exposure(self, interval_ms: float) -> None: ...

    def get_exposure(self) -> float:
        return 0.0


class LoggedSlm(LedSlm):
    """Keeps everything that was displayed."""

    log: ClassVar[list[np.ndarray]] = []

    def display_image(self) -> None:
        super().display_image()
        LoggedSlm.log.append(self._image.copy())
