"""Drives between 0 and 1 as whole levels of one or several patterns that a board can show."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from lsm.errors import LimitExceeded
from lsm.types import Duty

Levels = Int[np.ndarray, "led colour"]
PlaneLevels = Int[np.ndarray, "plane led colour"]

# of float64 sums over a few planes; also the least difference of errors that counts
ROUNDING = 1e-9
# of exposures computed in different orders, relative
SLACK = 1e-9
# finer than the most sensitive camera can tell, and exact in float64
MOST_STEPS = 2**24


@dataclass(frozen=True, eq=False)
class Means:
    """What there is to show a capture with.

    channel_ua: current of each colour channel at full drive. room_ua: what all may draw together.
    full_level: level of full drive. patterns: most patterns. one_colour: a pattern holds one colour only.
    shortest_ms, longest_ms: exposure of a pattern. total_ms: of all together, turns of LEDs counted once.
    """

    channel_ua: Int[np.ndarray, " colour"]
    room_ua: int
    full_level: int
    patterns: int
    one_colour: bool
    shortest_ms: float
    longest_ms: float
    total_ms: float

    def draw(self, levels: Levels) -> Levels:
        """Current of each channel in microamperes times the level of full drive."""
        drawn: Levels = levels * self.channel_ua
        return drawn

    @property
    def room(self) -> int:
        return self.room_ua * self.full_level


@dataclass(frozen=True, eq=False)
class Want:
    """A capture as asked: drive [led, colour] with 1 the full scale, and what a deviation of it weighs as error.

    full_ms: exposure at full drive that the full scale stands for.
    """

    drive: Duty
    error_weight: Duty
    full_ms: float


@dataclass(frozen=True, eq=False)
class Encoding:
    """drive = sum over planes of levels * share, apart from `error`; step is the distance of neighbouring drives."""

    levels: PlaneLevels
    shares: Float[np.ndarray, " plane"]
    step: float
    error: float
    patterns: int = 0

    def exposures_ms(self, want: Want, means: Means) -> Float[np.ndarray, " plane"]:
        """Exposure of each plane."""
        return self.shares * means.full_level * want.full_ms


def top_level(drive: Duty, means: Means) -> int:
    """The highest level that the largest drive may have in a single exposure.

    LEDs take turns only where even level 1 draws too much at once.
    Raises LimitExceeded where that does not help either.
    """
    colours = drive.any(axis=0).sum() if means.one_colour else 1
    for divided in (False, True):
        low, high = 0, means.full_level + 1
        while high - low > 1 and colours <= means.patterns:
            middle = (low + high) // 2
            levels = np.rint(drive * middle).astype(np.int64)
            low, high = (middle, high) if _count(levels[None], means, divided=divided) is not None else (low, middle)
        if low:
            return low
    each = " and one colour each" if means.one_colour else ""
    raise LimitExceeded(
        f"A light of {np.count_nonzero(drive)} LED channels cannot be shown in {means.patterns} patterns "
        f"of at most {means.room_ua / 1000:g} mA{each}.",
        hint="raise max_patterns or max_ma of the drive, or light fewer LEDs",
    )


def choose(want: Want, means: Means, tolerance: float) -> Encoding:
    """The encoding of fewest patterns whose error is within tolerance, else that of least error.

    There is one when full_ms is at most what `top_level` gives in the longest and in the total exposure.
    """
    found = [*_candidates(want, means, tolerance)]
    good = [encoding for encoding in found if encoding.error <= tolerance + ROUNDING]
    if good:
        return min(good, key=lambda encoding: (encoding.patterns, encoding.error))
    best = min(encoding.error for encoding in found)
    return next(encoding for encoding in found if encoding.error <= best + ROUNDING)


def split(levels: Levels, means: Means) -> list[Levels]:
    """The same levels as patterns that each stay within the current; none for a dark one.

    LEDs are taken in board order: no other order needs fewer patterns while all channels draw the same.
    """
    shown: list[Levels] = []
    for part in _by_colour(levels, means):
        ends = means.draw(part).ravel().cumsum()
        start, before = 0, 0
        while before < ends[-1]:
            end = int(np.searchsorted(ends, before + means.room, side="right"))
            group = np.zeros(part.size, dtype=np.int64)
            group[start:end] = part.ravel()[start:end]
            shown.append(group.reshape(part.shape))
            start, before = end, int(ends[end - 1])
    return shown


def _by_colour(levels: Levels, means: Means) -> list[Levels]:
    lit = np.flatnonzero(levels.any(axis=0))
    if not means.one_colour:
        return [levels] if len(lit) else []
    return [levels * (np.arange(levels.shape[1]) == colour) for colour in lit]


def _candidates(want: Want, means: Means, tolerance: float) -> Iterator[Encoding]:
    # the drive of the lowest level in the shortest exposure is 1 / units
    units = means.full_level * want.full_ms / means.shortest_ms
    others = [_one_exposure(want, units)] if units < means.full_level else []
    if means.full_level == 1:
        others += _staircase(want, means)
    for encoding in others:
        fitted = _fitted(encoding, want, means, divided=True)
        if fitted is not None:
            yield fitted
    for n in range(1, means.patterns + 1):
        if n > 1 and (means.full_level + 1) ** n > MOST_STEPS:
            return
        # all planes together hold (top + 1)^n - 1 of the shortest exposure
        top = min(means.full_level, int((units + 1) ** (1 / n) * (1 + SLACK)) - 1)
        for divided in (False, True):
            planes = _planes(want, means, n, top, tolerance, divided=divided)
            if planes is not None:
                yield planes
                if planes.error <= tolerance + ROUNDING:
                    return


def _planes(want: Want, means: Means, n: int, top: int, tolerance: float, *, divided: bool) -> Encoding | None:
    """As many as n patterns whose exposures go up by factors of the number of levels, so that their levels are digits.

    The largest full scale up to `top` that is within tolerance, else the one of least error.
    """
    best: Encoding | None = None
    for scale in range(top, 0, -1):
        encoding = _digits(want, n, scale)
        good = encoding.error <= tolerance + ROUNDING
        if not good and best is not None and encoding.error >= best.error - ROUNDING:
            continue
        fitted = _fitted(encoding, want, means, divided=divided)
        if fitted is not None and good:
            return fitted
        best = fitted or best
    return best


def _fitted(encoding: Encoding, want: Want, means: Means, *, divided: bool) -> Encoding | None:
    """The encoding with its number of patterns; None where current, patterns or exposures are beyond what there is."""
    exposures_ms = encoding.exposures_ms(want, means)[encoding.levels.any(axis=(1, 2))]
    if len(exposures_ms) and (
        exposures_ms.min() < means.shortest_ms * (1 - SLACK)
        or exposures_ms.max() > means.longest_ms * (1 + SLACK)
        or exposures_ms.sum() > means.total_ms * (1 + SLACK)
    ):
        return None
    patterns = _count(encoding.levels, means, divided=divided)
    return None if patterns is None else replace(encoding, patterns=patterns)


def _count(planes: PlaneLevels, means: Means, *, divided: bool) -> int | None:
    """Number of patterns that show the planes; None where they are too many or draw too much.

    divided: LEDs of one plane may take turns.
    """
    parts = [part for levels in planes for part in _by_colour(levels, means)]
    if len(parts) > means.patterns or any(int(means.draw(part).max()) > means.room for part in parts):
        return None
    patterns = len(parts)
    if any(int(means.draw(part).sum()) > means.room for part in parts):
        if not divided:
            return None
        patterns = sum(len(split(part, means)) for part in parts)
    return patterns if patterns <= means.patterns else None


def _digits(want: Want, n: int, top: int) -> Encoding:
    base = top + 1
    steps = base**n - 1
    number = np.rint(want.drive * steps).astype(np.int64)
    powers = base ** np.arange(n)
    levels = number[None] // powers[:, None, None] % base
    return Encoding(levels, powers / steps, 1 / steps, _error(want, number / steps))


def _one_exposure(want: Want, units: float) -> Encoding:
    """One pattern in the shortest exposure, whatever level that gives the largest drive, if any."""
    levels = np.rint(want.drive * units).astype(np.int64)[None]
    return Encoding(levels, np.array([1 / units]), 1 / units, _error(want, levels[0] / units))


def _staircase(want: Want, means: Means) -> list[Encoding]:
    """One pattern for every drive that occurs: exact, and the fewest where few different drives are asked."""
    drive = np.round(want.drive, 12)
    heights = np.unique(drive[drive > 0])
    if len(heights) > means.patterns:
        return []
    shares = np.diff(heights, prepend=0.0)
    levels = (drive[None] >= heights[:, None, None]).astype(np.int64)
    return [Encoding(levels, shares, 0.0, _error(want, np.tensordot(shares, levels, 1)))]


def _error(want: Want, drive: Duty) -> float:
    return float((np.abs(drive - want.drive) * want.error_weight).max())
