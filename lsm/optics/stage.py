"""Where a stage and a focus drive really are: repeatability, backlash, settling and drift.

Typical values, to choose from; none is built in:

| quantity | value | source |
|---|---|---|
| repeatability | 0.7 um RMS rotary encoder, 0.3 um linear | ASI, XY stage lead screw table, 6.35 mm pitch |
| backlash | systematic, seen when the direction changes | definition of ASI Technical Note 105 (2001) |
| mechanical time constant | 10 ms, DC servo; more for steppers | ASI, Rapid array scanning with the MS2000 |
| wait before a picture | 200 ms | Tofra, Stage metrology script |
| drift | below 20 um a week, printed plastic | Sharkey et al., Rev. Sci. Instrum. 87, 025104 (2016) |

Repeatability is that of ISO 230-2 and ASI's note: the standard deviation of many arrivals at one target.
Backlash is the play operator (Brokate and Sprekels, Hysteresis and Phase Transitions, 1996, chapter 2): the drive
moves the plate only where it touches it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field

from lsm.config import Config
from lsm.errors import StageError
from lsm.optics.draws import draws

NonNegative = Annotated[float, Field(ge=0)]
Position: TypeAlias = tuple[float, float, float]

# what of a ring-down no image shows
STILL_UM = 0.02
# positions into which an exposure is divided while the stage still moves, and while it swings once
BLUR_STEPS, STEPS_PER_SWING = 12, 8
MS_PER_MIN = 60_000.0
# the walk of a focus is far slower
WALK_STEP_MS = 100.0


class AxisErrors(Config):
    """Errors of one axis; all zero is a perfect axis.

    repeatability_um: standard deviation of where a move ends.
    backlash_um: play of the drive. Targets approached towards plus are met, others stay this much above.
    ringing_um: distance that is left when the controller reports arrival; never more than the move itself.
    settling_ms: time in which what is left falls to 1/e.
    ringing_hz: frequency at which it swings around the target; 0 creeps there from the side it came from.
    """

    repeatability_um: NonNegative = 0.0
    backlash_um: NonNegative = 0.0
    ringing_um: NonNegative = 0.0
    settling_ms: Annotated[float, Field(gt=0)] = 20.0
    ringing_hz: NonNegative = 0.0


class StageErrors(Config):
    """Errors of a stage and its focus drive, and the times that make them matter.

    xy, z: of both lateral axes and of the focus.
    z_drift_um_per_min: steady drift of the focus, towards plus if positive.
    z_walk_um_per_sqrt_min: standard deviation of the random walk of the focus after one minute.
    move_ms: from a command to the report of arrival. wait_ms: from there to the exposure.
    """

    xy: AxisErrors = AxisErrors()
    z: AxisErrors = AxisErrors()
    z_drift_um_per_min: float = 0.0
    z_walk_um_per_sqrt_min: NonNegative = 0.0
    move_ms: NonNegative = 0.0
    wait_ms: NonNegative = 0.0


@dataclass(frozen=True)
class AxisState:
    """One axis after its last move.

    drive_um: where the drive stands, its random error included. plate_um: where the plate comes to rest.
    left_um: signed distance from there at `arrived_ms`, the start of the ring-down.
    """

    drive_um: float
    plate_um: float
    left_um: float = 0.0
    arrived_ms: float = 0.0

    def moved(self, target_um: float, arrived_ms: float, errors: AxisErrors, rng: np.random.Generator) -> "AxisState":
        """The state after a move that ends at `arrived_ms`."""
        drive_um = target_um + errors.repeatability_um * float(rng.standard_normal())
        plate_um = min(max(self.plate_um, drive_um), drive_um + errors.backlash_um)
        way_um = plate_um - self.at(arrived_ms, errors)
        left_um = -math.copysign(min(errors.ringing_um, abs(way_um)), way_um)
        return AxisState(drive_um, plate_um, left_um, arrived_ms)

    def at(self, time_ms: float, errors: AxisErrors) -> float:
        """Position at a time after arrival."""
        since_ms = max(0.0, time_ms - self.arrived_ms)
        swing = math.cos(2 * math.pi * errors.ringing_hz * since_ms / 1000)
        return self.plate_um + self.left_um * math.exp(-since_ms / errors.settling_ms) * swing

    def still_ms(self, errors: AxisErrors) -> float:
        """From when on it stays within STILL_UM of where it comes to rest."""
        return self.arrived_ms + errors.settling_ms * math.log(max(1.0, abs(self.left_um) / STILL_UM))


class StageState:
    """Where the stage is after the moves commanded so far.

    Starts at rest, in contact on the side from which targets are met. Times are milliseconds of one clock and never
    run backwards. The random error of a move depends on `rng` and on how many moves came before; drift on time alone.
    Neither depends on how often one asks.
    Raises StageError for a time before the last one asked about, or a target that is not finite.
    """

    def __init__(
        self,
        errors: StageErrors,
        rng: np.random.Generator,
        *,
        xy_um: tuple[float, float],
        z_um: float = 0.0,
    ) -> None:
        self._errors = errors
        self._key = int(rng.integers(2**63))
        self._moves = 0
        self._walk = _Walk(errors.z_walk_um_per_sqrt_min, draws(self._key, 1))
        self._axes = [AxisState(start, start) for start in (*xy_um, z_um)]
        self._each = (errors.xy, errors.xy, errors.z)
        self._commanded: list[float] = [*xy_um, z_um]
        self._now_ms = 0.0

    @property
    def now_ms(self) -> float:
        """The last time asked about."""
        return self._now_ms

    @property
    def commanded_um(self) -> Position:
        """Where the controller says the stage is."""
        x, y, z = self._commanded
        return x, y, z

    def move(self, time_ms: float, *, xy_um: tuple[float, float] | None = None, z_um: float | None = None) -> float:
        """Command a move at a time; returns when the controller reports arrival. Axes that are there stay there."""
        self._pass(time_ms)
        targets = (*(self._commanded[:2] if xy_um is None else xy_um), self._commanded[2] if z_um is None else z_um)
        if not all(math.isfinite(target) for target in targets):
            raise StageError(f"The stage cannot move to {targets} um.", hint="give finite micrometres")
        moves = [target != before for target, before in zip(targets, self._commanded, strict=True)]
        arrived_ms = time_ms + self._errors.move_ms * any(moves)
        rng = draws(self._key, 0, self._moves)
        self._moves += any(moves)
        for axis, goes in enumerate(moves):
            if goes:
                self._axes[axis] = self._axes[axis].moved(targets[axis], arrived_ms, self._each[axis], rng)
        self._commanded = list(targets)
        self._pass(arrived_ms)
        return arrived_ms

    def at(self, time_ms: float) -> Position:
        """Position (x, y, z) in um at a time."""
        self._pass(time_ms)
        return self._place(time_ms)

    def during(self, start_ms: float, exposure_ms: float) -> list[tuple[float, Position]]:
        """Positions during an exposure and the share of it spent at each; one where the stage is still.

        Drift is that of the end of the exposure: it is slow against one.
        """
        end_ms = start_ms + exposure_ms
        self._pass(end_ms)
        still_ms = max(axis.still_ms(errors) for axis, errors in zip(self._axes, self._each, strict=True))
        if still_ms <= start_ms or exposure_ms == 0:
            return [(1.0, self._place(end_ms))]
        moving_ms = min(still_ms, end_ms) - start_ms
        swings = moving_ms / 1000 * max(errors.ringing_hz for errors in self._each)
        steps = max(BLUR_STEPS, math.ceil(STEPS_PER_SWING * swings))
        step_ms = moving_ms / steps
        path = [(step_ms / exposure_ms, self._place(start_ms + (i + 0.5) * step_ms)) for i in range(steps)]
        if still_ms < end_ms:
            path.append(((end_ms - still_ms) / exposure_ms, self._place(end_ms)))
        return path

    def _place(self, time_ms: float) -> Position:
        x, y, z = (axis.at(time_ms, errors) for axis, errors in zip(self._axes, self._each, strict=True))
        return x, y, z + self._errors.z_drift_um_per_min * self._now_ms / MS_PER_MIN + self._walk.um

    def _pass(self, time_ms: float) -> None:
        if not self._now_ms <= time_ms < math.inf:
            raise StageError(
                f"The stage was asked about {time_ms:g} ms after {self._now_ms:g} ms.", hint="ask in the order of time"
            )
        self._now_ms = time_ms
        self._walk.on_to(time_ms)


class _Walk:
    """A random walk in steps of equal time, straight between them: the same however it is asked. um: where it is."""

    def __init__(self, um_per_sqrt_min: float, rng: np.random.Generator) -> None:
        self._step_um = um_per_sqrt_min * math.sqrt(WALK_STEP_MS / MS_PER_MIN)
        self._rng = rng
        self._behind_um, self._steps = 0.0, 0
        self._next_um = self._drawn(1)[0]
        self.um = 0.0

    def on_to(self, time_ms: float) -> None:
        steps = math.floor(time_ms / WALK_STEP_MS)
        if steps > self._steps:
            ahead = self._drawn(steps - self._steps)
            # one by one: the rounding of a sum must not depend on how often one asks
            for step_um in (self._next_um, *ahead[:-1]):
                self._behind_um += step_um
            self._next_um, self._steps = ahead[-1], steps
        self.um = self._behind_um + self._next_um * (time_ms / WALK_STEP_MS - steps)

    def _drawn(self, count: int) -> list[float]:
        if not self._step_um:
            return [0.0] * min(count, 2)
        steps: list[float] = (self._step_um * self._rng.standard_normal(count)).tolist()
        return steps


def mean_position(path: Sequence[tuple[float, Position]]) -> Position:
    """Mean place of an exposure with these shares at these places; exactly the place where there is one."""
    if len(path) == 1:
        return path[0][1]
    x, y, z = (sum(share * place[axis] for share, place in path) for axis in range(3))
    return x, y, z
