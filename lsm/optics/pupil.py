"""What the objective passes: aperture, defocus and a given or learned pupil."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from lsm.errors import ConfigError, WrongFormat
from lsm.optics.grid import ImagingSystem

PupilFactor: TypeAlias = Complex[Tensor, "fy fx"]


@runtime_checkable
class PupilFunction(Protocol):
    """A pupil known at every frequency, such as `ZernikePupil`."""

    def __call__(self, fx: Tensor, fy: Tensor, system: ImagingSystem) -> Tensor:
        """Complex factor [led, k, k] at the frequencies fx [led, 1, k] and fy [led, k, 1], in cycles/um."""
        ...


@dataclass(frozen=True, eq=False)
class ZernikePupil:
    """exp(sum a_k Z_k + 2 pi i sum c_k Z_k), exact at every frequency and differentiable in its coefficients.

    waves_rms: c_k, phase in waves RMS by Noll index. log_amplitude: a_k, natural logarithm of the amplitude.
    Indices after Noll, J. Opt. Soc. Am. 66, 207 (1976), table I. Raises ConfigError for an index below 1.
    """

    waves_rms: Mapping[int, float | Tensor] = field(default_factory=dict)
    log_amplitude: Mapping[int, float | Tensor] = field(default_factory=dict)

    def __call__(self, fx: Tensor, fy: Tensor, system: ImagingSystem) -> Tensor:
        scale = system.wavelength_um / system.na
        x, y = fx * scale, fy * scale
        phase = 2 * math.pi * _zernike_sum(self.waves_rms, x, y)
        # the amplitude has no meaning outside the aperture, where its polynomials grow without limit
        inside = torch.rsqrt((x**2 + y**2).clamp_min(1.0))
        amplitude = torch.exp(_zernike_sum(self.log_amplitude, x * inside, y * inside))
        return torch.complex(amplitude * torch.cos(phase), amplitude * torch.sin(phase))


def defocus_factor(
    fx: Float[Tensor, "led 1 k"],
    fy: Float[Tensor, "led k 1"],
    system: ImagingSystem,
    defocus_um: float | Tensor,
) -> Complex[Tensor, "*sample led k k"]:
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
    axis = frequency_axis(system)
    return ZernikePupil(waves_rms)(axis[None, :], axis[:, None], system)


def noll_to_nm(noll: int) -> tuple[int, int]:
    """Radial order n and azimuthal frequency m of a Noll index; negative m is the sine term."""
    if noll < 1:
        raise ConfigError(f"Noll index {noll} does not exist.", hint="indices start at 1 (piston)")
    n = (math.isqrt(8 * noll - 7) - 1) // 2
    rest = noll - n * (n + 1) // 2 - 1
    m = 2 * ((rest + 1) // 2) if n % 2 == 0 else 2 * (rest // 2) + 1
    return (n, m if noll % 2 == 0 else -m)


def _zernike_sum(coefficients: Mapping[int, float | Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Sum of coefficient times Zernike polynomial at x and y, in units of the pupil's radius."""
    total = torch.zeros_like(x + y)
    for noll, coefficient in coefficients.items():
        total = total + coefficient * zernike(noll, x, y)
    return total


def zernike(noll: int, x: Tensor, y: Tensor) -> Tensor:
    """Zernike polynomial of unit RMS over the unit disc, at Cartesian x and y that broadcast together."""
    n, signed_m = noll_to_nm(noll)
    m = abs(signed_m)
    square = x**2 + y**2
    radial = torch.zeros_like(square)
    # polynomials in x and y, so that there is a derivative at the centre
    for k in range((n - m) // 2 + 1):
        top = (-1) ** k * math.factorial(n - k)
        bottom = math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
        radial = radial + top / bottom * square ** ((n - m) // 2 - k)
    if m == 0:
        return math.sqrt(n + 1) * radial
    cosine, sine = _angular(m, x, y)
    return math.sqrt(2 * (n + 1)) * radial * (cosine if signed_m > 0 else sine)


def _angular(m: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """rho^m cos(m theta) and rho^m sin(m theta)."""
    cosine, sine = x + 0 * y, y + 0 * x
    for _ in range(m - 1):
        cosine, sine = cosine * x - sine * y, cosine * y + sine * x
    return cosine, sine


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
