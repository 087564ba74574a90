"""A Micro-Manager core and a light source that misbehave on demand."""

import threading
from collections.abc import Callable  # noqa: TC003 (checked at run time elsewhere)
from types import SimpleNamespace

import numpy as np

from lsm.devices import Shown
from lsm.illum import LedBoard, Pattern
from lsm.scope import RigConfig

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)


def make_rig(**changes: object) -> RigConfig:
    """A rig for the fakes, with short timeouts."""
    table: dict[str, object] = {
        "name": "fake",
        "led": {"board": {"rows": 3, "columns": 3}},
        "objective": {"na": 0.1, "magnification": 4.0},
        "camera": {"pixel_um": 4.8, "shape_px": [4, 5]},
        "limits": {"x_um": [0, 100], "y_um": [0, 100], "z_um": [-5, 5]},
        "timeouts_s": {"stage": 0.3, "camera": 0.3},
    }
    return RigConfig.from_table(table | changes)


class FakeLight:
    """An Illuminator that keeps a diary; `outages` exposures lose their light."""

    def __init__(self, diary: list[str], *, outages: int = 0) -> None:
        self.board = BOARD
        self.diary = diary
        self.outages = outages
        self.hold_ms = 0.0
        self.reads_back = True

    def show(self, pattern: Pattern, *, hold_ms: float) -> Shown:
        self.diary.append("show")
        self.hold_ms = hold_ms
        return Shown(pattern.levels, latch=self.diary.count("show"))

    def still_lit(self, shown: Shown) -> bool:
        self.outages -= 1
        return self.outages < 0

    def dark(self) -> None:
        self.diary.append("dark")

    def close(self) -> None:
        self.diary.append("closed")


class FakeCore:
    """The snake-case methods that the driver calls. `during[name]` runs first in the method of that name."""

    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.xy = (0.0, 0.0)
        self.z = 0.0
        self.offset_um = 0.0
        self.exposure = 1.0
        self.longest_ms = 1e9
        self.pixels = np.full((4, 5), 7, np.uint16)
        self.tags: dict[str, str] = {}
        self.shutter = ""
        self.shutter_open = False
        self.shutter_stuck = False
        self.auto_shutter = True
        self.released = threading.Event()
        self.during: dict[str, Callable[[], object]] = {}

    def hang(self) -> None:
        self.released.wait(20.0)

    def _happen(self, name: str) -> None:
        self.diary.append(name)
        self.during.get(name, lambda: None)()

    def set_timeout_ms(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms

    def set_property(self, device: str, name: str, value: str) -> None:
        self._happen(f"{device}-{name}={value}")

    def get_property(self, device: str, name: str) -> str:
        return "before"

    def get_shutter_device(self) -> str:
        return self.shutter

    def get_auto_shutter(self) -> bool:
        return self.auto_shutter

    def set_auto_shutter(self, on: bool) -> None:
        self.auto_shutter = on

    def set_shutter_open(self, label: str, wanted: bool) -> None:
        self._happen(f"{label} {'open' if wanted else 'closed'}")
        self.shutter_open = self.shutter_open if self.shutter_stuck else wanted

    def get_shutter_open(self, label: str) -> bool:
        return self.shutter_open

    def get_camera_device(self) -> str:
        return "Camera"

    def get_xy_stage_device(self) -> str:
        return "XY"

    def get_focus_device(self) -> str:
        return "Z"

    def set_xy_position(self, label: str, x: float, y: float) -> None:
        self._happen("move xy")
        self.xy = (x + self.offset_um, y)

    def set_position(self, label: str, z: float) -> None:
        self._happen("move z")
        self.z = z + self.offset_um

    def wait_for_device(self, label: str) -> None:
        self._happen(f"wait {label}")

    def stop(self, label: str) -> None:
        self._happen(f"stop {label}")

    def get_x_position(self, label: str) -> float:
        return self.xy[0]

    def get_y_position(self, label: str) -> float:
        return self.xy[1]

    def get_position(self, label: str) -> float:
        return self.z

    def set_exposure(self, exposure_ms: float) -> None:
        self.exposure = min(exposure_ms, self.longest_ms)

    def get_exposure(self) -> float:
        return self.exposure

    def get_image_height(self) -> int:
        return 4

    def get_image_width(self) -> int:
        return 5

    def snap_image(self) -> None:
        self._happen("snap")

    def get_tagged_image(self, channel: int, camera: str, height: int, width: int) -> SimpleNamespace:
        lit = [entry for entry in self.diary if entry in ("show", "dark")][-1:] == ["show"]
        pixels = self.pixels if lit else np.zeros_like(self.pixels)
        return SimpleNamespace(pix=pixels, tags={"Camera": camera} | self.tags)
