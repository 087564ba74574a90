"""Where the LEDs are: a rigid board, and what each LED deviates from it."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lsm.illum import LedBoard

# one step of any entry moves LEDs some 30 mm from the axis by about as much as a shift in mm
UNITS = (1.0, 1.0, 0.03, 0.03, 0.03, 0.03)


class BoardPose(nn.Module):
    """Positions of all LEDs: shift, rotation about the axis, distance and two tilts, plus a lateral offset each."""

    def __init__(self, board: LedBoard) -> None:
        super().__init__()
        self.register_buffer("nominal_mm", torch.from_numpy(board.positions_mm.copy()), persistent=False)
        self.pose = nn.Parameter(torch.zeros(len(UNITS)))
        self.offset_mm = nn.Parameter(torch.zeros(board.n_leds, 2))

    def forward(self) -> Float[Tensor, "all 3"]:
        """Positions in mm, float64, differentiable."""
        nominal: Tensor = self.get_buffer("nominal_mm")
        shift_x, shift_y, rotation, stretch, tilt_x, tilt_y = self.pose.double() * nominal.new_tensor(UNITS)
        x, y, z = nominal.unbind(1)
        cosine, sine = torch.cos(rotation), torch.sin(rotation)
        offset = self.offset_mm.double()
        return torch.stack(
            [
                cosine * x - sine * y + shift_x + offset[:, 0],
                sine * x + cosine * y + shift_y + offset[:, 1],
                z * torch.exp(stretch) + tilt_x * x + tilt_y * y,
            ],
            dim=1,
        )


def spread_positions(
    given_mm: Float[np.ndarray, "all 3"],
    found_mm: Float[np.ndarray, "all 3"],
    fitted: Bool[np.ndarray, " all"],
    *,
    degree: int = 3,
) -> Float[np.ndarray, "all 3"]:
    """`found_mm`, where LEDs that were not fitted follow the others: a polynomial of the given place.

    The board's pose and the bending by lens and glass are smooth; an LED without an image has nothing else to go by.
    """
    place = given_mm[:, :2] / max(float(np.abs(given_mm[:, :2]).max()), 1e-9)
    # fewer than twice as many LEDs as terms would fit the noise
    degree = max(d for d in range(degree + 1) if d == 0 or fitted.sum() >= 2 * math.comb(d + 2, 2))
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.stack([place[:, 0] ** i * place[:, 1] ** j for i, j in powers], axis=1)
    moved, *_ = np.linalg.lstsq(terms[fitted], (found_mm - given_mm)[fitted], rcond=None)
    return np.where(fitted[:, None], found_mm, given_mm + terms @ moved)
