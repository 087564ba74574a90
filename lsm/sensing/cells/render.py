"""One image per lamp of slides of known transmission."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Complex64, Float, Int64
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics import AliasingWarning, ImagingSystem, led_stack

Slides = Callable[[float], Complex64[np.ndarray, "slide y x"]]
"""Transmission of some slides at a wavelength in um."""


def lamps_of(board: LedBoard, colours: Sequence[int]) -> tuple[Int64[np.ndarray, " lamp"], Int64[np.ndarray, " lamp"]]:
    """LED and colour of each lamp: every LED of the board, colour by colour."""
    return np.tile(np.arange(board.n_leds), len(colours)), np.repeat(np.array(colours, dtype=np.int64), board.n_leds)


@torch.no_grad()
def lamp_images(
    slides: Slides,
    board: LedBoard,
    systems: Sequence[ImagingSystem],
    *,
    positions_mm: Float[np.ndarray, "led 3"] | None = None,
    defocus_um: Float[np.ndarray, " slide"] | float = 0.0,
) -> Float[Tensor, "slide lamp y x"]:
    """Images of the slides under every LED in the colour of each system, in the order of `lamps_of`.

    positions_mm: in place of the board's. defocus_um: of all or of each slide. Raises what `led_stack` raises.
    """
    moved = None if positions_mm is None else torch.from_numpy(positions_mm)
    defocus = defocus_um if isinstance(defocus_um, float) else torch.from_numpy(defocus_um).to(torch.float32)
    stacks = []
    for system in systems:
        transmission = torch.from_numpy(slides(system.wavelength_um))
        with warnings.catch_warnings():
            # such a camera is what is asked for; who computes a stack says where it undersamples
            warnings.simplefilter("ignore", AliasingWarning)
            stacks.append(led_stack(transmission, board, system, positions_mm=moved, defocus_um=defocus))
    return torch.cat(stacks, dim=1)
