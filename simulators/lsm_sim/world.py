"""What simulated devices share: a sample under light, where the stage has it, and what a camera sees of it."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from lsm.devices import Observe
from lsm.errors import DeviceError
from lsm.optics.draws import PLAY, STAGE, draws, exposure_noise
from lsm.optics.stage import Position, StageErrors, StageState, mean_position
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
    where it stopped, like a stage with encoders. Where it stands that near already, it stays.
    move_ms: how long a stage is busy after a move.
    stage: errors on top, which neither stage nor focus reports. An exposure sees the mean place it had during it;
    its clock counts moves, waits and exposures, not the time that computing takes.
    colours: colour channels whose images are computed for every LED on arrival, so that snapping takes
    milliseconds and the LED board's watchdog does not meet the time that the computation takes. Without any,
    LEDs are computed when they are first lit: quicker where few of them are used.
    exposure_takes_time: wait for the exposure as a camera does.

    The noise of the n-th exposure and the play of the n-th move depend on the seed and n alone, so the same seed and
    the same calls give the same images. exposures, moves: how many of each were made before this start, which left
    stage and focus at `xy_um` and `z_um`. What follows from a history is not continued by them: backlash begins
    anew and the clock of the drift at 0. `relive` continues that too.
    """

    def __init__(
        self,
        renderer: Renderer,
        lit: Callable[[], DutyLevels],
        *,
        xy_um: tuple[float, float] = (0.0, 0.0),
        z_um: float = 0.0,
        seed: int = 0,
        exposures: int = 0,
        moves: int = 0,
        repeatability_um: float = 0.5,
        move_ms: float = 0.0,
        stage: StageErrors | None = None,
        colours: tuple[int, ...] = (1,),
        exposure_takes_time: bool = False,
    ) -> None:
        self._renderer = renderer
        self._lit = lit
        self._xy_um = xy_um
        self._z_um = z_um
        self._seed = seed
        self._exposures = exposures
        self._moves = moves
        self._repeatability_um = repeatability_um
        self._move_ms = move_ms
        self._wait_ms = stage.wait_ms if stage else 0.0
        self._stage = StageState(stage or StageErrors(), draws(seed, STAGE), xy_um=xy_um, z_um=z_um, moves=moves)
        self._ready = False
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

    @property
    def exposures(self) -> int:
        """How many were made, those before the start included."""
        return self._exposures

    @property
    def moves(self) -> int:
        """How many were made by stage and focus together, those before the start included."""
        return self._moves

    def move_xy(self, x_um: float, y_um: float) -> None:
        """Send the stage to a target; returns when its field is computed."""
        with self._lock:
            self._go_xy(x_um, y_um)
            self._prepare()

    def move_z(self, z_um: float) -> None:
        """Send the focus to a target; returns when its field is computed."""
        with self._lock:
            self._go_z(z_um)
            self._prepare()

    def expose(self, exposure_ms: float) -> Image:
        """One camera frame [y, x] in ADU under the light that is on when the exposure begins."""
        with self._lock, _one_torch_thread():
            noise = exposure_noise(self._seed, self._exposures)
            x_um, y_um, z_um = self._exposed_at(exposure_ms)
            levels = self._lit()
            light = levels if self.shutter_open else np.zeros_like(levels)
            image = self._renderer.image(light, (x_um, y_um), z_um, exposure_ms, noise)
        if self._exposure_takes_time:
            time.sleep(exposure_ms / 1000)
        return image

    def relive(self, requests: Iterable[Observe]) -> None:
        """Come to the state that these captures leave, drift and backlash included, without computing images.

        A capture that was tried twice stands here twice.
        """
        with self._lock:
            for request in requests:
                if request.xy_um is not None:
                    self._go_xy(*request.xy_um)
                if request.z_um is not None:
                    self._go_z(request.z_um)
                self._exposed_at(request.exposure_ms)

    def _go_xy(self, x_um: float, y_um: float) -> None:
        if max(abs(x_um - self._xy_um[0]), abs(y_um - self._xy_um[1])) <= self._repeatability_um:
            return
        dx, dy = draws(self._seed, PLAY, self._moves).uniform(-self._repeatability_um, self._repeatability_um, 2)
        self._arrive((x_um + float(dx), y_um + float(dy)), self._z_um)

    def _go_z(self, z_um: float) -> None:
        if z_um != self._z_um:
            self._arrive(self._xy_um, z_um)

    def _arrive(self, xy_um: tuple[float, float], z_um: float) -> None:
        arrived_ms = self._stage.move(self._stage.now_ms, xy_um=xy_um, z_um=z_um)
        self._stage.at(arrived_ms + self._wait_ms)
        self._xy_um, self._z_um = xy_um, z_um
        self._moves += 1
        self._ready = False
        self._still_at_s = time.monotonic() + self._move_ms / 1000

    def _exposed_at(self, exposure_ms: float) -> Position:
        self._exposures += 1
        return mean_position(self._stage.during(self._stage.now_ms, exposure_ms))

    def _prepare(self) -> None:
        if self._colours and not self._ready:
            x_um, y_um, z_um = self._stage.at(self._stage.now_ms)
            with _one_torch_thread():
                self._renderer.prepare((x_um, y_um), z_um, self._colours)
            self._still_at_s = time.monotonic() + self._move_ms / 1000
        self._ready = True


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
