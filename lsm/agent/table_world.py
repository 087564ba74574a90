"""Slide tables as a microscope and its reader: a search without optics, for tests, parity and the bare environment."""

import time

import numpy as np

from lsm.agent.codebook import Codebook
from lsm.agent.rules import SearchRules
from lsm.agent.tables import SlideTables
from lsm.devices import Frame, Observe, Shown
from lsm.errors import StageError, WrongFormat
from lsm.illum import LedBoard, single_led
from lsm.types import Image
from lsm.vision import FieldQuality, FieldReading, FoundCells

_BOARD = LedBoard.grid(rows=1, columns=16, pitch_mm=3.0, distance_mm=50.0, name="table")


def table_codebook(rules: SearchRules) -> Codebook:
    """Stand-in patterns, one LED each, with the exposures of `rules`."""
    return Codebook(tuple(single_led(_BOARD, k) for k in range(rules.n_patterns)), rules.exposures_ms)


class TableMicroscope:
    """A Microscope whose images are labels: slide, field and pattern, for `TableReader` to look up."""

    def __init__(self, rules: SearchRules, slide: int) -> None:
        self._rules, self._slide = rules, slide
        self._codebook = table_codebook(rules)
        self._centres = {rules.grid.centre_um(field): field for field in range(rules.grid.n_fields)}
        self._field = 0

    @property
    def board(self) -> LedBoard:
        return _BOARD

    def observe(self, request: Observe) -> Frame:
        """The label of what was asked for. Raises StageError off the grid's centres."""
        if request.xy_um is not None and request.xy_um not in self._centres:
            raise StageError(f"{request.xy_um} um is no field of this grid.", hint="use the grid's centres")
        if request.xy_um is not None:
            self._field = self._centres[request.xy_um]
        pattern = self._codebook.patterns.index(request.pattern)
        now = time.monotonic_ns()
        return Frame(
            image=np.array([[self._slide, self._field, pattern]], dtype=np.uint16),
            request=request,
            shown=Shown(request.pattern.levels),
            xy_um=self._rules.grid.centre_um(self._field),
            z_um=0.0,
            started_ns=now,
            ended_ns=now,
        )

    def close(self) -> None:
        """Nothing to release."""


class TableReader:
    """Looks up readings of `tables`; knows counts but no single cells."""

    def __init__(self, tables: SlideTables) -> None:
        self._hists, self._quality = tables.hists, tables.quality

    @property
    def n_bins(self) -> int:
        return int(self._hists.shape[3])

    def read(self, frames: dict[int, Image]) -> FieldReading:
        """The reading under this set of captures. Raises WrongFormat for labels that contradict each other."""
        mask = sum(1 << pattern for pattern in frames)
        places = {(int(image[0, 0]), int(image[0, 1])) for image in frames.values()}
        if len(places) != 1:
            raise WrongFormat(f"Images of {len(places)} fields are no reading.", hint="read one field at a time")
        slide, field = places.pop()
        coverage, signal = (float(number) for number in self._quality[slide, field, mask])
        counts = self._hists[slide, field, mask].astype(np.int64)
        nothing = np.zeros(0)
        cells = FoundCells(nothing, nothing, nothing, np.zeros(0, dtype=np.int64), nothing)
        quality = FieldQuality(int(counts.sum()), 0, coverage, signal, 0.0)
        return FieldReading(mask, cells, nothing, counts, quality)
