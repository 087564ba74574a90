"""What simulated Micro-Manager devices do wrong, set from outside while they work, and what they really did."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lsm.optics.stage import Position
from lsm.types import DutyLevels

GREEN = 1
HUNG_S = 600.0  # a hang that nobody ends: longer than any timeout of a rig


@dataclass
class DriveFaults:
    """Of a stage or focus drive; of a stage on both axes alike. Reported are all but `slip_um`.

    latency_s: it is busy so much longer after each move.
    overshoot_um: moves end so far beyond their target.
    swing_um, settle_s: so far from its place on arrival, falling to 1/e in this time.
    drift_um_per_s: it creeps away from where it arrived.
    slip_um: what it carries is so far from where it reports, like a slipped belt; no reading tells.
    misread_um: it reports a place so far from where it is.
    stalls: it stays where it is, busy for ever. raises: it refuses moves.
    hangs: a call of this kind does not return before the hang is ended.
    """

    latency_s: float = 0.0
    overshoot_um: float = 0.0
    swing_um: float = 0.0
    settle_s: float = 0.05
    drift_um_per_s: float = 0.0
    slip_um: float = 0.0
    misread_um: float = 0.0
    stalls: bool = False
    raises: bool = False
    hangs: Literal["", "move", "busy", "read"] = ""

    def off_um(self, since_s: float) -> float:
        """How far it is from where it stopped, so long after arrival."""
        return self.swing_um * math.exp(-since_s / self.settle_s) + self.drift_um_per_s * since_s


@dataclass
class CameraFaults:
    """hangs: an exposure does not return before the hang is ended. raises: it fails.

    drops, repeats: so many of the next images never come, or are the one given before again.
    lags: its driver always gives the image of the exposure before.
    shape_px, dtype: of its images, instead of the true ones.
    """

    hangs: bool = False
    raises: bool = False
    drops: int = 0
    repeats: int = 0
    lags: bool = False
    shape_px: tuple[int, int] | None = None
    dtype: str = ""


@dataclass
class ShutterFaults:
    """stuck: it stays open (True) or closed (False). lies: it reports what it was told. hangs: calls do not return."""

    stuck: bool | None = None
    lies: bool = False
    hangs: bool = False


@dataclass
class LightFaults:
    """Behind the board's back. dead: LEDs that stay dark. stuck: LEDs that are on in green, at full drive."""

    dead: frozenset[int] = frozenset()
    stuck: frozenset[int] = frozenset()

    def light(self, levels: DutyLevels) -> DutyLevels:
        """What shines where the board drives these levels [led, colour]."""
        if not self.dead and not self.stuck:
            return levels
        shining: DutyLevels = levels.copy()
        shining[list(self.dead)] = 0
        shining[list(self.stuck), GREEN] = 255
        return shining


@dataclass
class DeviceFaults:
    """All that is wrong with the devices of one world; nothing when made. Change its parts at any time.

    amid_exposure: called once, while the next exposure is on.
    """

    stage: DriveFaults = field(default_factory=DriveFaults)
    focus: DriveFaults = field(default_factory=DriveFaults)
    camera: CameraFaults = field(default_factory=CameraFaults)
    shutter: ShutterFaults = field(default_factory=ShutterFaults)
    light: LightFaults = field(default_factory=LightFaults)
    amid_exposure: Callable[[], None] | None = None
    _released: threading.Event = field(default_factory=threading.Event, repr=False)

    def hang(self) -> None:
        """For devices: stay until the hang is ended, then fail."""
        self._released.wait(HUNG_S)
        raise RuntimeError("The device has been freed from a hang.")

    def happen(self) -> None:
        """For the camera: now the exposure is on."""
        event, self.amid_exposure = self.amid_exposure, None
        if event is not None:
            event()

    def end(self) -> None:
        """Everything works again, and what hangs fails."""
        self.stage, self.focus = DriveFaults(), DriveFaults()
        self.camera, self.shutter, self.light = CameraFaults(), ShutterFaults(), LightFaults()
        self.amid_exposure = None
        self._released.set()
        self._released = threading.Event()


@dataclass(frozen=True, eq=False)
class Exposed:
    """One exposure as it really was.

    place_um: mean x, y, z of the sample's place. light: levels [led, colour] that reached the camera as it began.
    image: what the sensor saw; a camera may hand over another. started_ns, ended_ns: monotonic clock.
    """

    number: int
    place_um: Position
    light: DutyLevels
    exposure_ms: float
    image: np.ndarray
    started_ns: int
    ended_ns: int
