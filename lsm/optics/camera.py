"""A camera's noise and digits after EMVA Standard 1288, release 4.0."""

import math
from functools import lru_cache
from typing import Annotated

import torch
from jaxtyping import Float, Int32, UInt16
from pydantic import Field
from torch import Tensor

from lsm.config import Config
from lsm.errors import WrongFormat

# expected electrons below zero that are rounding of an image filter, absolute and relative to the brightest pixel
ROUNDING_E, ROUNDING = 0.1, 1e-5

NonNegative = Annotated[float, Field(ge=0)]
Rate = Float[Tensor, "*any y x"]


class Camera(Config):
    """A linear camera: electrons are Poisson, read noise is Gaussian, ADU = round(e / gain + offset).

    full_well_e: charge at which a pixel saturates. read_noise_e: temporal dark noise at zero exposure.
    dark_e_per_s: dark current. gain_e_per_adu: electrons per digital number (1/K in EMVA 1288).
    offset_adu, bits: black level and range of the digits.
    quantum_efficiency: electrons per photon; rates given in electrons already include it.
    prnu: relative standard deviation of the pixels' response. dsnu_e: standard deviation of their dark signal,
    an offset that is added without shot noise of its own.
    fixed_pattern_seed: the two spreads are the same in every image of one camera.
    """

    full_well_e: Annotated[float, Field(gt=0)] = 10_000.0
    read_noise_e: NonNegative = 3.0
    dark_e_per_s: NonNegative = 1.0
    gain_e_per_adu: Annotated[float, Field(gt=0)] = 2.5
    offset_adu: NonNegative = 20.0
    bits: Annotated[int, Field(ge=1, le=16)] = 12
    quantum_efficiency: Annotated[float, Field(gt=0, le=1)] = 0.6
    prnu: NonNegative = 0.005
    dsnu_e: NonNegative = 0.5
    fixed_pattern_seed: int = 1288

    def rate_e_per_ms(self, photons_per_ms: Rate) -> Rate:
        """Electrons per millisecond and pixel from photons per millisecond and pixel."""
        return self.quantum_efficiency * photons_per_ms

    def mean_electrons(self, rate_e_per_ms: Rate, exposure_ms: float | Tensor) -> Rate:
        """Expected electrons per pixel, response and dark signal of each pixel included, not yet clipped.

        exposure_ms: one number, or a tensor that broadcasts against the rate. The dark signal of a pixel may be
        below zero: it is an offset.
        Raises WrongFormat for a rate that is negative or not finite, or an exposure that is not above zero.
        """
        return self._collected(rate_e_per_ms, exposure_ms) + self._dark_offset(rate_e_per_ms)

    def electrons(self, rate_e_per_ms: Rate, exposure_ms: float | Tensor, generator: torch.Generator) -> Rate:
        """Noisy electrons, clipped at full well; gradients pass through mean and shot noise.

        Shot noise is Gaussian here, mean + sqrt(mean) * normal, which is close above about ten electrons.
        Raises as `mean_electrons`.
        """
        mean = self._collected(rate_e_per_ms, exposure_ms)
        # the floor keeps the derivative of the root finite where no light falls
        charge = mean + torch.sqrt(mean.clamp_min(1e-3)) * _normal(mean, generator)
        return self._read(charge, generator)

    def adu(self, electrons: Rate) -> UInt16[Tensor, "*any y x"]:
        """Digital numbers of the given electrons, rounded and clipped to the camera's bits."""
        return self.adu_float(electrons).round().to(torch.int32).to(torch.uint16)

    def adu_float(self, electrons: Rate) -> Rate:
        """Digital numbers before rounding, clipped to the camera's bits; differentiable."""
        return (electrons / self.gain_e_per_adu + self.offset_adu).clamp(0, 2**self.bits - 1)

    def adu_straight_through(self, electrons: Rate) -> Rate:
        """Digital numbers as `adu` gives them, with the gradient of `adu_float`.

        Bengio et al., arXiv:1308.3432: rounding has no useful derivative, its mean has one.
        """
        exact = self.adu_float(electrons)
        # the bracket is exactly zero, so that the numbers are whole
        return exact.detach().round() + (exact - exact.detach())

    def expose(
        self, rate_e_per_ms: Rate, exposure_ms: float | Tensor, generator: torch.Generator
    ) -> UInt16[Tensor, "*any y x"]:
        """One image in ADU with true Poisson shot noise. Raises as `mean_electrons`."""
        with torch.no_grad():
            charge = torch.poisson(self._collected(rate_e_per_ms, exposure_ms), generator=generator)
            return self.adu(self._read(charge, generator))

    def expose_signed(
        self,
        positive_e_per_ms: Rate,
        negative_e_per_ms: Rate,
        exposure_ms: float | Tensor,
        generator: torch.Generator,
    ) -> Int32[Tensor, "*any y x"]:
        """Image under a signed pattern in ADU: two exposures, each with its own noise, positive minus negative.

        Offset, dark signal and DSNU cancel; the variances add. Raises as `mean_electrons`.
        """
        positive = self.expose(positive_e_per_ms, exposure_ms, generator).to(torch.int32)
        return positive - self.expose(negative_e_per_ms, exposure_ms, generator).to(torch.int32)

    def electrons_signed(
        self,
        positive_e_per_ms: Rate,
        negative_e_per_ms: Rate,
        exposure_ms: float | Tensor,
        generator: torch.Generator,
    ) -> Rate:
        """What `expose_signed` measures, in electrons, with the gradients of `electrons`."""
        positive = self.electrons(positive_e_per_ms, exposure_ms, generator)
        return positive - self.electrons(negative_e_per_ms, exposure_ms, generator)

    def _collected(self, rate_e_per_ms: Rate, exposure_ms: float | Tensor) -> Rate:
        """Expected charge that arrives one by one: light under each pixel's response, and dark current."""
        _check(rate_e_per_ms, exposure_ms)
        response = self._pattern(rate_e_per_ms)[0]
        charge = rate_e_per_ms * exposure_ms * (1 + self.prnu * response).clamp_min(0.0)
        return (charge + self.dark_e_per_s * exposure_ms / 1000).clamp_min(0.0)

    def _dark_offset(self, like: Rate) -> Float[Tensor, "y x"]:
        return self.dsnu_e * self._pattern(like)[1]

    def _read(self, charge: Rate, generator: torch.Generator) -> Rate:
        well = charge.clamp(max=self.full_well_e)
        return well + self._dark_offset(charge) + self.read_noise_e * _normal(charge, generator)

    def _pattern(self, like: Rate) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
        rows, columns = like.shape[-2:]
        response, dark = fixed_pattern(self.fixed_pattern_seed, rows, columns)
        return response.to(like), dark.to(like)


def _check(rate_e_per_ms: Rate, exposure_ms: float | Tensor) -> None:
    exposures = torch.as_tensor(exposure_ms).detach()
    if not bool(((exposures > 0) & torch.isfinite(exposures)).all()):
        raise WrongFormat(
            f"An exposure of {float(exposures.min()):g} ms is impossible.", hint="give finite milliseconds above 0"
        )
    if rate_e_per_ms.numel() == 0:
        return
    # one pass over the image; NaN comes through
    low, high = (float(end) for end in torch.aminmax(rate_e_per_ms.detach()))
    rounding = ROUNDING_E / float(exposures.max()) + ROUNDING * high
    if not (math.isfinite(low) and math.isfinite(high) and low >= -rounding):
        raise WrongFormat(
            f"A rate of {low:g} to {high:g} electrons per ms cannot be exposed.",
            hint="rates are finite and not negative; expose_signed takes the two parts of a signed pattern",
        )


def _normal(like: Rate, generator: torch.Generator) -> Rate:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


@lru_cache(maxsize=8)
def fixed_pattern(seed: int, rows: int, columns: int) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
    """Deviations of the pixels' response and of their dark signal, in standard deviations, float64."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, columns, dtype=torch.float64, generator=generator),
        torch.randn(rows, columns, dtype=torch.float64, generator=generator),
    )
