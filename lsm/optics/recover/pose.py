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


def spread_offsets(
    nominal_mm: Float[np.ndarray, "all 3"], offset_mm: Float[np.ndarray, "all 2"], fitted: Bool[np.ndarray, " all"]
) -> Float[np.ndarray, "all 2"]:
    """Offsets for LEDs without an image: the cubic surface through those of the fitted LEDs.

    Lens distortion and glass bend the pattern smoothly; LEDs without an image have nothing else to go by.
    """
    place = nominal_mm[:, :2] / max(float(np.abs(nominal_mm[:, :2]).max()), 1e-9)
    powers = [(i, j) for i in range(4) for j in range(4 - i)]
    # fewer than twice as many LEDs as terms would fit the noise
    degree = max(d for d in range(4) if d == 0 or fitted.sum() >= 2 * math.comb(d + 2, 2))
    terms = np.stack([place[:, 0] ** i * place[:, 1] ** j for i, j in powers if i + j <= degree], axis=1)
    found, *_ = np.linalg.lstsq(terms[fitted], offset_mm[fitted], rcond=None)
    spread = offset_mm.copy()
    spread[~fitted] = terms[~fitted] @ found
    return spread
