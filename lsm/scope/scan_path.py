"""Orders in which to visit fields, and moves that end free of backlash. Pure geometry: nothing here moves a stage."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from lsm.errors import ConfigError
from lsm.safety import Interval

Position = tuple[float, float]
Centres = Float[np.ndarray, "row column xy"]

# a field that ends where the region does needs no other beyond it, whatever rounding says
EDGE = 1e-9


@dataclass(frozen=True)
class Stop:
    """A place on the way. look: False only goes there so that the next move ends in the right direction."""

    xy_um: Position
    look: bool = True


def field_centres(x_um: Interval, y_um: Interval, field_um: Position, *, overlap: float = 0.0) -> Centres:
    """Centres [row, column, xy] of the fewest fields that cover the region, centred on it, row 0 at the smallest y.

    field_um: width and height of a field. overlap: share of a field that neighbours have in common.
    Raises ConfigError for a region or field that is none.
    """
    if not 0 <= overlap < 1:
        raise ConfigError(f"Fields cannot overlap by {overlap:g} of their size.", hint="0 is none; below 1")
    columns, rows = (
        _centres(interval, size_um, overlap) for interval, size_um in zip((x_um, y_um), field_um, strict=True)
    )
    x, y = np.meshgrid(columns, rows)
    centres: Centres = np.stack([x, y], axis=-1)
    return centres


def raster(centres: Centres) -> Iterator[Position]:
    """Row by row, each along +x: every field is approached from the same side, at the price of empty ways back."""
    for row in centres:
        yield from _positions(row)


def serpentine(centres: Centres) -> Iterator[Position]:
    """Row by row, along +x and -x in turn: the shortest way over a full grid."""
    for index, row in enumerate(centres):
        yield from _positions(row if index % 2 == 0 else row[::-1])


def spiral(centres: Centres) -> Iterator[Position]:
    """Outwards from the field nearest to the middle, ring by ring, to where something is found early."""
    rows, columns = centres.shape[:2]
    row, column = (rows - 1) // 2, (columns - 1) // 2
    for ring in range(max(rows, columns) + 1):
        for away_row, away_column in _ring(ring):
            if 0 <= row + away_row < rows and 0 <= column + away_column < columns:
                yield _position(centres[row + away_row, column + away_column])


def nearest_first(places: Iterable[Position], start_um: Position) -> Iterator[Position]:
    """A list of places, each time the nearest that is left; a short way for a few hundred, not the shortest.

    Raises ConfigError for a place that is not finite.
    """
    left = np.array([_finite(place) for place in places], dtype=np.float64).reshape(-1, 2)
    here = np.array(_finite(start_um))
    while len(left):
        nearest = int(np.hypot(*(left - here).T).argmin())
        here, left = left[nearest], np.delete(left, nearest, axis=0)
        yield _position(here)


def approached(places: Iterable[Position], backlash_um: float) -> Iterator[Stop]:
    """The places in their order, with detours such that the last move to each goes towards +x and +y, or not at all.

    backlash_um: play of the stage, or more; 0 adds nothing. An axis that went towards plus before, and stays, is still
    free of it. Detours go that far below a place, so the travel must reach there. The first place gets one too: nobody
    knows how the stage came to be where it is. Raises ConfigError for a backlash or place that is none.
    """
    if not 0 <= backlash_um < math.inf:
        raise ConfigError(f"A backlash of {backlash_um:g} um is impossible.", hint="give 0 or a positive length")
    here: Position | None = None
    for place in map(_finite, places):
        if backlash_um > 0:
            x_um, y_um = (
                wanted - backlash_um if here is None or wanted < here[axis] else here[axis]
                for axis, wanted in enumerate(place)
            )
            if (x_um, y_um) != here:
                yield Stop((x_um, y_um), look=False)
        yield Stop(place)
        here = place


def travel_um(places: Iterable[Position], start_um: Position | None = None) -> float:
    """Length of the way through the places in their order, from `start_um` if given."""
    way = list(places) if start_um is None else [start_um, *places]
    return sum(math.dist(one, other) for one, other in pairwise(way))


def _centres(interval: Interval, size_um: float, overlap: float) -> Float[np.ndarray, " field"]:
    low_um, high_um = interval
    if not (0 < size_um < math.inf and -math.inf < low_um <= high_um < math.inf):
        raise ConfigError(
            f"Fields of {size_um:g} um cannot cover [{low_um:g}, {high_um:g}] um.",
            hint="a field is a positive length, a region has a lower and an upper end",
        )
    pitch_um = size_um * (1 - overlap)
    count = 1 + max(0, math.ceil((high_um - low_um - size_um) / pitch_um - EDGE))
    centres: Float[np.ndarray, " field"] = (low_um + high_um) / 2 + (np.arange(count) - (count - 1) / 2) * pitch_um
    return centres


def _ring(ring: int) -> Iterator[tuple[int, int]]:
    """Offsets (row, column) at this distance along one axis at least, once around from the corner of least x and y."""
    if ring == 0:
        yield (0, 0)
    for step in range(2 * ring):
        yield (-ring, -ring + step)
    for step in range(2 * ring):
        yield (-ring + step, ring)
    for step in range(2 * ring):
        yield (ring, ring - step)
    for step in range(2 * ring):
        yield (ring - step, -ring)


def _positions(row: Float[np.ndarray, "column xy"]) -> Iterator[Position]:
    return map(_position, row)


def _position(place: Float[np.ndarray, " xy"]) -> Position:
    return float(place[0]), float(place[1])


def _finite(place: Position) -> Position:
    x_um, y_um = place
    if not (math.isfinite(x_um) and math.isfinite(y_um)):
        raise ConfigError(f"({x_um}, {y_um}) um is no place.", hint="give finite micrometres")
    return float(x_um), float(y_um)
