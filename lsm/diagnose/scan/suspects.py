"""The most suspicious cells of a scan, a bounded number of them, with what the camera saw."""

import heapq
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt16

from lsm.agent.results import CellFinding
from lsm.devices import Frame
from lsm.types import Image

Crop = UInt16[np.ndarray, "crop_y crop_x"]
CROP_UM = 16.0


@dataclass(frozen=True, eq=False)
class Suspect:
    """A cell and its surroundings under each pattern it was seen with, CROP_UM wide, edges repeated.

    evidence: likelihood ratio of infected to uninfected, from the calibration of its score.
    """

    cell: CellFinding
    evidence: float
    crops: Mapping[int, Crop] = field(default_factory=dict)


class Suspects:
    """Keeps the `most` cells with the strongest evidence; of equals those that a lot chooses.

    The lot depends on the field and the cell's number in it alone, so that an operator who looks at the kept cells sees
    a fair sample of those with equal evidence, and the same scan keeps the same cells.
    """

    def __init__(self, most: int, pixel_um: float) -> None:
        self._most = most
        self._side = max(8, round(CROP_UM / pixel_um))
        self._heap: list[tuple[float, int, int, Suspect]] = []
        self._seen = 0

    def add(self, cell: CellFinding, evidence: float, frames: Mapping[int, Frame]) -> None:
        """Offer a cell; its crops are cut only where it stays."""
        self._seen += 1
        key = (evidence, _lot(cell.field, self._seen), -self._seen)
        if len(self._heap) == self._most and key <= self._heap[0][:3]:
            return
        crops = {pattern: self._crop(frame.image, cell) for pattern, frame in frames.items()}
        entry = (*key, Suspect(cell, evidence, crops))
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> tuple[Suspect, ...]:
        """The strongest evidence first."""
        return tuple(entry[3] for entry in sorted(self._heap, key=lambda entry: entry[:3], reverse=True))

    def _crop(self, image: Image, cell: CellFinding) -> Crop:
        x0, y0, x1, y1 = cell.box_px
        rows = round((y0 + y1) / 2) - self._side // 2 + np.arange(self._side)
        columns = round((x0 + x1) / 2) - self._side // 2 + np.arange(self._side)
        height, width = image.shape
        crop: Crop = image[np.ix_(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))]
        return crop


def _lot(field: int, number: int) -> int:
    return zlib.crc32(f"{field}:{number}".encode())
