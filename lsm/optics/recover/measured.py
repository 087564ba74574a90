"""A measured stack, checked before hours are spent on it."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem

FEWEST = 4
# at this distance, in units of the objective's NA, neighbouring pupils share a tenth of their area
WIDEST_STEP = 1.6


@dataclass(frozen=True, eq=False)
class Measured:
    """Images, one per LED, brought to a brightest mean of 1; `peak` is what they were divided by.

    leds: index of each image's LED on the board. na: its illumination NA on the board as given.
    """

    images: Float[Tensor, "led y x"]
    leds: Int[Tensor, " led"]
    na: Float[np.ndarray, " led"]
    peak: float

    @property
    def contrast(self) -> float:
        """Relative variance of the field's amplitude in the image of the most axial LED, for weak contrast."""
        axial = self.images[int(self.na.argmin())]
        return float(axial.var() / axial.mean() ** 2) / 4


def check_stack(
    images: Float[Tensor, "led y x"], board: LedBoard, system: ImagingSystem, leds: Int[Tensor, " led"] | None
) -> Measured:
    """The stack, ready to be fitted. Raises WrongFormat for one that cannot be."""
    chosen = torch.arange(board.n_leds) if leds is None else leds.cpu()
    _check_shape(images, chosen, board, system)
    _check_values(images, chosen)
    na = board.na[chosen.numpy()]
    _check_overlap(board.directions[chosen.numpy(), :2], system)
    peak = float(images.mean((1, 2)).max())
    return Measured((images / peak).to(torch.float32), chosen, na, peak)


def _check_shape(images: Tensor, chosen: Tensor, board: LedBoard, system: ImagingSystem) -> None:
    side = system.camera_px
    if images.shape[1:] != (side, side):
        raise WrongFormat(
            f"The images are {tuple(images.shape[1:])}, not {(side, side)} px as the imaging system says.",
            hint="camera_px is sample_px / decimation - 2 margin_px",
        )
    if len(images) != len(chosen):
        raise WrongFormat(f"{len(images)} images do not fit {len(chosen)} LEDs.", hint="give one image per LED")
    if len(chosen) < FEWEST:
        raise WrongFormat(f"{len(chosen)} LEDs are too few.", hint=f"at least {FEWEST} are needed, some 50 are good")
    if len(torch.unique(chosen)) < len(chosen) or not 0 <= int(chosen.min()) <= int(chosen.max()) < board.n_leds:
        raise WrongFormat(
            f"LEDs {int(chosen.min())} to {int(chosen.max())} repeat or do not all exist on board '{board.name}'.",
            hint=f"each of 0 to {board.n_leds - 1} at most once",
        )


def _check_values(images: Tensor, chosen: Tensor) -> None:
    bad = (~torch.isfinite(images)).nonzero()
    if len(bad):
        led, y, x = bad[0].tolist()
        raise WrongFormat(
            f"The image of LED {int(chosen[led])} holds {images[led, y, x].item()} at {(y, x)}, "
            f"and the stack {len(bad)} such values.",
            hint="mend or leave out these images",
        )
    mean = images.mean((1, 2))
    if float(mean.min()) <= 0:
        raise WrongFormat(
            f"The image of LED {int(chosen[int(mean.argmin())])} has a mean of {float(mean.min()):g}.",
            hint="subtract less background, or leave out images without light",
        )


def _check_overlap(direction: Float[np.ndarray, "led 2"], system: ImagingSystem) -> None:
    apart = np.linalg.norm(direction[:, None] - direction, axis=2)
    np.fill_diagonal(apart, np.inf)
    step = float(np.median(apart.min(axis=1)))
    if step > WIDEST_STEP * system.na:
        raise WrongFormat(
            f"Neighbouring LEDs are {step:.3f} apart in NA, too far for an objective of NA {system.na}.",
            hint=f"pupils must overlap: use steps below {WIDEST_STEP * system.na:.3f}, best below {system.na:.3f}",
        )
