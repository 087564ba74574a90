"""How time grows with the number of LEDs, samples and field tiles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch

from lsm.bench.cases import Case, grid_board, square_system
from lsm.bench.timing import Effort, Job, in_turns
from lsm.optics import ImagingSystem, led_stack

LEDS, BATCHES = (50, 100, 200, 400), (1, 2, 4, 8)
TILES, TILES_QUICK = (1, 2, 4, 8, 16), (1, 2, 4)
TILE_PX = 512


@dataclass(frozen=True)
class Growth:
    """Time against size of one quantity.

    offset_ms, ms_per_unit: the line fitted to the times, all weighted by their inverse.
    off_line_percent: largest distance of a time from that line.
    off_proportion_percent: largest distance of a time from a line through zero. It holds the transform of
    the sample too, which is done once for all LEDs.
    """

    quantity: str
    sizes: tuple[int, ...]
    milliseconds: tuple[float, ...]
    offset_ms: float
    ms_per_unit: float
    off_line_percent: float
    off_proportion_percent: float


def measure_growth(effort: Effort, *, quick: bool) -> list[Growth]:
    """Growth with LEDs and samples of 256 px, and with tiles of 512 px under 400 LEDs (16 of them are 2048 px)."""
    board, small = grid_board(20), square_system(256)
    sample = Case("", board, small, batch=max(BATCHES)).sample
    tiles = 64 if quick else board.n_leds
    return [
        _growth("LEDs", LEDS, lambda n: led_stack(sample[:1], board, small, leds=torch.arange(n)), effort),
        _growth("samples", BATCHES, lambda n: led_stack(sample[:n], board, small), effort),
        _growth("field tiles", TILES_QUICK if quick else TILES, _Tiles(tiles), effort),
    ]


class _Tiles:
    """Tiles of a field that is larger than one sample, each at a place that was not computed before.

    So the LEDs' directions and windows are worked out again for each, as they are on the first pass over a field.
    """

    def __init__(self, leds: int) -> None:
        self._board, self._system = grid_board(20), square_system(TILE_PX)
        self._sample = Case("", self._board, self._system).sample
        self._leds = torch.arange(leds)
        self._places = self._new_places(self._system)

    def __call__(self, tiles: int) -> object:
        images = None
        for _ in range(tiles):
            place = next(self._places)
            images = led_stack(self._sample, self._board, self._system, leds=self._leds, tile_um=place)
        return images

    @staticmethod
    def _new_places(system: ImagingSystem) -> Iterator[tuple[float, float]]:
        for i in count():
            yield (i % 4 * system.field_um + i * 1e-3, i // 4 % 4 * system.field_um)


def _growth(quantity: str, sizes: Sequence[int], compute: Callable[[int], object], effort: Effort) -> Growth:
    def job(size: int) -> Job:
        return Job(str(size), lambda: compute(size), 1)

    seconds = in_turns([job(size) for size in sizes], effort)
    # the fastest: a time is what the work needs plus what the machine was disturbed by
    return fit(quantity, sizes, [1e3 * float(seconds[str(size)].min()) for size in sizes])


def fit(quantity: str, sizes: Sequence[int], milliseconds: Sequence[float]) -> Growth:
    """The lines through the times, by least squares of the relative distances."""
    n, t = np.array(sizes, dtype=np.float64), np.array(milliseconds)
    line = np.linalg.lstsq(np.stack([1 / t, n / t], axis=1), np.ones_like(t), rcond=None)[0]
    through_zero = float((n / t).sum() / ((n / t) ** 2).sum())
    return Growth(
        quantity=quantity,
        sizes=tuple(sizes),
        milliseconds=tuple(float(ms) for ms in t),
        offset_ms=float(line[0]),
        ms_per_unit=float(line[1]),
        off_line_percent=100 * float(np.abs((line[0] + line[1] * n) / t - 1).max()),
        off_proportion_percent=100 * float(np.abs(through_zero * n / t - 1).max()),
    )
