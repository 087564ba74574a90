"""What a recovery found, and what it predicts."""

import json
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics.forward import AliasingWarning, led_stack
from lsm.optics.grid import ImagingSystem
from lsm.optics.recover.aperture import SoftPupil
from lsm.optics.recover.config import RecoverConfig
from lsm.optics.recover.model import widened

PREDICT_LEDS = 64


@dataclass(frozen=True, eq=False)
class Recovered:
    """A sample, the optics it was seen through, and how well both explain the images.

    transmission: [sample_px, sample_px] of `system`, margin included: near the rim little light tells of it.
    Its amplitude is in units in which the measured bright field is 1, unless the images had another scale.
    board: with the recovered positions; LEDs without an image follow the smooth shape of the others.
    gains: of all LEDs, 1 where none was measured; their common factor is in the transmission.
    pupil: aperture with fitted NA and edge, phase and amplitude; the defocus comes on top.
    losses: one per epoch of the last stage. residual: relative r.m.s. misfit of the amplitude per fitted LED.
    correlation: between each fitted LED's image and the model's.
    """

    transmission: Complex[Tensor, "y x"]
    board: LedBoard
    system: ImagingSystem
    pupil: SoftPupil
    defocus_um: float
    leds: Int[np.ndarray, " led"]
    gains: Float[np.ndarray, " all"]
    losses: tuple[float, ...]
    residual: Float[np.ndarray, " led"]
    correlation: Float[np.ndarray, " led"]
    config: RecoverConfig

    @property
    def positions_mm(self) -> Float[np.ndarray, "all 3"]:
        return self.board.positions_mm

    def predict(self, leds: Int[Tensor, " led"]) -> Float[Tensor, "led y x"]:
        """Images under these LEDs of the board, measured or not, in the units of the measured images."""
        with torch.no_grad(), warnings.catch_warnings():
            # the camera exists: that its pixels undersample is in the measured images too
            warnings.simplefilter("ignore", AliasingWarning)
            parts = [
                led_stack(
                    self.transmission,
                    self.board,
                    widened(self.system),
                    leds=some,
                    pupil=self.pupil,
                    defocus_um=self.defocus_um,
                )
                for some in torch.split(leds, PREDICT_LEDS)
            ]
        gains = torch.from_numpy(self.gains)[leds].to(torch.float32)
        return torch.cat(parts) * gains[:, None, None]

    def save(self, path: Path) -> None:
        """Write an HDF5 file with the sample as `transmission`, and everything else beside it."""
        with h5py.File(path, "x") as file:
            file["transmission"] = self.transmission.numpy()
            for name in ("positions_mm", "gains", "residual", "correlation"):
                file[name] = getattr(self, name)
            file["led_index"] = self.leds
            file["losses"] = np.array(self.losses)
            file["pupil/waves_rms"] = self.pupil.waves_rms.detach().numpy()
            file["pupil/log_amplitude"] = self.pupil.log_amplitude.detach().numpy()
            file["pupil"].attrs.update(na=self.pupil.fitted_na, edge_na=self.pupil.fitted_edge_na)
            file.attrs.update(
                kind="lsm recovered sample",
                sample_pixel_um=self.system.sample_pixel_um,
                wavelength_um=self.system.wavelength_um,
                defocus_um=self.defocus_um,
                system=self.system.model_dump_json(),
                config=self.config.model_dump_json(),
                summary=json.dumps(self.summary()),
            )

    def summary(self) -> dict[str, float]:
        """Figures that tell whether the fit can be trusted."""
        return {
            "leds": len(self.leds),
            "median_correlation": float(np.median(self.correlation)),
            "worst_correlation": float(self.correlation.min()),
            "median_residual": float(np.median(self.residual)),
            "defocus_um": self.defocus_um,
            "fitted_na": self.pupil.fitted_na,
            "gain_spread": float(np.std(np.log(self.gains[self.leds]))),
        }


def correlation(first: Float[Tensor, "led y x"], second: Float[Tensor, "led y x"]) -> Float[np.ndarray, " led"]:
    """Pearson's correlation of each pair of images."""
    a, b = (x.flatten(1).double() - x.flatten(1).double().mean(1, keepdim=True) for x in (first, second))
    found: Float[np.ndarray, " led"] = ((a * b).sum(1) / torch.sqrt((a**2).sum(1) * (b**2).sum(1))).numpy()
    return found


def with_fit(found: Recovered, images: Float[Tensor, "led y x"]) -> Recovered:
    """The result with residual and correlation against the images it was fitted to."""
    predicted = found.predict(torch.from_numpy(found.leds))
    a, b = torch.sqrt(predicted), torch.sqrt(images.clamp_min(0.0))
    misfit = torch.sqrt(((a - b) ** 2).mean((1, 2)) / (b**2).mean((1, 2)))
    return replace(found, residual=misfit.numpy(), correlation=correlation(predicted, images))
