"""Where cells come from: stacks of one image per lamp, and which of them an episode gets."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from lsm.errors import InputError
from lsm.sensing.cells import CellStack

WORD = 2**32
ROWS_AT_A_TIME = 1024
"""Rows that another device than a CPU widens at a time."""
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class CellSource:
    """Cells of a labelled stack, ready to be lit.

    device: where light is summed; a CPU reads the stack where it lies, other devices hold a copy.
    Raises InputError for a stack without labels, or with cells of one kind only.
    """

    stack: CellStack
    device: torch.device = CPU

    def __post_init__(self) -> None:
        kinds = np.unique(self.stack.infected)
        if len(kinds) != 2:
            raise InputError(
                f"All {len(self.stack)} cells of {self.stack.source} are of one kind.",
                hint="an episode asks which kind a cell is: give infected and healthy ones",
            )

    @property
    def side_px(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.stack.shape[2:]

    @cached_property
    def infected(self) -> Bool[Tensor, " row"]:
        """The truth, which only rewards and scores may read."""
        return torch.from_numpy(np.ascontiguousarray(self.stack.infected)).to(self.device)

    def rows_of(self, patient: str) -> Int[Tensor, " row"]:
        """Rows of one patient. Raises InputError for a name that is not there."""
        rows = np.flatnonzero(self.stack.patient == patient)
        if len(rows) == 0:
            raise InputError(
                f"There is no patient '{patient}' in {self.stack.source}.",
                hint=f"such as '{self.stack.patients()[0]}'",
            )
        return torch.from_numpy(rows).to(self.device)

    def drawn(
        self, kind: Int[Tensor, " episode"], place: Int[Tensor, " episode"], infected_share: float
    ) -> Int[Tensor, " episode"]:
        """A row for each pair of 32-bit random words: the first chooses the kind of cell, the second the cell."""
        infected, healthy = self._by_kind
        is_infected = kind < round(infected_share * WORD)
        return torch.where(is_infected, infected[(place * len(infected)) >> 32], healthy[(place * len(healthy)) >> 32])

    def rate(self, rows: Int[Tensor, " some"], weights: Float32[Tensor, "some lamp"]) -> Float32[Tensor, "some y x"]:
        """Weighted sums over the lamps of each row's images, each row with its own weights."""
        if self.device.type == "cpu":
            return self.stack.mix(rows.numpy(), weights[:, None])[:, 0]
        parts = [slice(first, first + ROWS_AT_A_TIME) for first in range(0, len(rows), ROWS_AT_A_TIME)]
        mixed = [torch.bmm(weights[part, None], self._images[rows[part]].float())[:, 0] for part in parts]
        return torch.cat(mixed).reshape(-1, *self.side_px)

    @cached_property
    def _images(self) -> Tensor:
        return torch.from_numpy(self.stack.images).flatten(2).to(self.device)

    @cached_property
    def _by_kind(self) -> tuple[Int[Tensor, " infected"], Int[Tensor, " healthy"]]:
        return self.infected.nonzero()[:, 0], (~self.infected).nonzero()[:, 0]
