"""From readings of fields to the plain findings of a run."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Ge, Gt

from lsm.agent.results import CellFinding, FieldVisit
from lsm.config import Config
from lsm.devices import Frame
from lsm.vision import FieldQuality, FieldReading

RED_CELL = 0
KIND_NAMES = ("red cell", "white cell", "platelet")


class QualityLimits(Config):
    """When a field counts as faulty.

    cells: fewer red cells is empty. coverage: more of the area under cells is crowded. signal: below this
    share of the design fields' mean signal is dark. saturated: a larger share of pixels at full well is overexposed.
    """

    cells: Annotated[int, Ge(0)] = 5
    coverage: Annotated[float, Gt(0)] = 0.75
    signal: Annotated[float, Gt(0)] = 0.4
    saturated: Annotated[float, Gt(0)] = 0.2


def field_visit(
    reading: FieldReading,
    xy_um: tuple[float, float],
    captures: Sequence[tuple[int, int]],
    limits: QualityLimits,
) -> FieldVisit:
    """One field of a run; `captures` are (index into the record, pattern) in the order of capture."""
    kinds = reading.cells.kind
    counts = {name: int((kinds == kind).sum()) for kind, name in enumerate(KIND_NAMES)}
    counts["red cell"] = reading.quality.n_red
    quality, fault = judge(reading.quality, limits)
    indices, patterns = zip(*captures, strict=True)
    return FieldVisit(xy_um, indices, patterns, counts, quality, fault)


def judge(quality: FieldQuality, limits: QualityLimits) -> tuple[float, str]:
    """Quality 0..1 and the worst fault, empty where every number keeps its limit.

    1 at twice the margin that a limit asks for or better, 0.5 at the limit, 0 far beyond it.
    """
    shares = {
        "empty": quality.n_red / max(1, 2 * limits.cells),
        "crowded": limits.coverage / max(1e-9, 2 * quality.coverage),
        "dark": quality.signal / (2 * limits.signal),
        "overexposed": limits.saturated / max(1e-9, 2 * quality.saturated),
    }
    worst = min(shares, key=lambda fault: shares[fault])
    score = min(1.0, max(0.0, shares[worst]))
    return score, worst if score < 0.5 else ""


def cell_findings(
    reading: FieldReading, frames: Mapping[int, Frame], *, visit: int, camera_pixel_um: float
) -> list[CellFinding]:
    """The red cells of one field in slide coordinates, from where the stage really was."""
    frame = next(iter(frames.values()))
    rows, columns = frame.image.shape
    x0_um, y0_um = frame.xy_um
    cells, found = reading.cells, []
    for index in range(len(cells)):
        if cells.kind[index] != RED_CELL:
            continue
        x_px, y_px, radius_px = (float(values[index]) for values in (cells.x_px, cells.y_px, cells.radius_px))
        found.append(
            CellFinding(
                x_um=x0_um + (x_px - (columns - 1) / 2) * camera_pixel_um,
                y_um=y0_um + (y_px - (rows - 1) / 2) * camera_pixel_um,
                box_px=(x_px - radius_px, y_px - radius_px, x_px + radius_px, y_px + radius_px),
                p_infected=float(reading.p_infected[index]),
                field=visit,
                mask=reading.mask,
            )
        )
    return found
