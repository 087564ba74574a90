"""From wanted duties to duties that a board can show: whole levels, and no more of them than the current allows.

The gradient passes as if nothing was rounded (straight-through; Bengio, Leonard and Courville,
arXiv 1308.3432, 2013), and through the scaling that keeps the current inside its limit.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.illum import LEVELS


def quantise(duty: Float[Tensor, "*axes"], bits: int = 8) -> Float[Tensor, "*axes"]:
    """Duties rounded to levels of so many bits; each is the level of 8 bits at or just below it."""
    rounded = _level((duty * _full(bits)).round(), bits) / LEVELS
    return duty + (rounded - duty).detach()


def drivable(
    duty: Float[Tensor, "capture led"], bits: int, *, most: int, preferred: Int[Tensor, " led"]
) -> Float[Tensor, "capture led"]:
    """Quantised duties of which no capture's 8-bit levels sum to more than `most`.

    What is too much is scaled down as a whole. Levels are then handed out by largest remainder, so that a
    board of 1 bit keeps its strongest LEDs and does not go dark; LEDs that come early in `preferred` win ties.
    """
    total = duty.sum(dim=1, keepdim=True) * LEVELS
    scaled = duty * (most / total.clamp_min(most))
    shown = torch.stack(
        [
            _handed_out(row, bits, most, preferred, full=bool(asked >= most))
            for row, asked in zip(scaled.detach(), total, strict=True)
        ]
    )
    return scaled + (shown - scaled).detach()


def least_level(bits: int) -> int:
    """The lowest level above dark, of 8 bits."""
    return LEVELS // _full(bits)


def _handed_out(
    duty: Float[Tensor, " led"], bits: int, most: int, preferred: Int[Tensor, " led"], *, full: bool
) -> Float[Tensor, " led"]:
    """full: levels are handed out up to `most`; otherwise only where rounding to the nearest gives one."""
    # sums of levels are exact in float64
    steps = duty.double()[preferred] * _full(bits)
    low = steps.floor()
    rest = steps - low
    rising = (rest > 0) if full else (rest >= 0.5)
    order = torch.argsort(rest, descending=True, stable=True)
    order = order[rising[order]]
    more = _level(low + 1, bits) - _level(low, bits)
    fits = more[order].cumsum(0) <= most - _level(low, bits).sum()
    low[order[fits]] += 1
    shown = torch.zeros_like(low)
    shown[preferred] = _level(low, bits) / LEVELS
    return shown.to(duty.dtype)


def _full(bits: int) -> int:
    return int(2**bits - 1)


def _level(step: Float[Tensor, "*axes"], bits: int) -> Float[Tensor, "*axes"]:
    return torch.floor(step * LEVELS / _full(bits))
