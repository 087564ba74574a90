"""A camera's noise and digits after EMVA Standard 1288, release 4.0."""

from functools import lru_cache
from typing import Annotated

import torch
from jaxtyping import Float, UInt16
from pydantic import Field
from torch import Tensor

from lsm.config import Config

NonNegative = Annotated[float, Field(ge=0)]
Rate = Float[Tensor, "*any y x"]


class Camera(Config):
    """A linear camera: electrons are Poisson, read noise is Gaussian, ADU = round(e / gain + offset).

    full_well_e: charge at which a pixel saturates. read_noise_e: temporal dark noise at zero exposure.
    dark_e_per_s: dark current. gain_e_per_adu: electrons per digital number (1/K in EMVA 1288).
    offset_adu, bits: black level and range of the digits.
    quantum_efficiency: electrons per photon; rates given in electrons already include it.
    prnu: relative spread of the pixels' response. dsnu_e: spread of their dark signal.
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

        exposure_ms: one number, or a tensor that broadcasts against the rate.
        """
        rows, columns = rate_e_per_ms.shape[-2:]
        response, dark_e = _fixed_pattern(self.fixed_pattern_seed, rows, columns)
        response, dark_e = response.to(rate_e_per_ms), dark_e.to(rate_e_per_ms)
        charge = rate_e_per_ms * exposure_ms * (1 + self.prnu * response).clamp_min(0.0)
        return (charge + self.dark_e_per_s * exposure_ms / 1000 + self.dsnu_e * dark_e).clamp_min(0.0)

    def electrons(self, rate_e_per_ms: Rate, exposure_ms: float | Tensor, generator: torch.Generator) -> Rate:
        """Noisy electrons, clipped at full well; gradients pass through mean and shot noise.

        Shot noise is Gaussian here, mean + sqrt(mean) * normal, which is close above about ten electrons.
        """
        mean = self.mean_electrons(rate_e_per_ms, exposure_ms)
        # the floor keeps the derivative of the root finite where no light falls
        charge = mean + torch.sqrt(mean.clamp_min(1e-3)) * _normal(mean, generator)
        return charge.clamp(max=self.full_well_e) + self.read_noise_e * _normal(mean, generator)

    def adu(self, electrons: Rate) -> UInt16[Tensor, "*any y x"]:
        """Digital numbers of the given electrons, rounded and clipped to the camera's bits."""
        return self.adu_float(electrons).round().to(torch.int32).to(torch.uint16)

    def adu_float(self, electrons: Rate) -> Rate:
        """Digital numbers before rounding, clipped to the camera's bits; differentiable."""
        return (electrons / self.gain_e_per_adu + self.offset_adu).clamp(0, 2**self.bits - 1)

    def expose(
        self, rate_e_per_ms: Rate, exposure_ms: float | Tensor, generator: torch.Generator
    ) -> UInt16[Tensor, "*any y x"]:
        """One image in ADU with true Poisson shot noise."""
        with torch.no_grad():
            mean = self.mean_electrons(rate_e_per_ms, exposure_ms)
            charge = torch.poisson(mean, generator=generator).clamp(max=self.full_well_e)
            return self.adu(charge + self.read_noise_e * _normal(mean, generator))


def _normal(like: Rate, generator: torch.Generator) -> Rate:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)


@lru_cache(maxsize=8)
def _fixed_pattern(seed: int, rows: int, columns: int) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, columns, dtype=torch.float64, generator=generator),
        torch.randn(rows, columns, dtype=torch.float64, generator=generator),
    )
