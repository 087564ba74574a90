"""Several colours, and LEDs whose light is not of one wavelength."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import LedBoard
from lsm.optics.forward import led_stack
from lsm.optics.grid import ImagingSystem

# standard deviation of the place of an LED in the pupil, as a share of its radius, that one more line stands for
SPREAD_PER_LINE = 0.025


@dataclass(frozen=True)
class Band:
    """A Gaussian spectral line. fwhm_um: full width at half maximum; an LED's is 0.015 to 0.035 um.

    Raises ConfigError for a centre that is not positive, or a width that is negative or reaches down to no light.
    """

    centre_um: float
    fwhm_um: float = 0.0

    def __post_init__(self) -> None:
        if not (self.centre_um > 0 and 0 <= self.fwhm_um < self.centre_um / 2):
            raise ConfigError(
                f"A line of {self.fwhm_um} um around {self.centre_um} um is impossible.",
                hint="centre_um is positive and fwhm_um below half of it; green LEDs: 0.53 and 0.03",
            )

    @property
    def sigma_um(self) -> float:
        """Standard deviation of the line."""
        return self.fwhm_um / (2 * math.sqrt(2 * math.log(2)))

    def lines(self, count: int) -> Float[np.ndarray, " line"]:
        """Wavelengths in um that stand for equal parts of the line: each in the middle of its part of the light.

        An image jumps where a bin of the spectrum enters the pupil: this converges faster than Gauss points.
        """
        deviation = [NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)]
        wavelengths_um: Float[np.ndarray, " line"] = self.centre_um + self.sigma_um * np.array(deviation)
        return wavelengths_um


def band_lines(band: Band, board: LedBoard, system: ImagingSystem) -> int:
    """Wavelengths that stand for a band: an LED of NA u moves in the pupil by u times the relative change.

    As many as keep the images of a strongly scattering sample within 1 to 2 % (root mean square, of the
    mean of a bright-field image) of a far finer sum.
    """
    spread = (float(board.na.max()) + system.na) * band.sigma_um / band.centre_um / system.na
    return 1 + math.floor(spread / SPREAD_PER_LINE)


def band_stack(
    transmission: Complex[Tensor, "*batch y x"],
    board: LedBoard,
    system: ImagingSystem,
    band: Band,
    *,
    lines: int | None = None,
    **options: Any,
) -> Float[Tensor, "*batch led cy cx"]:
    """`led_stack` of light of a finite bandwidth: the mean over a few wavelengths, `band_lines` when None.

    The transmission is that of the band's centre and is taken as constant across it: for a phase of 1 rad
    and a line of 30 nm that leaves out 0.03 rad at half maximum. `system.wavelength_um` is not used.
    options: those of `led_stack`. Raises what `led_stack` raises.
    """
    count = band_lines(band, board, system.at_wavelength(band.centre_um)) if lines is None else lines
    first, *others = (system.at_wavelength(float(wavelength_um)) for wavelength_um in band.lines(count))
    total = led_stack(transmission, board, first, **options)
    for line in others:
        total = total + led_stack(transmission, board, line, **options)
    return total / count


def colour_stack(
    transmission: Complex[Tensor, "*batch colour y x"],
    board: LedBoard,
    system: ImagingSystem,
    *,
    fwhm_um: float = 0.0,
    **options: Any,
) -> Float[Tensor, "*batch colour led cy cx"]:
    """`led_stack` in each of the board's colours, at its wavelength [..., colour, led, camera_px, camera_px].

    transmission: in each colour. fwhm_um: of every colour's line. options: those of `led_stack`.
    Raises WrongFormat when the numbers of colours differ, and what `led_stack` raises.
    """
    if transmission.shape[-3] != board.n_colours:
        raise WrongFormat(
            f"The sample has {transmission.shape[-3]} colours, board '{board.name}' {board.n_colours}.",
            hint=f"give its transmission at {', '.join(f'{w:g}' for w in board.wavelengths_um)} um",
        )
    bands = [Band(wavelength_um, fwhm_um) for wavelength_um in board.wavelengths_um]
    return torch.stack(
        [
            band_stack(transmission[..., colour, :, :], board, system, band, **options)
            for colour, band in enumerate(bands)
        ],
        dim=-4,
    )
