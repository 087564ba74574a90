"""Ways that stage and focus may go."""

import math
from dataclasses import dataclass, field

from lsm.errors import StageError
from lsm.safety.light import Clock
from lsm.safety.limits import Interval, Limits, inside


@dataclass(frozen=True)
class Place:
    """Where stage and focus are, or are to be. Raises StageError for what is no place."""

    xy_um: tuple[float, float]
    z_um: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.xy_um, self.z_um)):
            raise StageError(
                f"The stage says that it is at {self.xy_um} um with its focus at {self.z_um} um.",
                hint="its controller answers nonsense: home it, or switch it off and on",
            )

    def near(self, other: "Place", within_um: float) -> bool:
        """Whether no axis differs by more."""
        return all(
            abs(mine - its) <= within_um
            for mine, its in zip((*self.xy_um, self.z_um), (*other.xy_um, other.z_um), strict=True)
        )


def route(limits: Limits, start: Place, end: Place) -> tuple[Place, ...]:
    """Stations from `start` to `end`, which is the last: straight, or by way of safe_z_um where that is needed.

    Raises LimitExceeded, naming the limit, where neither is allowed.
    """
    limits.check_floor(end.z_um)
    _over_obstacles(limits, end, end)
    way_um = math.dist(start.xy_um, end.xy_um)
    if way_um == 0:
        # also out of a place where the focus should not be
        return (end,)
    safe_um = limits.safe_z_um
    straight_around = safe_um is not None and (way_um > limits.long_move_um or _blocked(limits, start, end))
    if safe_um is None or not straight_around:
        limits.check_sideways(start.z_um)
        _over_obstacles(limits, start, end)
        return (end,)
    above, across = Place(start.xy_um, safe_um), Place(end.xy_um, safe_um)
    _over_obstacles(limits, above, across)
    return (above, across, end)


@dataclass
class Pace:
    """Waits so that the way asked for over any time stays below the speed limits, but for the first move in it.

    A move starts no earlier than its way takes at full speed after the move before it started.
    """

    limits: Limits
    clock: Clock
    _last_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now_s = self.clock.now_s()
        self._last_s = {"xy": now_s, "z": now_s}

    def wait(self, start: Place, end: Place) -> None:
        """Return when this move may start; it counts as started now."""
        ways = {"xy": math.dist(start.xy_um, end.xy_um), "z": abs(end.z_um - start.z_um)}
        speeds = {"xy": self.limits.xy_speed_um_per_s, "z": self.limits.z_speed_um_per_s}
        moved = [axis for axis, way_um in ways.items() if way_um > 0]
        while (left_s := max((self._left_s(axis, ways[axis], speeds[axis]) for axis in moved), default=0.0)) > 0:
            self.clock.sleep_s(left_s)
        for axis in moved:
            self._last_s[axis] = self.clock.now_s()

    def _left_s(self, axis: str, way_um: float, speed_um_per_s: float | None) -> float:
        if speed_um_per_s is None:
            return 0.0
        return self._last_s[axis] + way_um / speed_um_per_s - self.clock.now_s()


def _blocked(limits: Limits, start: Place, end: Place) -> bool:
    low_um, high_um = limits.free_z_um
    return not low_um <= start.z_um <= high_um or any(
        not low_um <= z_um <= high_um
        for low_um, high_um in _narrowed(limits, start, end)
        for z_um in _focus(start, end)
    )


def _over_obstacles(limits: Limits, start: Place, end: Place) -> None:
    for interval in _narrowed(limits, start, end):
        for z_um in _focus(start, end):
            why = f" of an obstacle between ({_at(start)}) and ({_at(end)}) um"
            inside("obstacles.z_um", z_um, interval, why=why)


def _narrowed(limits: Limits, start: Place, end: Place) -> list[Interval]:
    """Focus allowed over obstacles that a move may touch: each axis goes at its own speed, so anywhere in the box."""
    boxes = [(min(pair), max(pair)) for pair in zip(start.xy_um, end.xy_um, strict=True)]
    return [
        obstacle.z_um
        for obstacle in limits.obstacles
        if all(
            low <= box[1] and box[0] <= high
            for (low, high), box in zip((obstacle.x_um, obstacle.y_um), boxes, strict=True)
        )
    ]


def _focus(start: Place, end: Place) -> set[float]:
    return {start.z_um, end.z_um}


def _at(place: Place) -> str:
    return f"{place.xy_um[0]:g}, {place.xy_um[1]:g}"
