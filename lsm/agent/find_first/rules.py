"""What a search for the first infected cell may do and what it costs."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float
from torch import Tensor

from lsm.agent.rules import ScanGrid
from lsm.config import Config

NotNegative = Annotated[float, Ge(0)]


class FindFirstRules(Config):
    """One search: go to a field, read it, look closer at what is suspicious there, until one cell is confirmed.

    field_budget: fields before a search gives up. captures, capture_s: per field, and the time of them all.
    settle_s, stage_mm_per_s: of the stage. confirm_s: one closer look at one suspicious cell.
    reward_per_field, reward_per_mm: taken for every field and every mm of travel; what a policy is to spare.
    cells_scale: red cells of an ordinary field, only to scale observations.
    """

    grid: ScanGrid = ScanGrid(columns=18, rows=12)
    field_budget: Annotated[int, Ge(1)] = 216
    captures: Annotated[int, Ge(1)] = 4
    capture_s: NotNegative = 0.294
    settle_s: NotNegative = 0.1
    stage_mm_per_s: Annotated[float, Gt(0)] = 5.0
    confirm_s: NotNegative = 1.0
    reward_per_field: Annotated[float, Gt(0), Le(1)] = 0.05
    reward_per_mm: NotNegative = 0.0
    cells_scale: Annotated[float, Gt(0)] = 240.0

    @property
    def n_fields(self) -> int:
        return self.grid.n_fields

    @property
    def budget(self) -> int:
        """Fields that a search may visit at most."""
        return min(self.field_budget, self.n_fields)

    def distances_um(self) -> Float[Tensor, "field other"]:
        """Between the centres of all fields."""
        columns, index = self.grid.columns, torch.arange(self.n_fields)
        x, y = (index % columns).double(), (index // columns).double()
        return torch.hypot(x[:, None] - x, y[:, None] - y) * self.grid.pitch_um
