"""A pupil to be fitted: Zernike phase and amplitude, and an aperture with a soft edge."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lsm.optics.grid import ImagingSystem
from lsm.optics.pupil import noll_to_nm, zernike

# piston has no effect, tilts move the image, and defocus is a parameter of its own
FIRST_PHASE_NOLL = 5
FIRST_AMPLITUDE_NOLL = 2


class SoftPupil(nn.Module):
    """Aperture of a fitted NA and edge, times exp(sum a_k Z_k + 2 pi i sum c_k Z_k); a PupilFunction.

    `na` is the nominal one, to which the Zernike polynomials belong.
    """

    def __init__(self, na: float, *, edge_na: float, phase_order: int, amplitude_order: int) -> None:
        super().__init__()
        self.na, self.edge_na = na, edge_na
        self.waves_rms = nn.Parameter(torch.zeros(_terms(phase_order, FIRST_PHASE_NOLL)))
        self.log_amplitude = nn.Parameter(torch.zeros(_terms(amplitude_order, FIRST_AMPLITUDE_NOLL)))
        self.log_na = nn.Parameter(torch.zeros(()))
        self.log_edge = nn.Parameter(torch.zeros(()))

    @property
    def fitted_na(self) -> float:
        return self.na * math.exp(self.log_na.item())

    @property
    def fitted_edge_na(self) -> float:
        return self.edge_na * math.exp(self.log_edge.item())

    def phase_waves(self) -> dict[int, float]:
        """Phase coefficients in waves RMS by Noll index."""
        return {FIRST_PHASE_NOLL + k: value for k, value in enumerate(self.waves_rms.tolist())}

    def forward(self, fx: Tensor, fy: Tensor, system: ImagingSystem) -> Tensor:
        x, y = fx * (system.wavelength_um / self.na), fy * (system.wavelength_um / self.na)
        radius = torch.sqrt(x**2 + y**2 + 1e-12)
        edge = torch.sigmoid(4 * self.na / self.edge_na * torch.exp(-self.log_edge) * (torch.exp(self.log_na) - radius))
        phase = 2 * math.pi * _polynomial(self.waves_rms, FIRST_PHASE_NOLL, x, y)
        amplitude = edge * torch.exp(_polynomial(self.log_amplitude, FIRST_AMPLITUDE_NOLL, x, y))
        return torch.complex(amplitude * torch.cos(phase), amplitude * torch.sin(phase))


def _terms(order: int, first: int) -> int:
    return max(0, (order + 1) * (order + 2) // 2 - first + 1)


def _polynomial(
    coefficients: Float[Tensor, " term"], first: int, x: Float[Tensor, "led 1 k"], y: Float[Tensor, "led k 1"]
) -> Tensor:
    """Sum of Zernike polynomials as one product of powers of x and y: the cost does not grow with the terms."""
    if not len(coefficients):
        return torch.zeros_like(x + y)
    table = _powers_of(first, len(coefficients)).to(x)
    powers = torch.arange(table.shape[-1], device=x.device)
    product = torch.einsum("n,nij->ij", coefficients.to(x), table)
    return (y[..., 0, None] ** powers) @ product @ (x[..., 0, :, None] ** powers).transpose(-1, -2)


@lru_cache(maxsize=16)
def _powers_of(first: int, terms: int) -> Float[Tensor, "term y x"]:
    """Coefficients of y^i x^j in each Zernike polynomial, from its values on a grid."""
    order = noll_to_nm(first + terms - 1)[0]
    axis = torch.linspace(-1, 1, 2 * order + 3, dtype=torch.float64)
    vander = torch.linalg.pinv(axis[:, None] ** torch.arange(order + 1))
    values = torch.stack([zernike(noll, axis[None, :], axis[:, None]) for noll in range(first, first + terms)])
    table: Tensor = vander @ values @ vander.T
    return table
