"""What simulated devices share: a sample under light, where the stage has it, and what a camera sees of it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch

from lsm.devices import Observe
from lsm.errors import DeviceError
from lsm.optics.draws import PLAY, STAGE, draws, exposure_noise
from lsm.optics.stage import Position, StageErrors, StageState, mean_position
from lsm.threads import threads
from lsm.types import DutyLevels, Image
from lsm_sim.device_faults import DeviceFaults, DriveFaults, Exposed

if TYPE_CHECKING:
    from lsm_sim.trigger_wires import TriggerWires

Drive: TypeAlias = Literal["stage", "focus"]

KEPT_EXPOSURES = 64


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
    shutter_open: what a simulated shutter was told last, where the rig has one; without it light always passes.
    faults: what its devices do wrong now. exposed: the last exposures, as they really were.
    wires: between camera and LED board, where the rig has them.
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
    the same calls give the same images.
    """

    def __init__(
        self,
        renderer: Renderer,
        lit: Callable[[], DutyLevels],
        *,
        xy_um: tuple[float, float] = (0.0, 0.0),
        z_um: float = 0.0,
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
        self._z_um = z_um
        self._seed = seed
        self._exposures = self._moves = 0
        self._repeatability_um = repeatability_um
        self._move_ms = move_ms
        self._wait_ms = stage.wait_ms if stage else 0.0
        self._stage = StageState(stage or StageErrors(), draws(seed, STAGE), xy_um=xy_um, z_um=z_um)
        self._ready = False
        self._moved: Drive = "stage"
        self._colours = colours
        self._exposure_takes_time = exposure_takes_time
        self._arrived_s = {"stage": 0.0, "focus": 0.0}
        self.shutter_open = True
        self.faults = DeviceFaults()
        self.wires: TriggerWires | None = None
        self.exposed: deque[Exposed] = deque(maxlen=KEPT_EXPOSURES)
        self._lock = threading.RLock()

    @property
    def xy_um(self) -> tuple[float, float]:
        """Where the stage's encoders have it."""
        off_um = self._off_um("stage")
        return self._xy_um[0] + off_um, self._xy_um[1] + off_um

    @property
    def z_um(self) -> float:
        """Where the focus drive's encoder has it."""
        return self._z_um + self._off_um("focus")

    @property
    def light_passes(self) -> bool:
        """Whether the shutter is really open."""
        stuck = self.faults.shutter.stuck
        return self.shutter_open if stuck is None else stuck

    def moving(self, drive: Drive) -> bool:
        faults = self._drive_faults(drive)
        return faults.stalls or time.monotonic() < self._arrived_s[drive] + faults.latency_s

    @property
    def exposures(self) -> int:
        """How many were made, those relived included."""
        return self._exposures

    @property
    def moves(self) -> int:
        """How many were made by stage and focus together, those relived included."""
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
        with self._lock, threads(1):
            number, started_ns = self._exposures, time.monotonic_ns()
            x_um, y_um, z_um = place_um = self._exposed_at(exposure_ms)
            levels = self.faults.light.light(self._lit())
            light = levels if self.light_passes else np.zeros_like(levels)
            noise = exposure_noise(self._seed, number)
            image = self._renderer.image(light, (x_um, y_um), z_um, exposure_ms, noise)
        self.faults.happen()
        if self._exposure_takes_time:
            time.sleep(exposure_ms / 1000)
        self.exposed.append(Exposed(number, place_um, light, exposure_ms, image, started_ns, time.monotonic_ns()))
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
        faults = self.faults.stage
        x_um, y_um = x_um + faults.overshoot_um, y_um + faults.overshoot_um
        if faults.stalls or max(abs(x_um - self._xy_um[0]), abs(y_um - self._xy_um[1])) <= self._repeatability_um:
            return
        dx, dy = draws(self._seed, PLAY, self._moves).uniform(-self._repeatability_um, self._repeatability_um, 2)
        self._arrive("stage", (x_um + float(dx), y_um + float(dy)), self._z_um)

    def _go_z(self, z_um: float) -> None:
        faults = self.faults.focus
        z_um += faults.overshoot_um
        if not faults.stalls and z_um != self._z_um:
            self._arrive("focus", self._xy_um, z_um)

    def _arrive(self, drive: Drive, xy_um: tuple[float, float], z_um: float) -> None:
        arrived_ms = self._stage.move(self._stage.now_ms, xy_um=xy_um, z_um=z_um)
        self._stage.at(arrived_ms + self._wait_ms)
        self._xy_um, self._z_um = xy_um, z_um
        self._moves += 1
        self._ready = False
        self._moved = drive
        self._arrived_s[drive] = time.monotonic() + self._move_ms / 1000

    def _exposed_at(self, exposure_ms: float) -> Position:
        self._exposures += 1
        x_um, y_um, z_um = mean_position(self._stage.during(self._stage.now_ms, exposure_ms))
        xy_off_um = self._off_um("stage") + self.faults.stage.slip_um
        return x_um + xy_off_um, y_um + xy_off_um, z_um + self._off_um("focus") + self.faults.focus.slip_um

    def _off_um(self, drive: Drive) -> float:
        return self._drive_faults(drive).off_um(max(time.monotonic() - self._arrived_s[drive], 0.0))

    def _drive_faults(self, drive: Drive) -> DriveFaults:
        return self.faults.stage if drive == "stage" else self.faults.focus

    def _prepare(self) -> None:
        if self._colours and not self._ready:
            x_um, y_um, z_um = self._stage.at(self._stage.now_ms)
            with threads(1):
                self._renderer.prepare((x_um, y_um), z_um, self._colours)
            self._arrived_s[self._moved] = time.monotonic() + self._move_ms / 1000
        self._ready = True


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
