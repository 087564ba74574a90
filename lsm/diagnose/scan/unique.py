"""Each cell once: what of a field was counted before, and how far its neighbours say that it lies elsewhere."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from lsm.scope.scan_path import Position

Points = Float[np.ndarray, "cell 2"]
Others = Float[np.ndarray, "other 2"]
Vector = Float[np.ndarray, "2"]
Chosen = Bool[np.ndarray, " cell"]

SAME_UM = 2.5
"""Two findings this near are one cell: centres of neighbours are about 5 um apart and more, and what finder and
encoders leave of a cell's place is under 1 um."""

STILL_UM = 1.0
"""Smaller displacements are left alone: they are within SAME_UM, and corrected ones would add up over a slide."""

EDGE_UM = 4.0
"""Radius of a red cell: nearer to the edge of an image it is cut."""

REACH_UM = 40.0
"""Largest displacement that is looked for."""

BIN_UM = 1.5
FEWEST_SHARED = 12
"""Cells in a common strip from which on it tells whether two fields show the same: by chance, the best of all
displacements brings at most about 40 % of so many onto others."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A field that counted: the middle of what it covers, all red cells found, and those counted there, in corrected
    stage coordinates.
    """

    centre_um: Vector
    found: Points
    counted: Others


@dataclass(frozen=True, eq=False)
class Placed:
    """A field against its neighbours.

    shift_um: what brings its cells onto theirs. alike: share of the cells in a common strip that are seen in both
    then, with the neighbour where it is smallest; None where too few are common.
    """

    shift_um: Vector
    alike: float | None

    def holds(self, *, alike: float, moved_um: float) -> bool:
        """Whether the field lies where the stage says; also where nothing tells."""
        return self.alike is None or (self.alike >= alike and float(np.hypot(*self.shift_um)) <= moved_um)


NOT_PLACED = Placed(np.zeros(2), None)


class UniqueCells:
    """Remembers the last fields that counted, and tells of a new one what is new.

    Every field claims what it covers but for a rim of EDGE_UM, less where overlaps are narrower. Of a later field the
    cells outside all claims count. On the border of a claim, where errors of a micrometre decide, a cell counts
    unless one that was counted is near.

    remembered: fields kept, all those of which neighbours may still come. overlap_um: of neighbours.
    """

    def __init__(self, remembered: int, field_um: Position, *, overlap_um: float) -> None:
        self._kept: deque[Seen] = deque(maxlen=remembered)
        self._half = np.array(field_um) / 2
        self._claim = self._half - min(EDGE_UM, overlap_um / 2)

    def __len__(self) -> int:
        return len(self._kept)

    def place(self, xy_um: Position, found: Points) -> Placed:
        """How a field with these red cells lies against those before it."""
        return register(found, np.array(xy_um), self._near(np.array(xy_um)), self._half)

    def new(self, xy_um: Position, found: Points, shift_um: Vector) -> Chosen:
        """Which of the red cells were not counted before."""
        centre, cells = np.array(xy_um) + shift_um, found + shift_um
        fresh = _within(cells, centre, self._claim)
        others = self._near(centre)
        if not others or not fresh.any():
            return fresh
        counted = np.concatenate([other.counted for other in others])
        rim = np.zeros_like(fresh)
        for other in others:
            fresh &= ~_within(cells, other.centre_um, self._claim - SAME_UM)
            rim |= _within(cells, other.centre_um, self._claim + SAME_UM)
        if len(counted):
            distance, _ = cKDTree(counted).query(cells[rim])
            fresh[rim] &= distance > SAME_UM
        return fresh

    def keep(self, xy_um: Position, found: Points, new: Chosen, shift_um: Vector) -> Seen:
        """Remember a field that counts."""
        seen = Seen(np.array(xy_um) + shift_um, found + shift_um, found[new] + shift_um)
        self._kept.append(seen)
        return seen

    def again(self, xy_um: Position, found: Points, before: Seen) -> Placed:
        """How a field that is looked at again lies against what it was."""
        return register(found, np.array(xy_um), [before], self._half)

    def _near(self, centre: Vector) -> list[Seen]:
        """Fields with which one around this place has something in common."""
        return [one for one in self._kept if (np.abs(one.centre_um - centre) < 2 * self._half).all()]


def register(found: Points, centre: Vector, others: Sequence[Seen], half: Vector) -> Placed:
    """The displacement that brings most cells of a field onto those of others, in what both cover.

    All differences between a cell of one and a cell of the other are counted on a grid; the true displacement is
    common to many pairs, the others are spread out.
    """
    inner = half - EDGE_UM
    strips = [_within(found, other.centre_um, inner) & _within(found, centre, inner) for other in others]
    here = np.any(strips, axis=0) if strips else np.zeros(len(found), dtype=bool)
    there = np.concatenate([other.found for other in others]) if others else np.zeros((0, 2))
    there = there[_within(there, centre, half + REACH_UM)]
    shared = found[here]
    if len(shared) < FEWEST_SHARED or not len(there):
        return NOT_PLACED
    shift = _most_common(shared, there)
    for _ in range(2):
        distance, index = cKDTree(there).query(shared + shift)
        near = distance < SAME_UM
        if not near.any():
            return Placed(np.zeros(2), 0.0)
        shift = np.median(there[index[near]] - shared[near], axis=0)
    alike = min(
        [float(near[strip[here]].mean()) for strip in strips if strip.sum() >= FEWEST_SHARED] or [float(near.mean())]
    )
    return Placed(shift if float(np.hypot(*shift)) > STILL_UM else np.zeros(2), alike)


def _most_common(shared: Points, there: Others) -> Vector:
    pairs = cKDTree(shared).query_ball_point(there, REACH_UM)
    lengths = [len(each) for each in pairs]
    first = np.concatenate([np.array(each, dtype=np.int64) for each in pairs])
    differences = np.repeat(there, lengths, axis=0) - shared[first]
    if not len(differences):
        return np.zeros(2)
    middle = round(REACH_UM / BIN_UM) + 1
    side = 2 * middle + 1
    columns, rows = np.rint(differences / BIN_UM).astype(np.int64).T + middle
    votes = np.bincount(rows * side + columns, minlength=side * side).reshape(side, side)
    row, column = divmod(int(uniform_filter(votes.astype(np.float64), 3, mode="constant").argmax()), side)
    return np.array([column - middle, row - middle]) * BIN_UM


def _within(points: Points, centre: Vector, half: Vector) -> Chosen:
    inside: Chosen = (np.abs(points - centre) < half).all(axis=1)
    return inside
