"""The learnable light: non-negative duties per LED, quantised as the board will show them.

Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019) learn signed weights as a layer in front of the
network. Here every pattern is one capture that a board can show as it stands: duties 0..1 in 8 bits.
"""

from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum import LEVELS, LedBoard

Start = Literal["annulus", "edge", "half_x", "half_y", "wide", "all", "random"]


class IlluminationConfig(Config):
    """What is learned about the light.

    starts: how each learned pattern begins; all but `random` are shapes that break the symmetry.
    start_logit: pre-sigmoid value of a lit LED at the start (its negative for a dark one).
    start_noise: standard deviation added to it.
    bright_na: numerical aperture of the fixed bright-field pattern, the objective's own.
    """

    starts: tuple[Start, ...] = ("annulus", "half_x", "wide")
    start_logit: Annotated[float, Gt(0)] = 1.5
    start_noise: Annotated[float, Ge(0)] = 0.5
    sharpness: Annotated[float, Gt(0)] = 3.0
    bright_na: Annotated[float, Gt(0), Le(1)] = 0.1

    @property
    def n_patterns(self) -> int:
        """Bright field and the learned patterns."""
        return 1 + len(self.starts)


class IlluminationLayer(nn.Module):
    """Duties [capture, led] of a codebook: bright field at index 0, learned patterns after it."""

    bright: Tensor

    def __init__(self, board: LedBoard, config: IlluminationConfig, generator: torch.Generator) -> None:
        super().__init__()
        bright = torch.from_numpy(board.na <= config.bright_na).float()
        if not bool(bright.any()):
            raise ConfigError(
                f"No LED of board '{board.name}' lies inside NA {config.bright_na:g}.",
                hint=f"the innermost LED is at NA {board.na.min():.3f}",
            )
        self.config = config
        self.register_buffer("bright", bright)
        starts = [torch.from_numpy(_start(board, name, config.bright_na)) for name in config.starts]
        lit = torch.stack(starts).float() if starts else torch.zeros(0, board.n_leds)
        noise = torch.randn(lit.shape, generator=generator) * config.start_noise
        noisy = torch.tensor([name == "random" for name in config.starts], dtype=torch.bool)[:, None]
        logits = torch.where(noisy, 3 * noise, (2 * lit - 1) * config.start_logit + noise)
        self.logits = nn.Parameter(logits / config.sharpness)

    def forward(self) -> Float[Tensor, "capture led"]:
        learned = quantise(torch.sigmoid(self.config.sharpness * self.logits))
        return torch.cat([self.bright[None], learned])

    @torch.no_grad()
    def levels(self) -> UInt8[Tensor, "capture led"]:
        """The 8-bit levels that the board will hold."""
        levels: Tensor = (self() * LEVELS).round().to(torch.uint8)
        return levels


def quantise(duty: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Duties rounded to 8 bits; the gradient passes as if nothing was rounded (straight-through).

    Bengio, Leonard and Courville, arXiv 1308.3432 (2013).
    """
    rounded = (duty * LEVELS).round() / LEVELS
    return duty + (rounded - duty).detach()


def led_symmetries(board: LedBoard) -> Int[Tensor, "8 led"]:
    """For each of the eight symmetries of the square, the LED that lights the plain sample as LED j lights the turned.

    An image of a turned sample under duty d is the turned image of the plain sample under d re-ordered:
    image(turn(sample, k), d) = turn(image(sample, d'), k) with d'[symmetries[k, j]] = d[j]; see `turn`.
    Raises ConfigError for a board that these symmetries do not map onto itself.
    """
    x, y = board.positions_mm[:, 0], board.positions_mm[:, 1]
    rows = []
    for k in range(8):
        back_x, back_y = x, y
        for _ in range(k % 4):
            # rot90 takes what lies along +x to -y; the light is taken back the other way.
            back_x, back_y = -back_y, back_x
        if k >= 4:
            back_x = -back_x
        distance = np.hypot(back_x[:, None] - x, back_y[:, None] - y)
        if distance.min(axis=1).max() > 1e-6:
            raise ConfigError(
                f"Board '{board.name}' is not symmetric under turns and mirrors.",
                hint="use a centred square grid, or train without augmentation",
            )
        rows.append(distance.argmin(axis=1))
    return torch.from_numpy(np.stack(rows))


def turn(images: Shaped[Tensor, "*batch y x"], k: int) -> Shaped[Tensor, "*batch y x"]:
    """Symmetry k of the square: mirrored along x when k is at least 4, then turned k % 4 times (torch.rot90)."""
    mirrored = images.flip(-1) if k >= 4 else images
    return torch.rot90(mirrored, k % 4, dims=(-2, -1))


def turned_duty(
    duty: Float[Tensor, "capture led"], symmetries: Int[Tensor, "8 led"], k: int
) -> Float[Tensor, "capture led"]:
    """The duties that light the plain sample as `duty` lights the sample turned by symmetry k."""
    return torch.zeros_like(duty).index_copy(1, symmetries[k], duty)


def _start(board: LedBoard, name: str, na: float) -> np.ndarray:
    x = board.directions[:, 0]
    y = board.directions[:, 1]
    outside = board.na > na
    shapes = {
        "annulus": outside & (board.na <= 2.2 * na),
        "edge": (board.na > 0.5 * na) & (board.na <= 1.5 * na),
        "half_x": outside & (x > 1e-9) & (board.na <= 3.2 * na),
        "half_y": outside & (y > 1e-9) & (board.na <= 3.2 * na),
        "wide": board.na > 2.2 * na,
        "all": board.na >= 0,
        "random": board.na < 0,
    }
    return shapes[name]
