"""What simulated devices share: a sample under light, where the stage has it, and what a camera sees of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from lsm.errors import DeviceError
from lsm.optics.stage import StageErrors, StageState, mean_position
from lsm.types import DutyLevels, Image


@runtime_checkable
class Renderer(Protocol):
    """Computes images; lsm.twin.FieldRenderer is one."""

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        """Do the slow part for this stage position."""
        ...

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        """One camera frame under 8-bit levels [led, colour]."""
        ...


class World:
    """The state that the simulated stage, focus and camera act on. Safe to use from several threads.

    lit: the levels [led, colour] that are on now; asked at the start of every exposure.
    shutter_open: whether that light reaches the camera; closed by a simulated shutter, where the rig has one.
    repeatability_um: the stage stops anywhere within this distance of its target on each axis, and reports
    where it stopped, like a stage with encoders.
    move_ms: how long a stage is busy after a move.
    stage: errors on top, which neither stage nor focus reports. An exposure sees the mean place it had during it;
    its clock counts moves, waits and exposures, not the time that computing takes.
    colours: colour channels whose images are computed for every LED on arrival, so that snapping takes
    milliseconds and the LED board's watchdog does not meet the time that the computation takes. Without any,
    LEDs are computed when they are first lit: quicker where few of them are used.
    exposure_takes_time: wait for the exposure as a camera does.
    The same seed and the same calls give the same images.
    """

    def __init__(
        self,
        renderer: Renderer,
        lit: Callable[[], DutyLevels],
        *,
        xy_um: tuple[float, float] = (0.0, 0.0),
        seed: int = 0,
        repeatability_um: float = 0.5,
        move_ms: float = 0.0,
        stage: StageErrors | None = None,
        colours: tuple[int, ...] = (1,),
        exposure_takes_time: bool = False,
    ) -> None:
        self._renderer = renderer
        self._lit = lit
        self._xy_um = xy_um
        self._z_um = 0.0
        self._noise = torch.Generator().manual_seed(seed)
        self._play = np.random.default_rng([seed, 1])
        self._repeatability_um = repeatability_um
        self._move_ms = move_ms
        self._wait_ms = stage.wait_ms if stage else 0.0
        self._stage = StageState(stage or StageErrors(), np.random.default_rng([seed, 2]), xy_um=xy_um)
        self._colours = colours
        self._exposure_takes_time = exposure_takes_time
        self._still_at_s = 0.0
        self.shutter_open = True
        self._lock = threading.RLock()

    @property
    def xy_um(self) -> tuple[float, float]:
        return self._xy_um

    @property
    def z_um(self) -> float:
        return self._z_um

    @property
    def moving(self) -> bool:
        return time.monotonic() < self._still_at_s

    def move_xy(self, x_um: float, y_um: float) -> None:
        """Send the stage to a target; returns when its field is computed."""
        with self._lock:
            dx, dy = self._play.uniform(-self._repeatability_um, self._repeatability_um, 2)
            self._arrive((x_um + float(dx), y_um + float(dy)), self._z_um)

    def move_z(self, z_um: float) -> None:
        """Send the focus to a target; returns when its field is computed."""
        with self._lock:
            self._arrive(self._xy_um, z_um)

    def expose(self, exposure_ms: float) -> Image:
        """One camera frame [y, x] in ADU under the light that is on when the exposure begins."""
        with self._lock, _one_torch_thread():
            x_um, y_um, z_um = mean_position(self._stage.during(self._stage.now_ms, exposure_ms))
            levels = self._lit()
            light = levels if self.shutter_open else np.zeros_like(levels)
            image = self._renderer.image(light, (x_um, y_um), z_um, exposure_ms, self._noise)
        if self._exposure_takes_time:
            time.sleep(exposure_ms / 1000)
        return image

    def _arrive(self, xy_um: tuple[float, float], z_um: float) -> None:
        self._xy_um, self._z_um = xy_um, z_um
        arrived_ms = self._stage.move(self._stage.now_ms, xy_um=xy_um, z_um=z_um)
        x_um, y_um, z_um = self._stage.at(arrived_ms + self._wait_ms)
        if self._colours:
            with _one_torch_thread():
                self._renderer.prepare((x_um, y_um), z_um, self._colours)
        self._still_at_s = time.monotonic() + self._move_ms / 1000


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Torch's threads spin while they wait: on a busy computer a snap then outlasts the LED board's watchdog."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


WORLD = "World"
"""Name of the property by which a simulated device finds its world."""

_worlds: dict[str, World] = {}


def put_world(name: str, world: World) -> None:
    """Make a world reachable by its name: Micro-Manager creates devices without arguments."""
    _worlds[name] = world


def get_world(name: str) -> World:
    """The world of that name. Raises DeviceError."""
    try:
        return _worlds[name]
    except KeyError:
        raise DeviceError(
            f"There is no simulated world '{name}'.", hint="simulated devices need lsm_sim.rig.simulated to make one"
        ) from None


def drop_world(name: str) -> None:
    """Forget a world; its devices must have been unloaded."""
    _worlds.pop(name, None)
