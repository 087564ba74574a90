"""Directions from which the sample is lit."""

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.illum import LedBoard


def led_directions(
    board: LedBoard,
    *,
    positions_mm: Float[Tensor, "led 3"] | None = None,
    tile_um: tuple[float, float] = (0.0, 0.0),
) -> Float[Tensor, "led 3"]:
    """Unit vectors [led, 3], float64, from each LED to the point `tile_um` (x, y) of the sample plane.

    positions_mm: of all LEDs, in place of the board's; differentiable.
    """
    given = torch.from_numpy(board.positions_mm) if positions_mm is None else positions_mm.double()
    point = torch.tensor([tile_um[0] / 1000, tile_um[1] / 1000, 0.0], dtype=torch.float64)
    towards = point - given
    directions: Tensor = towards / torch.linalg.vector_norm(towards, dim=1, keepdim=True)
    return directions
