"""Which fields a scan visits, in which order."""

import math
from dataclasses import dataclass

from lsm.diagnose.scan.config import RegionConfig
from lsm.errors import ConfigError
from lsm.safety import Interval
from lsm.scope import RigConfig
from lsm.scope.scan_path import Position, field_centres, serpentine


@dataclass(frozen=True)
class ScanPlan:
    """Fields in the order of visit.

    field_um: width and height of one. columns: in a row. remembered: visited fields of which neighbours may still
    come, so that what was found in them has to be kept: two rows.
    """

    centres_um: tuple[Position, ...]
    field_um: Position
    columns: int
    overlap: float

    def __len__(self) -> int:
        return len(self.centres_um)

    @property
    def remembered(self) -> int:
        return 2 * self.columns + 1

    @property
    def x_um(self) -> Interval:
        """What the fields cover."""
        return self._covered(0)

    @property
    def y_um(self) -> Interval:
        """What the fields cover."""
        return self._covered(1)

    def _covered(self, axis: int) -> Interval:
        places, half = [centre[axis] for centre in self.centres_um], self.field_um[axis] / 2
        return min(places) - half, max(places) + half


def plan_scan(region: RegionConfig, rig: RigConfig) -> ScanPlan:
    """The serpentine over the region. Raises ConfigError where image size or travel do not allow one."""
    if rig.camera.shape_px is None:
        raise ConfigError(
            f"Rig '{rig.name}' does not say how large its images are.", hint="set shape_px under [camera] of the rig"
        )
    rows_px, columns_px = rig.camera.shape_px
    field_um = (columns_px * rig.camera_pixel_um, rows_px * rig.camera_pixel_um)
    x_um, y_um = _covered(region, rig, field_um)
    centres = field_centres(x_um, y_um, field_um, overlap=region.overlap)
    order = tuple(serpentine(centres))[: region.fields]
    for axis, name, allowed in ((0, "x", rig.limits.x_um), (1, "y", rig.limits.y_um)):
        places = [place[axis] for place in order]
        if min(places) < allowed[0] or max(places) > allowed[1]:
            raise ConfigError(
                f"Fields with {name} from {min(places):.1f} to {max(places):.1f} um are beyond the travel of rig "
                f"'{rig.name}'.",
                hint=f"{name} is {allowed[0]:g} to {allowed[1]:g} um: choose another corner, or fewer columns and rows",
            )
    return ScanPlan(order, field_um, centres.shape[1], region.overlap)


def _covered(region: RegionConfig, rig: RigConfig, field_um: Position) -> tuple[Interval, Interval]:
    """What is to be covered along x and y; the middle of the travel where no corner is given."""
    travel = (rig.limits.x_um, rig.limits.y_um)
    pitch = tuple(size * (1 - region.overlap) for size in field_um)
    if region.columns is None or region.rows is None:
        counts = _near_square(
            tuple(
                max(1, _fields(high - low, size, step))
                for (low, high), size, step in zip(travel, field_um, pitch, strict=True)
            ),
            region.fields,
        )
    else:
        counts = (region.columns, region.rows)
    sizes = [size + (count - 1) * step for count, size, step in zip(counts, field_um, pitch, strict=True)]
    if region.corner_um is not None:
        starts = list(region.corner_um)
    else:
        starts = [(low + high - size) / 2 for (low, high), size in zip(travel, sizes, strict=True)]
    (x, y), (width, height) = starts, sizes
    return (x, x + width), (y, y + height)


def _fields(length_um: float, size_um: float, pitch_um: float) -> int:
    """Fields that fit into a length without reaching beyond it."""
    return 1 + math.floor((length_um - size_um) / pitch_um + 1e-9)


def _near_square(most: tuple[int, ...], fields: int) -> tuple[int, int]:
    """Columns and rows of a block of at most about `fields`, as square as the travel allows."""
    columns, rows = most
    if columns * rows <= fields:
        return columns, rows
    wide = min(columns, max(1, math.ceil(math.sqrt(fields))))
    high = min(rows, max(1, math.ceil(fields / wide)))
    return min(columns, math.ceil(fields / high)), high
