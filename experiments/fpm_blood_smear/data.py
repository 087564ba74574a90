"""The measured stacks, linear in light, with the optics that their description gives."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lsm.illum import Glass, LedBoard
from lsm.optics import ImagingSystem

PITCH_MM, DISTANCE_MM = 4.0, 90.88
CAMERA_UM, MARGIN_PX, FINER = 1.845, 16, 4
# the stored value is c * counts ** 0.75 (README.md beside the data)
STORED_POWER = 0.75
BANDS = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.41))


@dataclass(frozen=True, eq=False)
class Slide:
    """One colour: images [led, y, x], the board as described, the imaging system and where the focus is said to be."""

    colour: str
    images: Tensor
    board: LedBoard
    system: ImagingSystem
    defocus_um: float

    @property
    def na(self) -> np.ndarray:
        return self.board.na

    def noise_ceiling(self) -> np.ndarray:
        """Correlation [led] that a perfect prediction would reach; noise is what lies beyond the cut-off."""
        n = self.images.shape[-1]
        cycles = np.abs(np.fft.fftfreq(n, CAMERA_UM))
        # in the corners, further out than 2 NA / wavelength and than what aliases back from there
        corner = np.minimum(cycles[:, None], cycles) > 2 * self.system.na / self.system.wavelength_um * 0.72
        window = np.hanning(n)[:, None] * np.hanning(n)
        light = self.images.numpy() - self.images.numpy().mean((1, 2), keepdims=True)
        power = np.abs(np.fft.fft2(light * window)) ** 2
        noise = power[:, corner].mean(1) / (window**2).sum()
        signal = (light**2 * window**2).sum((1, 2)) / (window**2).sum()
        return np.sqrt(np.clip(1 - noise / signal, 0.0, 1.0))


def load(colour: str) -> Slide:
    """Read one colour from the folder that LSM_DATA names."""
    path = Path(os.environ["LSM_DATA"]) / "fpm_blood_smear" / f"{colour}.npz"
    with np.load(path) as held:
        light = held["images"].astype(np.float64) ** (1 / STORED_POWER)
        x, y = (held["led_grid_xy"] * PITCH_MM + [float(held["offset_x_mm"]), float(held["offset_y_mm"])]).T
        wavelength_um, defocus_um = float(held["wavelength_um"]), float(held["defocus_um"])
    positions = np.stack([x, y, np.full(len(x), -DISTANCE_MM)], axis=1)
    board = LedBoard(
        "15 x 15",
        positions,
        np.tile([0.0, 0.0, 1.0], (len(x), 1)),
        (wavelength_um,),
        glass=Glass(thickness_mm=1.0, refractive_index=1.52),
    )
    system = ImagingSystem(
        na=0.10,
        wavelength_um=wavelength_um,
        camera_pixel_um=CAMERA_UM,
        sample_pixel_um=CAMERA_UM / FINER,
        sample_px=(light.shape[-1] + 2 * MARGIN_PX) * FINER,
        margin_px=MARGIN_PX,
    )
    return Slide(colour, torch.from_numpy(light).float(), board, system, defocus_um)


def every_fifth(na: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """LEDs to fit and LEDs to withhold: in order of NA, those at places offset, offset + 5, ..."""
    held = np.sort(np.argsort(na, kind="stable")[offset::5])
    return np.setdiff1d(np.arange(len(na)), held), held


def by_band(values: np.ndarray, na: np.ndarray) -> list[float]:
    """Median in bright field, NA 0.1 to 0.2 and NA 0.2 to 0.4."""
    return [round(float(np.median(values[(na >= low) & (na < high)])), 4) for low, high in BANDS]
