"""The compiled kernel and the torch program compute the same images and gradients."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, ZernikePupil, _native, led_stack, pattern_stack

pytestmark = pytest.mark.skipif(_native.library() is None, reason="the optics kernel is not built")

BOARD = LedBoard.grid(rows=4, columns=3, pitch_mm=6, distance_mm=60)
SYSTEMS = {
    "64 = 8 x 8": ImagingSystem(sample_px=256, margin_px=3),
    "56 = 8 x 7": ImagingSystem(sample_px=224),
    "45 = 5 x 3 x 3": ImagingSystem(sample_px=180),
    "30 = 5 x 3 x 2": ImagingSystem(sample_px=60, camera_pixel_um=0.6),
    "16 = 8 x 2": ImagingSystem(sample_px=64),
    "8": ImagingSystem(sample_px=32),
    "undersampled, 32 on 64": ImagingSystem(sample_px=128, wavelength_um=0.4),
}


def sample(system: ImagingSystem, *batch: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (*batch, system.sample_px, system.sample_px)
    amplitude = 1 + 0.2 * torch.randn(shape, dtype=torch.float64, generator=generator)
    phase = torch.randn(shape, dtype=torch.float64, generator=generator)
    return torch.polar(amplitude.abs(), phase).to(dtype)


def with_torch(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], Any]) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(_native, "library", lambda: None)
        return compute()


@pytest.mark.filterwarnings("ignore::lsm.optics.AliasingWarning")
@pytest.mark.parametrize("pixel", ["area", "point"])
@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(("dtype", "close"), [(torch.complex128, 1e-12), (torch.complex64, 3e-6)])
def test_images_agree(monkeypatch: pytest.MonkeyPatch, name: str, pixel: str, dtype: torch.dtype, close: float):
    # a few hundred roundings of each precision
    system = SYSTEMS[name]
    t = sample(system, 2, dtype=dtype)

    def compute() -> Tensor:
        return led_stack(t, BOARD, system, pixel=pixel)

    expected = with_torch(monkeypatch, compute)
    torch.testing.assert_close(compute(), expected, rtol=0, atol=close * float(expected.max()))


@pytest.mark.parametrize("pixel", ["area", "point"])
@pytest.mark.parametrize("threads", [1, 3])
def test_gradients_agree(monkeypatch: pytest.MonkeyPatch, pixel: str, threads: int):
    system = SYSTEMS["64 = 8 x 8"]
    before = torch.get_num_threads()

    def compute() -> list[Tensor]:
        t = sample(system, 2).requires_grad_()
        positions = torch.tensor(BOARD.positions_mm, requires_grad=True)
        defocus_um = torch.tensor([2.0, -3.0], dtype=torch.float64, requires_grad=True)
        astigmatism = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        weights = torch.linspace(-1, 2, 2 * BOARD.n_leds, dtype=torch.float64).reshape(2, -1).requires_grad_()
        images = pattern_stack(
            t,
            BOARD,
            system,
            weights,
            positions_mm=positions,
            defocus_um=defocus_um,
            pupil=ZernikePupil({5: astigmatism}),
            pixel=pixel,
            edge="soft",
        )
        images.pow(3).sum().backward()
        return [x.grad for x in (t, positions, defocus_um, astigmatism, weights)]

    try:
        torch.set_num_threads(threads)
        for mine, expected in zip(compute(), with_torch(monkeypatch, compute), strict=True):
            # sums of some 10^5 float64 terms of both signs
            torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
    finally:
        torch.set_num_threads(before)


def test_number_of_threads_does_not_change_a_bit():
    system = SYSTEMS["56 = 8 x 7"]
    before = torch.get_num_threads()
    stacks = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            stacks.append(led_stack(sample(system, dtype=torch.complex64), BOARD, system))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(stacks[0], stacks[1])
    assert torch.equal(stacks[0], stacks[2])


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.filterwarnings("ignore::lsm.optics.AliasingWarning")
def test_an_image_does_not_depend_on_those_computed_before_it(name: str):
    system = SYSTEMS[name]
    t = sample(system, dtype=torch.complex64)
    stack = led_stack(t, BOARD, system)
    alone = torch.cat([led_stack(t, BOARD, system, leds=torch.tensor([led])) for led in (7, 7, 2)])
    assert torch.equal(alone, stack[[7, 7, 2]])


def test_leds_may_be_chosen_with_any_integers():
    system = SYSTEMS["16 = 8 x 2"]
    chosen = led_stack(sample(system), BOARD, system, leds=torch.tensor([3], dtype=torch.int32))
    assert torch.equal(chosen, led_stack(sample(system), BOARD, system)[[3]])


def test_pattern_images_equal_the_weighted_stack():
    system = SYSTEMS["64 = 8 x 8"]
    t = sample(system, 2)
    weights = torch.rand(3, BOARD.n_leds, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights[0, ::2] = 0
    weights[1] = 0
    expected = torch.einsum("cl,blyx->bcyx", weights, led_stack(t, BOARD, system, defocus_um=1.0))
    images = pattern_stack(t, BOARD, system, weights, defocus_um=1.0)
    # sums of a dozen float64 terms
    torch.testing.assert_close(images, expected, rtol=1e-12, atol=1e-14)
    assert not images[:, 1].any()


def test_large_pupils_are_tabulated_in_parts(monkeypatch: pytest.MonkeyPatch):
    system = SYSTEMS["64 = 8 x 8"]
    t = sample(system, 2)
    whole = led_stack(t, BOARD, system, defocus_um=5.0)
    monkeypatch.setattr("lsm.optics.forward.TABLE_BINS", 5 * 31**2)
    for grad in (False, True):
        assert torch.equal(led_stack(t.clone().requires_grad_(grad), BOARD, system, defocus_um=5.0), whole)


def test_sides_with_other_factors_are_left_to_torch():
    system = ImagingSystem(sample_px=4 * 22)
    assert _native.radices(system.computed_px) == ()
    assert led_stack(sample(system), BOARD, system).shape == (12, 22, 22)


def test_kernel_works_in_a_forked_child_after_its_parent_used_threads():
    program = """
import os, torch
from lsm.illum import LedBoard
from lsm.optics import ImagingSystem, _native, led_stack
torch.set_num_threads(2)
system, board = ImagingSystem(sample_px=64), LedBoard.grid(rows=3, columns=3, pitch_mm=5, distance_mm=60)
t = torch.ones(64, 64, dtype=torch.complex64)
led_stack(t, board, system)
child = os.fork()
if child == 0:
    _native.share_out(4, lambda thread, first, end: 0)
    torch.set_num_threads(1)  # as torch's own data loaders do: its OpenMP does not survive a fork
    os._exit(0 if float(led_stack(t, board, system).max()) > 0.9 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_turning_the_kernel_off_gives_the_torch_program():
    program = "from lsm.optics import _native; print(_native.instruction_set())"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"LSM_NATIVE": "0"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "none"
