"""Which bins of the sample's spectrum the pupil passes under each light source.

A source with transverse frequency u sees the spectrum through a pupil centred at -u, so its window
of bins lies around the bin nearest to -u and the pupil is evaluated at the true distance of each bin
from there: nothing is snapped unless it is asked for.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float, Int32
from torch import Tensor

from lsm.errors import ConfigError
from lsm.optics.grid import ImagingSystem
from lsm.optics.pupil import PupilFactor, PupilFunction, defocus_factor, sample_pupil

Edge = Literal["hard", "soft"]
Frequencies = Float[Tensor, "source 2"]

# a LED designed to sit on the edge must not fall out by rounding of its position
EDGE_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Windows:
    """A square window of `window_px` bins for each source.

    rows, columns: first bin, 0 to sample_px - 1; windows wrap around the spectrum's end.
    extent: first and one past the last bin of each row that lies inside the aperture.
    fx, fy: frequency in the pupil of each bin, cycles/um; float64.
    """

    rows: Int32[np.ndarray, " source"]
    columns: Int32[np.ndarray, " source"]
    extent: Int32[np.ndarray, "source k 2"]
    fx: Float[Tensor, "source 1 k"]
    fy: Float[Tensor, "source k 1"]

    @property
    def window_px(self) -> int:
        return int(self.extent.shape[1])

    def part(self, sources: slice) -> "Windows":
        """The windows of some of the sources."""
        return Windows(
            self.rows[sources], self.columns[sources], self.extent[sources], self.fx[sources], self.fy[sources]
        )


def check_reach(frequencies: Frequencies, system: ImagingSystem, name: str) -> None:
    """Raises ConfigError where a source would need frequencies that the sample's grid does not hold."""
    reach = float(frequencies.detach().abs().max()) + system.na / system.wavelength_um
    if not 2 * reach * system.sample_pixel_um <= 1:
        na = float(torch.hypot(frequencies[:, 0], frequencies[:, 1]).max()) * system.wavelength_um
        raise ConfigError(
            f"Board '{name}' reaches NA {na:.3f}, beyond sample pixels of {system.sample_pixel_um} um.",
            hint=f"use sample_pixel_um below {1 / (2 * reach):.3f}, or a board of smaller NA",
        )


def find_windows(frequencies: Frequencies, system: ImagingSystem, *, snap: bool, edge: Edge) -> Windows:
    """Windows around -u for sources of transverse frequency u (x, y) in cycles/um.

    snap: move each source to the nearest bin, an error of up to 1 / (2 field_um) in frequency.
    fx and fy are differentiable in the frequencies unless they are snapped.
    """
    radius = system.pupil_radius_bins + (0.5 if edge == "soft" else 0.0)
    half = math.floor(radius + 0.5)
    if 2 * half + 1 > system.sample_px:
        raise ConfigError(
            f"The pupil is {2 * half + 1} bins wide, the spectrum of the sample only {system.sample_px}.",
            hint=f"use sample_pixel_um below {system.wavelength_um / (4 * system.na):.3f} or a larger sample_px",
        )
    bins = frequencies * system.field_um
    centre = -torch.round(bins.detach())
    # the pupil's frequency at the middle bin, at most half a bin
    rest = torch.zeros_like(bins) if snap else bins + centre
    span = torch.arange(-half, half + 1, dtype=torch.float64)
    x, y = rest[:, :1] + span, rest[:, 1:] + span
    first = (centre.to(torch.int64).numpy() - half) % system.sample_px
    return Windows(
        rows=first[:, 1].astype(np.int32),
        columns=first[:, 0].astype(np.int32),
        extent=_extent(rest.detach().numpy(), y.detach().numpy(), half, radius),
        fx=(x / system.field_um)[:, None, :],
        fy=(y / system.field_um)[:, :, None],
    )


def _extent(
    rest: Float[np.ndarray, "source 2"], y: Float[np.ndarray, "source k"], half: int, radius: float
) -> Int32[np.ndarray, "source k 2"]:
    square = radius**2 * (1 + EDGE_ROUNDING) - y**2
    reach = np.sqrt(np.maximum(square, 0.0))
    middle = half - rest[:, :1]
    first, last = np.ceil(middle - reach), np.floor(middle + reach)
    extent = np.stack([np.maximum(first, 0), np.minimum(last, 2 * half) + 1], axis=-1)
    extent[square < 0] = 0
    return np.ascontiguousarray(extent.astype(np.int32))


def soft_aperture(fx: Tensor, fy: Tensor, system: ImagingSystem) -> Float[Tensor, "source k k"]:
    """Share of each frequency bin inside the aperture, along the radius: a straight edge one bin wide.

    Brings the Airy pattern's first zero from 0.3 % to 0.1 % of its place, and gives LED positions a gradient.
    """
    # the root has no derivative at 0, where the edge is far away
    radius = torch.sqrt((fx**2 + fy**2).clamp_min(1e-30)) * system.field_um
    return (system.pupil_radius_bins + 0.5 - radius).clamp(0.0, 1.0)


def is_open(defocus_um: float | Tensor, pupil: PupilFactor | PupilFunction | None, edge: Edge) -> bool:
    """Whether the pupil is 1 at every bin that it passes."""
    return not isinstance(defocus_um, Tensor) and defocus_um == 0.0 and pupil is None and edge == "hard"


def pupil_table(
    windows: Windows,
    system: ImagingSystem,
    *,
    defocus_um: float | Tensor,
    pupil: PupilFactor | PupilFunction | None,
    edge: Edge,
    dtype: torch.dtype,
    device: torch.device,
) -> Complex[Tensor, "samples source k k"] | None:
    """The pupil at each bin of each window, complex; None where it is 1.

    samples: 1, or the number of samples where `defocus_um` holds one value for each.
    """
    if is_open(defocus_um, pupil, edge):
        return None
    fx, fy = (f.to(device, dtype.to_real()) for f in (windows.fx, windows.fy))
    table = torch.ones((), dtype=dtype, device=device)
    if edge == "soft":
        table = table * soft_aperture(fx, fy, system)
    if isinstance(pupil, Tensor):
        table = table * sample_pupil(pupil, fx, fy, system)
    elif pupil is not None:
        table = table * pupil(fx, fy, system).to(dtype)
    if isinstance(defocus_um, Tensor):
        table = table * defocus_factor(fx, fy, system, defocus_um.to(fx).reshape(-1, 1, 1, 1))
    elif defocus_um != 0.0:
        table = table * defocus_factor(fx, fy, system, defocus_um)
    k = windows.window_px
    return table.expand(table.shape[0] if table.ndim == 4 else 1, len(windows.rows), k, k)
