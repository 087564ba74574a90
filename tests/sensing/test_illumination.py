"""The learnable light: what it shows is what a board shows, and turning the light with the sample is exact."""

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError
from lsm.illum import LedBoard, bright_field
from lsm.optics import ImagingSystem, led_stack, pattern_image
from lsm.sensing.illumination import (
    IlluminationConfig,
    IlluminationLayer,
    led_symmetries,
    quantise,
    turn,
    turned_duty,
)

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=6.0, distance_mm=50.0)


def layer(seed: int = 0) -> IlluminationLayer:
    return IlluminationLayer(BOARD, IlluminationConfig(bright_na=0.13), torch.Generator().manual_seed(seed))


def test_quantised_duties_are_multiples_of_one_255th():
    duty = torch.rand(7, generator=torch.Generator().manual_seed(0))
    steps = quantise(duty) * 255
    # float32 carries 255 levels to about 255 * 6e-8
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert float((quantise(duty) - duty).abs().max()) <= 0.5 / 255 + 1e-6


def test_the_gradient_passes_the_rounding_unchanged():
    duty = torch.linspace(0.001, 0.999, 50, requires_grad=True)
    slopes = torch.linspace(-2, 3, 50)
    (quantise(duty) * slopes).sum().backward()
    assert torch.equal(duty.grad, slopes)


def test_the_first_pattern_is_bright_field_and_is_not_learned():
    lights = layer()
    expected = bright_field(BOARD, na=0.13).levels[:, 1]
    assert np.array_equal(lights.levels()[0].numpy(), expected)
    lights()[0].sum().backward()
    assert not lights.logits.grad.any()


def test_what_is_trained_with_is_what_the_board_will_show():
    lights = layer()
    # one float32 rounding of level / 255
    assert torch.allclose(lights(), lights.levels().float() / 255, atol=1e-6)


def test_learned_patterns_start_different_from_each_other():
    levels = layer().levels().float()
    assert min(float((levels[i] - levels[j]).abs().mean()) for i in range(4) for j in range(i)) > 10


def test_a_board_without_led_inside_the_objective_is_refused():
    with pytest.raises(ConfigError, match="No LED"):
        IlluminationLayer(
            LedBoard.grid(rows=2, columns=2, pitch_mm=40.0, distance_mm=20.0),
            IlluminationConfig(),
            torch.Generator().manual_seed(0),
        )


@pytest.mark.parametrize("k", range(8))
def test_turning_light_and_sample_together_turns_the_image_exactly(k: int):
    """The augmentation is physics, not an approximation: the optics give the same image to rounding."""
    system = ImagingSystem(sample_px=96)
    generator = torch.Generator().manual_seed(k)
    amplitude = 0.5 + 0.5 * torch.rand(96, 96, generator=generator, dtype=torch.float64)
    phase = torch.rand(96, 96, generator=generator, dtype=torch.float64)
    sample = torch.polar(amplitude, phase)
    duty = torch.rand(2, BOARD.n_leds, generator=generator, dtype=torch.float64)
    direct = pattern_image(led_stack(turn(sample, k).contiguous(), BOARD, system), duty)
    lit = turned_duty(duty, led_symmetries(BOARD), k)
    turned = turn(pattern_image(led_stack(sample, BOARD, system), lit), k)
    # float64 transforms of 96 x 96 points: a few hundred ulp of values near 10
    assert float((direct - turned).abs().max()) < 1e-12
    # the light matters: leaving it where it was is wrong by far more
    still = turn(pattern_image(led_stack(sample, BOARD, system), duty), k)
    assert k == 0 or float((direct - still).abs().max()) > 1e-3


def test_the_eight_symmetries_differ_and_are_permutations():
    rows = led_symmetries(BOARD)
    assert torch.equal(rows.sort(dim=1).values, torch.arange(25).expand(8, 25))
    assert len({tuple(row.tolist()) for row in rows}) == 8


def test_a_board_without_the_symmetry_is_refused():
    with pytest.raises(ConfigError, match="not symmetric"):
        led_symmetries(LedBoard.grid(rows=3, columns=5, pitch_mm=3.0, distance_mm=50.0))
