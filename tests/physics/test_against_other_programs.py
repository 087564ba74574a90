"""Other people's optics, made by other hands from the same textbooks, gives the same images.

fpm-py (full-size Fourier ptychography), torchoptics (angular-spectrum propagation), poppy (Zernike
polynomials of the telescope builders) and waveorder (weak-object transfer functions). Each test
names the conventions that it brings together.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, led_stack
from lsm.optics.pupil import noll_to_nm, zernike

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0)
# camera pixels are sample pixels: both grids begin at the same point
FULL = ImagingSystem(sample_px=96, sample_pixel_um=0.6, camera_pixel_um=0.6)


def smooth_phase(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.fft.rfft2(torch.randn(12, 12, generator=generator, dtype=torch.float64))
    phase = torch.fft.irfft2(coarse, s=(n, n))
    return phase / phase.abs().max()


def led_bins(system: ImagingSystem) -> np.ndarray:
    """Frequency of each LED, in whole bins, as `tilt="bin"` has it."""
    return np.round(BOARD.directions[:, :2] / system.wavelength_um * system.field_um)


def test_images_agree_with_fpm_py():
    """fpm-py: tilt exp(i k x) in rad per sample pixel, centred spectrum, whole pupil radius; prints what it does."""
    fpm_py = pytest.importorskip("fpm_py")
    # a pupil of exactly 11 bins: no bin lies on its edge
    system = FULL.model_copy(update={"na": 11.0 / FULL.field_um * FULL.wavelength_um})
    t = torch.polar(torch.ones(96, 96, dtype=torch.float64), 2 * smooth_phase(96)).to(torch.complex64)
    k_vectors = torch.tensor(2 * np.pi * led_bins(system) / 96, dtype=torch.float32)
    theirs = fpm_py.kvectors_to_image_series(t, k_vectors, pupil_radius=11)
    expected = torch.stack([capture.image.cpu() for capture in theirs.captures])
    ours = led_stack(t, BOARD, system, pixel="point", tilt="bin")
    # float32 on their side: phases up to some hundred radians in the tilt
    torch.testing.assert_close(ours, expected, rtol=0, atol=3e-5 * float(expected.max()))


@pytest.mark.parametrize("z_um", [5.0, 40.0])
def test_defocus_agrees_with_torchoptics(z_um: float):
    """torchoptics: exp(+i kz z) along +z, unpadded and so periodic as ours; backwards its evanescent waves explode."""
    torchoptics = pytest.importorskip("torchoptics")
    # an objective so wide that it passes what the smooth sample scatters, on the axis and tilted
    system = ImagingSystem(na=0.4, sample_px=96, sample_pixel_um=0.3, camera_pixel_um=0.3)
    spectrum = torch.fft.fft2(torch.polar(torch.ones(96, 96, dtype=torch.float64), smooth_phase(96)))
    f = torch.fft.fftfreq(96, 0.3, dtype=torch.float64)
    t = torch.fft.ifft2(spectrum * (torch.hypot(f[:, None], f) < 0.2 / system.wavelength_um))
    bins = led_bins(system)
    x = torch.arange(96, dtype=torch.float64) / 96
    ours = led_stack(t, BOARD, system, pixel="point", tilt="bin", defocus_um=z_um)
    for led in (0, 7, 12, 19):
        tilt = torch.exp(2j * torch.pi * (bins[led, 0] * x[None, :] + bins[led, 1] * x[:, None]))
        field = torchoptics.Field(t * tilt, wavelength=system.wavelength_um, spacing=0.3)
        theirs = field.propagate_to_z(z_um, propagation_method="ASM", asm_pad=(0, 0)).intensity()
        # their spacing and distance are float32: the phase of kz z is off by about 1e-5 of a radian
        torch.testing.assert_close(ours[led], theirs.to(torch.float64), rtol=0, atol=2e-4 * float(theirs.max()))


@pytest.mark.parametrize("noll", range(1, 37))
@pytest.mark.filterwarnings("ignore")
def test_zernike_polynomials_agree_with_poppy(noll: int):
    """poppy: Noll's order and norm; angle from +x towards +y, as ours."""
    poppy_zernike = pytest.importorskip("poppy.zernike")
    axis = np.linspace(-0.7, 0.7, 15)
    x, y = np.meshgrid(axis, axis)
    n, m = poppy_zernike.noll_indices(noll)
    assert noll_to_nm(noll) == (n, m)
    expected = poppy_zernike.zernike(n, m, rho=np.hypot(x, y), theta=np.arctan2(y, x), outside=0.0)
    ours = zernike(noll, torch.from_numpy(x), torch.from_numpy(y)).numpy()
    # polynomials of order 7 with coefficients of some tens
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("aberration", [{}, {4: 0.15, 7: -0.1}], ids=["in focus", "aberrated"])
@pytest.mark.parametrize("part", ["phase", "absorption"])
def test_weak_objects_agree_with_waveorder(part: str, aberration: dict[int, float]):
    """waveorder: transfer functions on uncentred bins, source at +u, t = 1 + absorption + i phase, I / I0 - 1."""
    optics = pytest.importorskip("waveorder.optics")
    right = np.flatnonzero((BOARD.directions[:, 0] > 0.02) & (BOARD.na < 0.95 * FULL.na))
    source = torch.zeros(96, 96, dtype=torch.complex128)
    bins = led_bins(FULL).astype(int)
    source[bins[right, 1], bins[right, 0]] = 1
    f = torch.fft.fftfreq(96, 0.6, dtype=torch.float64)
    inside = f[:, None] ** 2 + f**2 <= (FULL.na / FULL.wavelength_um) ** 2
    pupil = ZernikePupil(aberration)
    of_absorption, of_phase = optics.compute_weak_object_transfer_function_2d(
        source, inside * pupil(f[None, :], f[:, None], FULL)
    )
    weak = smooth_phase(96, seed=3)

    def contrast(scale: float) -> Tensor:
        t = torch.polar(torch.ones_like(weak), scale * weak) if part == "phase" else (1 + scale * weak).to(source.dtype)
        leds = torch.from_numpy(right)
        return led_stack(t, BOARD, FULL, leds=leds, pixel="point", tilt="bin", pupil=pupil).mean(0) - 1

    ours = (contrast(1e-4) - contrast(-1e-4)) / 2e-4
    transfer = of_phase if part == "phase" else of_absorption
    expected = torch.fft.ifft2(transfer * torch.fft.fft2(weak)).real
    assert float(expected.abs().max()) > 0.1
    # what is left of the second order is the third: 1e-8
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-7)
