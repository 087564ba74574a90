"""What is computed in the comparisons: a board, an optical system and a sample."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, led_directions
from lsm.optics.forward import sample_spectrum
from lsm.twin import TwinConfig

# 42 mm wide and 68 mm below the sample: its corners are at NA 0.4
BOARD_WIDTH_MM, BOARD_DISTANCE_MM = 42.0, 68.0
# sample pixels that a contender which computes at full size is given to work on in one timing
FULL_SIZE_POINTS, FULL_SIZE_POINTS_QUICK = 2**22, 2**18


@dataclass(frozen=True, eq=False)
class Case:
    """One computation: `batch` samples, each lit by every LED of the board.

    bins: the LEDs' frequencies (x, y) in bins of 1 / field, rounded. A tilt by whole bins is the same in
    all contenders; by parts of a bin, a ramp on the sample and a shift of the pupil are different models.
    """

    name: str
    board: LedBoard
    system: ImagingSystem
    batch: int = 1

    @cached_property
    def sample(self) -> Complex[Tensor, "batch y x"]:
        n, source = self.system.sample_px, torch.Generator().manual_seed(self.system.sample_px)
        amplitude = torch.rand(self.batch, n, n, generator=source) / 2 + 0.5
        sample: Tensor = torch.polar(amplitude, torch.rand(self.batch, n, n, generator=source))
        return sample

    @cached_property
    def shifted(self) -> Complex[Tensor, "batch y x"]:
        """The sample with the first camera pixel's centre at its first pixel, where `[::decimation]` reads it."""
        return self.to_shifted(self.sample)

    def to_shifted(self, sample: Complex[Tensor, "batch y x"]) -> Complex[Tensor, "batch y x"]:
        moved: Tensor = torch.fft.ifft2(sample_spectrum(sample, self.system), norm="forward")
        return moved

    @cached_property
    def bins(self) -> Int[Tensor, "led 2"]:
        frequencies = led_directions(self.board)[:, :2] / self.system.wavelength_um
        return torch.round(frequencies * self.system.field_um).to(torch.int64)

    @cached_property
    def mask(self) -> Float[Tensor, "fy fx"]:
        """The aperture on the bins of a full-size transform."""
        square = torch.fft.fftfreq(self.system.sample_px, d=1 / self.system.sample_px) ** 2
        mask: Tensor = square + square[:, None] <= self.system.pupil_radius_bins**2
        return mask.to(torch.float32)

    def mask_under(self, led: int) -> Float[Tensor, "fy fx"]:
        """The aperture where the LED puts it on the sample's spectrum."""
        x, y = self.bins[led].tolist()
        rolled: Tensor = torch.roll(self.mask, (-y, -x), (0, 1))
        return rolled

    @cached_property
    def leds(self) -> Int[Tensor, " led"]:
        return torch.arange(self.board.n_leds)

    def some_leds(self, points: int) -> Int[Tensor, " led"]:
        """As many LEDs, from all over the board, as full-size images of that many points in all allow."""
        count = points // (self.batch * self.system.sample_px**2)
        count = max(1, min(count, self.board.n_leds))
        mixed = torch.randperm(self.board.n_leds, generator=torch.Generator().manual_seed(0))
        return torch.sort(mixed[:count]).values


def grid_board(side: int) -> LedBoard:
    """A square of LEDs, as many along each side, that reach NA 0.4."""
    pitch = BOARD_WIDTH_MM / (side - 1)
    return LedBoard.grid(rows=side, columns=side, pitch_mm=pitch, distance_mm=BOARD_DISTANCE_MM)


def square_system(sample_px: int) -> ImagingSystem:
    """The microscope of the promises, with a field of that many sample pixels."""
    return ImagingSystem(na=0.10, wavelength_um=0.53, sample_pixel_um=0.3, camera_pixel_um=1.2, sample_px=sample_px)


def promised_cases() -> tuple[Case, ...]:
    """256^2 to 64^2 with 64 and 256 LEDs, for which speed is promised."""
    return tuple(Case(f"{side * side} LEDs", grid_board(side), square_system(256)) for side in (8, 16))


def further_cases() -> tuple[Case, ...]:
    """A batch, the default microscope and a large field."""
    return (
        Case("256 LEDs x 16", grid_board(16), square_system(256), batch=16),
        Case("169 LEDs", TwinConfig().led_board.board(), ImagingSystem()),
        Case("400 LEDs", grid_board(20), square_system(2048)),
    )
