"""Frames, and layers of a network, in whole numbers: sums are exact, so that they are the same in any order and batch.

Activations are at most 127, weights at most 127, and no sum of products passes 2^24, up to which float32 holds every
whole number. Between layers a number is multiplied once by a float32 factor and rounded, each element by itself.
"""

from typing import Final

import torch
from jaxtyping import Float, Float32, Int32
from torch import Tensor

FLOOR_ADU: Final = 12.0
"""Spread of a frame below which it is noise, not to be scaled up."""

LEVELS_PER_SPREAD: Final = 24
"""Steps of a pixel for one spread of its frame."""

LEVELS: Final = 127
"""Largest activation and weight."""

EXACT: Final = 2**24
"""Up to here float32 holds every whole number."""

FIRST_SIDE: Final = 4
NEXT_SIDE: Final = 3
STRIDE: Final = 2


def whole_frames(
    frame: Int32[Tensor, "episode y x"], full_adu: float
) -> tuple[Float32[Tensor, "episode y x"], Float32[Tensor, "episode 2"]]:
    """Frames less their mean in steps of their own spread, and mean and spread, all in -127..127.

    Mean and spread are told as roots of their shares of `full_adu`, so that dark fields differ too.
    """
    flat = frame.flatten(1).double()
    pixels = flat.shape[1]
    total = flat.sum(1)
    # of whole numbers, so that nothing cancels; products and sums are below 2^53
    variance = torch.linalg.vecdot(flat, flat) * pixels - total.square()
    spread = torch.sqrt(variance.clamp_min(0)) / pixels
    step = LEVELS_PER_SPREAD / ((spread + FLOOR_ADU) * pixels)
    whole = ((flat * pixels - total[:, None]) * step[:, None]).round().clamp(-LEVELS, LEVELS)
    bright = torch.sqrt(torch.stack([total / pixels, spread], 1) / full_adu)
    return whole.float().reshape(frame.shape), (bright * LEVELS).round().clamp(0, LEVELS).float()


def patches(
    images: Float[Tensor, "episode y x channel"], side: int
) -> tuple[Float[Tensor, "episode place entry"], tuple[int, int]]:
    """Squares of `side` pixels at every second pixel, one pixel of zeros around, and how many lie along y and x.

    Entries of a square are those of its pixels, row by row.
    """
    padded = torch.nn.functional.pad(images, (0, 0, 1, 1, 1, 1))
    along = tuple((size - side) // STRIDE + 1 for size in padded.shape[1:3])
    ends = [STRIDE * count - 1 for count in along]
    # a copy for each place in the square is several times quicker than unfold
    parts = [padded[:, y : y + ends[0] : STRIDE, x : x + ends[1] : STRIDE] for y in range(side) for x in range(side)]
    return torch.cat(parts, 3).flatten(1, 2), (along[0], along[1])


def rescaled(
    sums: Float32[Tensor, "*some unit"], factor: Float32[Tensor, "*any unit"]
) -> Float32[Tensor, "*some unit"]:
    """Sums times their factor, negative ones 0, rounded to 0..127. factor: of each unit, broadcast over the rest."""
    return (sums.clamp_min(0) * factor).round().clamp_max(LEVELS)
