"""What the objective passes: aperture, defocus and a given or learned pupil."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from lsm.errors import ConfigError, WrongFormat
from lsm.optics.grid import ImagingSystem

Scalar: TypeAlias = Float[Tensor, ""]
PupilFactor: TypeAlias = Complex[Tensor, "fy fx"]


def aperture(
    fx: Float[Tensor, "led 1 k"], fy: Float[Tensor, "led k 1"], system: ImagingSystem
) -> Float[Tensor, "led k k"]:
    """1 where the frequency (cycles/um) is inside NA / wavelength, else exactly 0."""
    # a LED designed to sit on the edge must not fall out by rounding of its position
    edge = (system.na / system.wavelength_um) ** 2 * (1 + 1e-6)
    return (fx**2 + fy**2 <= edge).to(fx.dtype)


def defocus_factor(
    fx: Float[Tensor, "led 1 k"],
    fy: Float[Tensor, "led k 1"],
    system: ImagingSystem,
    defocus_um: float | Scalar,
) -> Complex[Tensor, "led k k"]:
    """Exact angular-spectrum propagation by `defocus_um` along the light, without the phase of the axis.

    Goodman, Introduction to Fourier Optics, eq. 3-74. Evanescent frequencies keep the phase of the limit.
    """
    axial = system.refractive_index / system.wavelength_um
    square = fx**2 + fy**2
    # sqrt(a^2 - f^2) - a, written so that float32 does not lose it against a
    slope = -square / (torch.sqrt((axial**2 - square).clamp_min(0.0)) + axial)
    phase = 2 * math.pi * defocus_um * slope
    return torch.complex(torch.cos(phase), torch.sin(phase))


def frequency_axis(system: ImagingSystem) -> Float[Tensor, " f"]:
    """Centred frequencies in cycles/um of the axes of a pupil factor [computed_px]; zero is at computed_px // 2."""
    n = system.computed_px
    return (torch.arange(n, dtype=torch.float64) - n // 2) / system.field_um


def zernike_pupil(system: ImagingSystem, waves_rms: Mapping[int, float]) -> PupilFactor:
    """Pupil factor exp(2 pi i sum c_k Z_k) [computed_px, computed_px], complex128, smooth beyond the aperture.

    waves_rms: coefficient in waves RMS by Noll index (Noll, J. Opt. Soc. Am. 66, 207 (1976), table I).
    The aperture itself is not part of the factor. Raises ConfigError for an index below 1.
    """
    axis = frequency_axis(system) * system.wavelength_um / system.na
    rho = torch.hypot(axis[None, :], axis[:, None])
    theta = torch.atan2(axis[:, None], axis[None, :])
    waves = torch.zeros_like(rho)
    for noll, coefficient in waves_rms.items():
        waves = waves + coefficient * _zernike(noll, rho, theta)
    return torch.polar(torch.ones_like(waves), 2 * math.pi * waves)


def noll_to_nm(noll: int) -> tuple[int, int]:
    """Radial order n and azimuthal frequency m of a Noll index; negative m is the sine term."""
    if noll < 1:
        raise ConfigError(f"Noll index {noll} does not exist.", hint="indices start at 1 (piston)")
    n = (math.isqrt(8 * noll - 7) - 1) // 2
    rest = noll - n * (n + 1) // 2 - 1
    m = 2 * ((rest + 1) // 2) if n % 2 == 0 else 2 * (rest // 2) + 1
    return (n, m if noll % 2 == 0 else -m)


def _zernike(noll: int, rho: Float[Tensor, "fy fx"], theta: Float[Tensor, "fy fx"]) -> Float[Tensor, "fy fx"]:
    n, signed_m = noll_to_nm(noll)
    m = abs(signed_m)
    radial = torch.zeros_like(rho)
    for k in range((n - m) // 2 + 1):
        top = (-1) ** k * math.factorial(n - k)
        bottom = math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
        radial = radial + top / bottom * rho ** (n - 2 * k)
    if m == 0:
        return math.sqrt(n + 1) * radial
    angular = torch.cos(m * theta) if signed_m > 0 else torch.sin(m * theta)
    return math.sqrt(2 * (n + 1)) * radial * angular


def sample_pupil(
    pupil: PupilFactor, fx: Float[Tensor, "led 1 k"], fy: Float[Tensor, "led k 1"], system: ImagingSystem
) -> Complex[Tensor, "led k k"]:
    """A pupil factor given on the bins of `frequency_axis`, read bilinearly between them; differentiable.

    Bilinear reading dims a pupil whose phase changes by d rad per bin by about d^2 / 8.
    Raises WrongFormat unless it is [computed_px, computed_px].
    """
    n = system.computed_px
    if pupil.shape != (n, n):
        raise WrongFormat(f"The pupil is {tuple(pupil.shape)}, not {(n, n)}.", hint="give it on frequency_axis(system)")
    leds, k = fx.shape[0], fx.shape[-1]
    # grid_sample's coordinates: -1 and 1 are the centres of the first and last bin
    scale = system.field_um * 2 / (n - 1)
    origin = 2 * (n // 2) / (n - 1) - 1
    where = torch.stack([(fx * scale + origin).expand(leds, k, k), (fy * scale + origin).expand(leds, k, k)], dim=-1)
    channels = torch.view_as_real(pupil).movedim(-1, 0).to(fx.dtype).expand(leds, 2, n, n)
    read = F.grid_sample(channels, where, mode="bilinear", padding_mode="border", align_corners=True)
    return torch.complex(read[:, 0], read[:, 1])
