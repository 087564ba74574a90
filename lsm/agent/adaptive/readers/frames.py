"""Cells under the patterns of a book, lit once and exposed anew each time: what a reader learns from."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float16, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.light import LightBook
from lsm.optics import Camera
from lsm.optics.exposures import expose_rows
from lsm.sensing.cells import CellStack
from lsm.sensing.cells.light import Lamps
from lsm.sensing.illumination import turn

TURNS = 8
ROWS_AT_A_TIME = 512


@dataclass(frozen=True, eq=False)
class BookFrames:
    """Electrons per ms of every cell under every pattern, plain or also as the cell turned and mirrored.

    rate: [turn, cell, pattern, y, x]. infected: of each cell.
    """

    rate: Float16[Tensor, "turn cell pattern y x"]
    exposure_ms: Tensor
    infected: Bool[Tensor, " cell"]
    camera: Camera

    @classmethod
    def of(
        cls,
        stack: CellStack,
        rows: Int[np.ndarray, " row"],
        lamps: Lamps,
        book: LightBook,
        camera: Camera,
        flux_e_per_ms: float,
        *,
        turned: bool,
    ) -> "BookFrames":
        """These rows of the stack. Raises ConfigError where they are to be turned and the board is not symmetric."""
        per_duty = torch.from_numpy((lamps.irradiance * flux_e_per_ms).astype(np.float32))
        weights = torch.from_numpy(book.duty) * per_duty
        orders = lamps.symmetries() if turned else torch.arange(len(lamps))[None]
        lit = [torch.zeros_like(weights).index_copy(1, order, weights) for order in orders]
        found = torch.zeros(len(orders), len(rows), len(book), *stack.shape[2:], dtype=torch.float16)
        for first in range(0, len(rows), ROWS_AT_A_TIME):
            part = slice(first, first + ROWS_AT_A_TIME)
            images = stack.mix(rows[part], torch.cat(lit))
            images = images.reshape(len(images), len(orders), len(book), *images.shape[2:])
            for k in range(len(orders)):
                found[k, part] = turn(images[:, k], k).half()
        infected = torch.from_numpy(np.ascontiguousarray(stack.infected[rows]))
        return cls(found, torch.from_numpy(book.exposure_ms), infected, camera)

    @property
    def n_patterns(self) -> int:
        return self.rate.shape[2]

    def exposed(
        self, cell: Int[Tensor, " frame"], pattern: Int[Tensor, " frame"], generator: torch.Generator
    ) -> Int32[Tensor, "frame y x"]:
        """A frame of each cell under its pattern with fresh noise, all frames of one call in turns of their own."""
        which = torch.randint(len(self.rate), (len(cell),), generator=generator)
        return self.exposed_as(which, cell, pattern, generator)

    def exposed_as(
        self,
        which: Int[Tensor, " frame"],
        cell: Int[Tensor, " frame"],
        pattern: Int[Tensor, " frame"],
        generator: torch.Generator,
    ) -> Int32[Tensor, "frame y x"]:
        """The same with the turns given."""
        key = torch.randint(2**32, (len(cell), 2), generator=generator)
        rate = self.rate[which, cell, pattern].float()
        return expose_rows(rate, self.exposure_ms[pattern], self.camera, key, torch.zeros_like(cell))


def turned_stack(stack: CellStack, lamps: Lamps) -> CellStack:
    """Every cell of the stack in each of its eight turns, row by row, under the same lamps; held in memory.

    Raises ConfigError where board or choice of lamps is not symmetric.
    """
    images = torch.from_numpy(stack.images)
    parts = []
    for k, order in enumerate(lamps.symmetries()):
        # the turned cell under lamp l is the plain one, turned, under the lamp that l comes from
        parts.append(turn(images[:, order], k))
    held = torch.stack(parts, 1).flatten(0, 1)
    return CellStack(
        np.ascontiguousarray(held.numpy()),
        led=stack.led,
        colour=stack.colour,
        infected=np.repeat(stack.infected, TURNS),
        patient=np.repeat(stack.patient, TURNS),
        crop=np.repeat(stack.crop, TURNS),
        board=stack.board,
        system=stack.system,
        source=f"{stack.source}, turned",
        made=dict(stack.made),
    )
