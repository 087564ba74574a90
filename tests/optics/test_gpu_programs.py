"""The GPU's programs, run by Triton's interpreter: what they compute, not how fast."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

PROGRAM = """
import torch
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, _native, chunked, led_stack, pattern_stack

system = ImagingSystem(sample_px=64, margin_px=1)
board = LedBoard.grid(rows=3, columns=3, pitch_mm=6, distance_mm=60)
generator = torch.Generator().manual_seed(0)
t = torch.polar(torch.ones(2, 64, 64), torch.randn(2, 64, 64, generator=generator))
weights = torch.rand(2, 9, generator=generator)

def results():
    sample = t.clone().requires_grad_()
    images = pattern_stack(sample, board, system, weights, defocus_um=torch.tensor([1.0, 2.0]))
    images.pow(2).sum().backward()
    return led_stack(t, board, system), images.detach(), torch.view_as_real(sample.grad)

expected = results()
_native.library = lambda: None
chunked.fuses_on_gpu = lambda tensor: True
for mine, other in zip(results(), expected):
    # float32: a few hundred roundings
    torch.testing.assert_close(mine, other, rtol=0, atol=3e-6 * float(other.abs().max()))
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed (it comes with torch for NVIDIA GPUs)")
def test_images_and_gradients_equal_those_of_the_cpu():
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
