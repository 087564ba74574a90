"""What a scan knows so far: counts, one row per field, and the most suspicious cells; no list of all cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from lsm.agent.findings import KIND_NAMES, RED_CELL
from lsm.agent.results import CellFinding, FieldVisit
from lsm.devices import Frame
from lsm.diagnose.scan.cellfile import CELL
from lsm.diagnose.scan.evidence import CellOdds
from lsm.diagnose.scan.quality import Fault, Judged
from lsm.diagnose.scan.suspects import Suspects
from lsm.scope.scan_path import Position
from lsm.vision import FieldReading, FoundCells
from lsm.vision.look import FieldLook

MaskBins = Int[np.ndarray, "mask bin"]
EXPECTED = 0.01
"""Prevalence at which fields are compared before the slide's own is known."""


@dataclass(frozen=True, eq=False)
class FieldRow:
    """One field: what a run says of it, how it looked, and its new red cells per score bin under the set `mask`."""

    visit: FieldVisit
    look: FieldLook
    z_um: float
    mask: int
    bins: Int[np.ndarray, " bin"]

    @property
    def good(self) -> bool:
        return not self.visit.fault


@dataclass(frozen=True, eq=False)
class Found:
    """The red cells of a field: index among all its cells, place on the slide, score, score bin, and which are new."""

    index: Int[np.ndarray, " cell"]
    xy_um: Float[np.ndarray, "cell 2"]
    score: Float[np.ndarray, " cell"]
    bins: Int[np.ndarray, " cell"]
    new: Bool[np.ndarray, " cell"]


class Tally:
    """Adds fields one by one."""

    def __init__(self, odds: CellOdds, *, suspects: int, pixel_um: float) -> None:
        self.odds = odds
        self.counts: MaskBins = np.zeros(odds.ratios.shape, dtype=np.int64)
        self.rows: list[FieldRow] = []
        self.suspects = Suspects(suspects, pixel_um)
        self.fields = 0
        self.likeliest: tuple[CellFinding, ...] = ()
        self._most = -1.0
        self._chance = odds.probability(EXPECTED)

    @property
    def cells(self) -> int:
        """Red cells counted, each once."""
        return int(self.counts.sum())

    def faults(self) -> list[str]:
        """Of the faulty fields, in their order."""
        return [row.visit.fault for row in self.rows if row.visit.fault]

    def add(
        self,
        xy_um: Position,
        taken: Sequence[tuple[int, int]],
        reading: FieldReading,
        look: FieldLook,
        judged: Judged,
        frames: Mapping[int, Frame],
        found: Found | None,
    ) -> np.ndarray:
        """Note a field; its new cells as rows of type CELL, none for a faulty one.

        taken: (index into the record, pattern) in the order of capture.
        """
        index, n_bins = len(self.rows), self.counts.shape[1]
        captures, patterns = zip(*taken, strict=True)
        kinds = reading.cells.kind
        counts = {name: int((kinds == kind).sum()) for kind, name in enumerate(KIND_NAMES)}
        bins = np.zeros(n_bins, dtype=np.int64)
        if found is not None:
            bins = np.bincount(found.bins[found.new], minlength=n_bins)
            self.counts[reading.mask] += bins
            self.fields += 1
            self._suspect(index, reading, found, frames)
        visit = FieldVisit(xy_um, captures, patterns, counts, judged.share, judged.fault or "")
        self.rows.append(FieldRow(visit, look, next(iter(frames.values())).z_um, reading.mask, bins))
        return self._table(index, reading, found)

    def expected_infected(self, prevalence: float) -> Float[np.ndarray, " field"]:
        """Of each field's new red cells the share expected to be infected on a slide of that prevalence."""
        chance = self.odds.probability(prevalence)
        return np.array([row.bins @ chance[row.mask] / max(1, int(row.bins.sum())) for row in self.rows])

    def _suspect(self, field: int, reading: FieldReading, found: Found, frames: Mapping[int, Frame]) -> None:
        ratio = self.odds.ratios[reading.mask][found.bins]
        for place in np.flatnonzero(found.new & (ratio > 1)):
            self.suspects.add(_finding(field, reading, found, int(place)), float(ratio[place]), frames)
        weight = float(self._chance[reading.mask][found.bins].sum())
        if weight > self._most:
            self._most = weight
            self.likeliest = tuple(_finding(field, reading, found, place) for place in range(len(found.index)))

    @staticmethod
    def _table(field: int, reading: FieldReading, found: Found | None) -> np.ndarray:
        if found is None:
            return np.zeros(0, dtype=CELL)
        table = np.zeros(int(found.new.sum()), dtype=CELL)
        table["x_um"], table["y_um"] = found.xy_um[found.new].T
        table["radius_um"] = reading.cells.radius_px[found.index[found.new]]
        table["score"] = found.score[found.new]
        table["field"], table["mask"] = field, reading.mask
        return table


def red_places(
    cells: FoundCells, frame: Frame, *, pixel_um: float
) -> tuple[Int[np.ndarray, " cell"], Float[np.ndarray, "cell 2"]]:
    """Index of each red cell among all cells, and where it is, from where the stage really was."""
    red = np.flatnonzero(cells.kind == RED_CELL)
    rows, columns = frame.image.shape
    x_um = frame.xy_um[0] + (cells.x_px[red] - (columns - 1) / 2) * pixel_um
    y_um = frame.xy_um[1] + (cells.y_px[red] - (rows - 1) / 2) * pixel_um
    return red, np.column_stack([x_um, y_um])


def found_cells(reading: FieldReading, frame: Frame, bins: Int[np.ndarray, " cell"], *, pixel_um: float) -> Found:
    """The red cells of a field, all of them new so far."""
    red, places = red_places(reading.cells, frame, pixel_um=pixel_um)
    return Found(red, places, reading.p_infected[red], bins, np.ones(len(red), dtype=bool))


def fault_of(value: Fault, judged: Judged) -> Judged:
    """The same field with another fault."""
    return Judged(value, min(judged.share, 0.49))


def _finding(field: int, reading: FieldReading, found: Found, place: int) -> CellFinding:
    cells, index = reading.cells, int(found.index[place])
    x_px, y_px, radius_px = (float(values[index]) for values in (cells.x_px, cells.y_px, cells.radius_px))
    return CellFinding(
        x_um=float(found.xy_um[place, 0]),
        y_um=float(found.xy_um[place, 1]),
        box_px=(x_px - radius_px, y_px - radius_px, x_px + radius_px, y_px + radius_px),
        p_infected=float(found.score[place]),
        field=field,
        mask=reading.mask,
    )
