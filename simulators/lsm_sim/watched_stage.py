"""A stage and a lamp that do all they are asked and note what was beyond the limits, by arithmetic of their own."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lsm.devices import Burst, Frame, Observe, Shown
from lsm.errors import StageError
from lsm.illum import LedBoard
from lsm.safety import Clock, Limits

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=3.0, distance_mm=50.0)
SIDE_PX = 24
FAILS = 0.002
NOTES = 10
# sums of many doses, in another order
ROUNDING = 1e-9


@dataclass
class LimitFuzz:
    """What came of it.

    asked: requests, of which `refused` were answered with an error of lsm before anything happened, `failed` by the
    device, and `captured` with a frame. outside: times the stage was sent, lit or exposed beyond a limit.
    changed: refusals that moved, lit or charged something. crashed: other errors than those of lsm.
    detours: dark frames of the guard's own. furthest_um: smallest and largest x, y and z the stage was sent to.
    """

    asked: int = 0
    refused: int = 0
    failed: int = 0
    captured: int = 0
    outside: int = 0
    changed: int = 0
    crashed: int = 0
    detours: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    furthest_um: dict[str, tuple[float, float]] = field(default_factory=dict)
    longest_ms: float = 0.0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if len(self.notes) < NOTES:
            self.notes.append(text)


class FakeTime:
    """A clock that only a wait or a capture moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def sleep(self, seconds: float) -> None:
        # a wait shorter than the clock's own steps ends with the next one
        self.now_s = max(self.now_s + seconds, math.nextafter(self.now_s, math.inf))

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.now_s, sleep_s=self.sleep)


class WatchedStage:
    """A microscope with bursts that does all it is asked and notes what was beyond its limits."""

    def __init__(self, limits: Limits, tally: LimitFuzz, rng: np.random.Generator, now: FakeTime) -> None:
        self.board = BOARD
        self.place = (1000.0, 0.0, 0.0)
        self._limits, self._tally, self._rng, self._now = limits, tally, rng, now
        # always the same, so that autofocus and calibrations go on to their end
        self._image = rng.integers(90, 200, (SIDE_PX, SIDE_PX)).astype(np.uint16)
        self.calls = 0
        self.new_session()

    def new_session(self) -> None:
        """Light is counted anew."""
        self.given_led_ms = 0.0
        self._spots: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._mean_ma, self._dark_since_s = 0.0, self._now.now_s
        self._sent_s = {"xy": self._now.now_s, "z": self._now.now_s}

    def observe(self, request: Observe) -> Frame:
        self._go(request.xy_um, request.z_um)
        return self._shine(request)

    def burst(self, request: Burst) -> tuple[Frame, ...]:
        self._go(request.xy_um, request.z_um)
        return tuple(self._shine(each) for each in request.requests())

    def close(self) -> None:
        """Nothing to release."""

    def _go(self, xy_um: Any, z_um: Any) -> None:
        self.calls += 1
        old = self.place
        wanted = (*(old[:2] if xy_um is None else xy_um), old[2] if z_um is None else z_um)
        self._judge_types(wanted)
        self._judge_way(old, wanted)
        self._judge_speed("xy", math.hypot(wanted[0] - old[0], wanted[1] - old[1]), self._limits.xy_speed_um_per_s)
        self._judge_speed("z", abs(wanted[2] - old[2]), self._limits.z_speed_um_per_s)
        if self._rng.random() < FAILS:
            share = float(self._rng.random())
            x, y, z = (a + share * (b - a) for a, b in zip(old, wanted, strict=True))
            self.place = (x, y, z)
            raise StageError("The stage is stuck.", hint="free it")
        self.place = wanted
        for axis, value in zip("xyz", wanted, strict=True):
            low, high = self._tally.furthest_um.get(axis, (value, value))
            self._tally.furthest_um[axis] = (min(low, value), max(high, value))

    def _judge_types(self, numbers: tuple[Any, ...]) -> None:
        if not all(type(value) is float and math.isfinite(value) for value in numbers):
            self._beyond(f"sent {numbers!r}")
            raise StageError("The stage is sent nowhere.", hint="give finite numbers")

    def _judge_way(self, old: tuple[float, float, float], new: tuple[float, float, float]) -> None:
        limits = self._limits
        floor_um = limits.z_floor_um if limits.z_floor_um is not None else -math.inf
        for value, (low, high) in zip(new, (limits.x_um, limits.y_um, limits.z_um), strict=True):
            if value < low or value > high:
                self._beyond(f"sent to {new}")
        if new[2] < floor_um:
            self._beyond(f"below the floor, {new}")
        if old[:2] == new[:2]:
            return
        if math.hypot(new[0] - old[0], new[1] - old[1]) > limits.long_move_um and not (
            old[2] == new[2] == limits.safe_z_um
        ):
            self._beyond(f"a long move not at the safe height, {old} to {new}")
        for block in limits.obstacles:
            apart = (
                max(old[0], new[0]) < block.x_um[0]
                or min(old[0], new[0]) > block.x_um[1]
                or max(old[1], new[1]) < block.y_um[0]
                or min(old[1], new[1]) > block.y_um[1]
            )
            if not apart and min(old[2], new[2]) < block.z_um[0]:
                self._beyond(f"through an obstacle, {old} to {new}")

    def _judge_speed(self, axis: str, way_um: float, speed_um_per_s: float | None) -> None:
        if way_um == 0 or speed_um_per_s is None:
            return
        since_s = self._now.now_s - self._sent_s[axis]
        self._sent_s[axis] = self._now.now_s
        # the clock adds up many steps
        if way_um > speed_um_per_s * since_s * (1 + ROUNDING) + speed_um_per_s * ROUNDING:
            self._beyond(f"{axis} {way_um} um within {since_s} s")

    def _shine(self, request: Observe) -> Frame:
        limits, levels = self._limits, request.pattern.levels
        exposure_ms = request.exposure_ms
        dose = int(levels.astype(int).sum()) / 255 * exposure_ms
        current_ma = int(levels.astype(int).sum()) / 255 * limits.channel_ma[0]
        self.given_led_ms += dose
        if type(exposure_ms) is not float or not limits.exposure_ms[0] <= exposure_ms <= limits.exposure_ms[1]:
            self._beyond(f"exposed {exposure_ms!r} ms")
        spot = self._spot_led_ms(dose)
        for name, value, most in (
            ("capture", dose, limits.capture_dose_led_ms),
            ("field", spot, limits.field_dose_led_ms),
            ("total", self.given_led_ms, limits.total_dose_led_ms),
            ("current", current_ma, limits.current_ma or math.inf),
            ("mean current", self._heat(current_ma, exposure_ms), limits.mean_current_ma or math.inf),
        ):
            if not value <= most * (1 + ROUNDING):
                self._beyond(f"{name} {value} of {most}")
        self._tally.longest_ms = max(self._tally.longest_ms, exposure_ms)
        x, y, z = self.place
        return Frame(self._image, request, Shown(levels), (x, y), z, 0, 1)

    def _spot_led_ms(self, dose: float) -> float:
        """Light that the most lit of the sample's points has had: points on a grid of a quarter of a field."""
        if dose == 0:
            return 0.0
        pitch_um, half_um = self._limits.field_um / 4, self._limits.field_um / 2
        most = 0.0
        x, y = self.place[:2]
        columns, rows = (
            range(math.ceil((at - half_um) / pitch_um - 0.5), math.floor((at + half_um) / pitch_um + 0.5))
            for at in (x, y)
        )
        for column in columns:
            for row in rows:
                self._spots[column, row] += dose
                most = max(most, self._spots[column, row])
        return most

    def _heat(self, current_ma: float, exposure_ms: float) -> float:
        tau_s = self._limits.thermal_s
        cooled = self._mean_ma * math.exp(-(self._now.now_s - self._dark_since_s) / tau_s)
        kept = math.exp(-exposure_ms / 1000 / tau_s)
        self._mean_ma = cooled * kept + current_ma * (1 - kept)
        self._now.now_s += exposure_ms / 1000
        self._dark_since_s = self._now.now_s
        return self._mean_ma

    def _beyond(self, what: str) -> None:
        self._tally.outside += 1
        self._tally.note(what)
