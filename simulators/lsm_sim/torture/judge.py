"""Whether a frame is what it says, by what really happened in the simulated world."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lsm.devices import Frame
from lsm.scope import RigConfig
from lsm.types import DutyLevels
from lsm_sim.board import read_led_frames
from lsm_sim.device_faults import Exposed
from lsm_sim.world import World

EXPOSURE_MS = 0.05


class Judge:
    """Compares frames with the world's last exposures and, in `log`, with what the board's LEDs were really sent."""

    def __init__(self, rig: RigConfig, world: World, log: Path) -> None:
        self._rig = rig
        self._world = world
        self._log = log

    def fault_of(self, frames: Sequence[Frame], since_ns: int) -> str:
        """What is not true of frames asked for one after the other since then; empty where all are what they say."""
        found = []
        for frame in frames:
            taken = self._exposure_of(frame)
            if taken is None:
                found.append("its image is of no exposure")
                continue
            found += [
                self._wrong_time(frame, taken, since_ns),
                self._wrong_light(frame, taken),
                self._wrong_place(frame, taken),
            ]
            since_ns = taken.ended_ns
        return "; ".join(filter(None, found))

    def _exposure_of(self, frame: Frame) -> Exposed | None:
        exposures = reversed(list(self._world.exposed))
        return next((each for each in exposures if np.array_equal(each.image, frame.image)), None)

    def _wrong_time(self, frame: Frame, taken: Exposed, since_ns: int) -> str:
        overlap = frame.started_ns <= taken.ended_ns and taken.started_ns <= frame.ended_ns
        if taken.started_ns < since_ns or not overlap:
            return f"its image is of exposure {taken.number}, before its time"
        if abs(taken.exposure_ms - frame.exposure_ms) > EXPOSURE_MS + 0.01 * frame.exposure_ms:
            return f"it was exposed for {taken.exposure_ms:g} ms, not {frame.exposure_ms:g} ms"
        return ""

    def _wrong_light(self, frame: Frame, taken: Exposed) -> str:
        shown, asked = frame.shown, frame.request.pattern.levels
        if not shown.limited and not np.array_equal(shown.levels, asked):
            return "it says to show another light than was asked for"
        if not np.array_equal(taken.light, shown.levels):
            return f"{_difference(taken.light, shown.levels)} when the exposure began"
        for levels in self._lit_during(taken.started_ns, taken.ended_ns):
            if not np.array_equal(self._world.faults.light.light(levels), shown.levels):
                return f"{_difference(levels, shown.levels)} during the exposure"
        return ""

    def _wrong_place(self, frame: Frame, taken: Exposed) -> str:
        tolerance = self._rig.tolerance_um
        *xy_um, z_um = taken.place_um
        places = [(xy_um, frame.xy_um, tolerance.xy, "stage"), ([z_um], (frame.z_um,), tolerance.z, "focus")]
        if frame.request.xy_um is not None:
            places.append((xy_um, frame.request.xy_um, 2 * tolerance.xy, "target of the stage"))
        if frame.request.z_um is not None:
            places.append(([z_um], (frame.request.z_um,), 2 * tolerance.z, "target of the focus"))
        for true_um, said_um, allowed_um, name in places:
            off_um = float(np.abs(np.subtract(true_um, said_um)).max())
            if not off_um <= allowed_um:
                return f"the sample was {off_um:.2f} um from the {name}"
        return ""

    def _lit_during(self, started_ns: int, ended_ns: int) -> list[DutyLevels]:
        frames = read_led_frames(self._log)
        before = [levels for t_ns, levels in frames if t_ns <= started_ns]
        return before[-1:] + [levels for t_ns, levels in frames if started_ns < t_ns <= ended_ns]


def _difference(lit: DutyLevels, said: DutyLevels) -> str:
    other = int((lit != said).any(axis=1).sum())
    return f"{other} LEDs were not as it says"
