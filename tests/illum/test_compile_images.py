"""Images under compiled frames, computed with the optics: incoherent light adds up, and so does its error."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from lsm.illum import CompiledLight, Drive, LedBoard, compile_light
from lsm.illum.pattern import GREEN
from lsm.optics import Camera, ImagingSystem, effective_weights, led_stack, pattern_stack

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=4.0, distance_mm=60.0)
SYSTEM = ImagingSystem(na=0.1, wavelength_um=0.53, sample_pixel_um=0.4, camera_pixel_um=0.8, sample_px=48)
EXPOSURE_MS = 10.0
DRIVES = {
    "grey": Drive(),
    "scarce current": Drive(max_ma=60),
    "on and off": Drive(level_bits=1, max_patterns=4),
    "in turns": Drive(level_bits=1, max_ma=100, max_patterns=16),
    "two frames of 4 bits": Drive(level_bits=4, max_patterns=2),
}
seeds = st.integers(0, 2**31)


def phase_object(seed: int) -> Tensor:
    phase_rad = torch.randn(48, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.polar(torch.ones_like(phase_rad), 0.5 * phase_rad)


def image_of(sample: Tensor, emitted: np.ndarray) -> Tensor:
    """Image under signed emitted light [led]."""
    stack = led_stack(sample, BOARD, SYSTEM)
    return torch.einsum("l,lyx->yx", effective_weights(BOARD, torch.from_numpy(emitted)), stack)


def frames_of(sample: Tensor, light: CompiledLight) -> Tensor:
    """One image per frame, in light of the exposure asked for."""
    duty = np.stack([frame.pattern.duty[:, GREEN] * frame.exposure_ms / EXPOSURE_MS for frame in light.frames])
    return pattern_stack(sample, BOARD, SYSTEM, effective_weights(BOARD, torch.from_numpy(duty.astype(np.float64))))


def signs(light: CompiledLight) -> Tensor:
    return torch.tensor([float(frame.sign) for frame in light.frames], dtype=torch.float64)


@pytest.mark.parametrize("drive", DRIVES.values(), ids=DRIVES.keys())
@settings(max_examples=8, deadline=None, derandomize=True)
@given(seeds)
def test_frames_add_up_to_the_image_of_the_weights_within_the_predicted_error(drive: Drive, seed: int):
    sample = phase_object(seed)
    asked = np.random.default_rng(seed).normal(size=BOARD.n_leds)
    light = compile_light(BOARD, asked, drive, exposure_ms=EXPOSURE_MS, tolerance=0.0)
    shown = torch.einsum("f,fyx->yx", signs(light), frames_of(sample, light))
    # duties are float32
    torch.testing.assert_close(shown, image_of(sample, light.predicted_light[:, GREEN]), rtol=0, atol=1e-5)
    off = (shown - image_of(sample, light.scale * asked)).abs()
    assert (off <= image_of(sample, light.half_step[:, GREEN]) + 1e-5).all()
    # an error there is: the comparison is not one of equals
    assert off.max() > 1e-4


def test_noise_light_gives_the_variance_of_the_signed_image():
    sample = phase_object(1)
    asked = np.linspace(-1, 1, BOARD.n_leds)
    light = compile_light(BOARD, asked, Drive(level_bits=1, max_patterns=4), exposure_ms=EXPOSURE_MS)
    camera = Camera(
        read_noise_e=10.0, prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0, gain_e_per_adu=1.0, full_well_e=4e4, bits=16
    )
    electrons, repeats = 200.0, 60
    mean_e = electrons * frames_of(sample, light)
    generator = torch.Generator().manual_seed(2)
    # rates times one millisecond are charges
    frames = camera.expose(mean_e.expand(repeats, -1, -1, -1), 1.0, generator).double()
    measured = torch.einsum("f,rfyx->ryx", signs(light), frames).var(dim=0)
    expected = electrons * image_of(sample, light.noise_light[:, GREEN]) + len(light.frames) * (100 + 1 / 12)
    # 60 repeats of 576 pixels: relative standard error sqrt(2 / 34 560) = 0.8 %, five times that
    assert float(measured.mean() / expected.mean()) == pytest.approx(1, abs=0.04)
