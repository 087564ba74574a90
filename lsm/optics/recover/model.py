"""The forward model with everything free: the sample's spectrum, pupil, LED positions and gains."""

import math

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from lsm.illum import LedBoard
from lsm.optics.forward import sample_spectrum
from lsm.optics.grid import ImagingSystem
from lsm.optics.illumination import led_directions
from lsm.optics.intensity import intensity_images
from lsm.optics.plan import Plan
from lsm.optics.recover.aperture import SoftPupil
from lsm.optics.recover.config import RecoverConfig
from lsm.optics.recover.pose import BoardPose
from lsm.optics.windows import check_reach, find_windows, pupil_table

# room for the soft edge and a fitted NA outside the nominal aperture
EDGE_ROOM = 1.06


class StackModel(nn.Module):
    """`lsm.optics.led_stack` with edge, pupil and geometry as parameters, and the spectrum in place of the sample.

    `expected`: root of the expected power of each bin; parameters are in its units, so that one step size
    suits bright field and dark field alike.
    """

    def __init__(
        self,
        board: LedBoard,
        system: ImagingSystem,
        expected: Float[Tensor, "fy fx"],
        config: RecoverConfig,
        *,
        defocus_um: float = 0.0,
    ) -> None:
        super().__init__()
        self.board, self.system = board, system
        self.wide = widened(system)
        self.register_buffer("expected", expected)
        n = system.sample_px
        self.bins = nn.Parameter(torch.zeros(1, n, n, 2))
        self.place = BoardPose(board)
        self.pupil = SoftPupil(
            system.na,
            edge_na=config.edge_na,
            phase_order=config.phase_order,
            amplitude_order=config.amplitude_order,
        )
        self.defocus_um = nn.Parameter(torch.tensor(defocus_um))
        self.log_gain = nn.Parameter(torch.zeros(board.n_leds))

    def start(self, amplitude: float, generator: torch.Generator) -> None:
        """An even sample of this amplitude with a little noise, from which dark field can grow."""
        with torch.no_grad():
            noise = 0.05 * torch.randn(self.bins.shape, generator=generator)
            self.bins.copy_(noise)
            self.bins[:, 0, 0, 0] = amplitude / self.get_buffer("expected")[0, 0]
            self.bins[:, 0, 0, 1] = 0.0

    def spectrum(self) -> Complex[Tensor, "1 fy fx"]:
        return torch.view_as_complex(self.bins) * self.get_buffer("expected")

    def transmission(self) -> Complex[Tensor, "y x"]:
        """The sample whose spectrum this is: the inverse of `sample_spectrum`."""
        n = self.system.sample_px
        point = torch.zeros(1, n, n, dtype=torch.complex64)
        point[0, 0, 0] = n * n
        ramp = sample_spectrum(point, self.system)
        with torch.no_grad():
            sample: Tensor = torch.fft.ifft2(self.spectrum() * ramp.conj(), norm="forward")[0]
        return sample

    def images(self, leds: Int[Tensor, " led"]) -> Float[Tensor, "led y x"]:
        """Images of some LEDs, gains included."""
        return self.images_from(self.place()[leds]) * torch.exp(self.log_gain[leds])[:, None, None]

    def images_from(self, positions_mm: Float[Tensor, "led 3"]) -> Float[Tensor, "led y x"]:
        """Images under LEDs of gain 1 at these places."""
        spectrum = self.spectrum()
        directions = led_directions(self.board, positions_mm=positions_mm)
        frequencies = directions[:, :2] / self.system.wavelength_um
        check_reach(frequencies, self.wide, self.board.name)
        windows = find_windows(frequencies, self.wide, snap=False, edge="hard")
        table = pupil_table(
            windows,
            self.wide,
            defocus_um=self.defocus_um,
            pupil=self.pupil,
            edge="hard",
            dtype=spectrum.dtype,
            device=spectrum.device,
        )
        plan = Plan(windows, np.arange(len(positions_mm) + 1, dtype=np.int32), self.wide, area=True)
        images: Tensor = intensity_images(spectrum, table, None, plan)[0]
        return images


def widened(system: ImagingSystem) -> ImagingSystem:
    """The system with room for the soft edge of a `SoftPupil`, which cuts the light itself."""
    return ImagingSystem.model_validate(system.model_dump() | {"na": system.na * EDGE_ROOM})


def expected_spectrum(
    mean: Float[Tensor, " led"], na: Float[np.ndarray, " led"], contrast: float, system: ImagingSystem
) -> Float[Tensor, "fy fx"]:
    """Root of the expected power of each bin of the sample's spectrum.

    Dark-field images give it: the mean under an LED is the power of the bins in the pupil around it.
    Towards low frequencies a power law through them meets the power that makes `contrast`, the relative
    variance of the bright field.
    """
    in_pupil = math.pi * system.pupil_radius_bins**2
    dark = na > 1.05 * system.na
    if dark.sum() >= 3 and np.ptp(na[dark]) > 0.1 * system.na:
        slope, height = np.polyfit(np.log(na[dark]), np.log(mean[dark].numpy() / in_pupil), 1)
    else:
        slope, height = 0.0, math.log(contrast * float(mean.max()) / in_pupil)
    cycles = torch.fft.fftfreq(system.sample_px, d=system.sample_pixel_um, dtype=torch.float64)
    rho = torch.hypot(cycles[:, None], cycles) * system.wavelength_um
    power = torch.exp(height + slope * torch.log(rho.clamp_min(1.3 * system.na)))
    low = 0.75 * contrast * float(mean.max()) / in_pupil * (1 - rho / (1.3 * system.na)).clamp_min(0.0)
    power = torch.where(rho < system.na, torch.maximum(power, low), power)
    return power.sqrt().to(torch.float32)
