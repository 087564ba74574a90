"""The light layer of cell experiments: fixed lights by name, what is learned, and what a board can show of it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError
from lsm.illum import Drive, LedBoard
from lsm.sensing.cells.light import CellLight, CellLightConfig, Lamps, split_captures
from lsm.sensing.cells.shown import compiled_weights, light_file

BOARD = LedBoard.grid(rows=9, columns=9, pitch_mm=3.0, distance_mm=50.0)


def lamps(colours: tuple[int, ...] = (1,), na: float = 0.1) -> Lamps:
    return Lamps(BOARD, np.tile(np.arange(81), len(colours)), np.repeat(np.array(colours), 81), na)


def light(of: Lamps | None = None, seed: int = 0, **keys: object) -> CellLight:
    config = CellLightConfig.model_validate(keys)
    return CellLight(of or lamps(), config, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("kind", "lit", "where"),
    [
        ("centre", 1, lambda na: na < 1e-9),
        ("bright field", 9, lambda na: na <= 0.1),
        ("all LEDs", 81, lambda na: na >= 0),
        ("dark field", 72, lambda na: na > 0.1),
        # the corners are at NA 0.32: nearer to that than to 0.1 are 44 LEDs
        ("outer dark field", 44, lambda na: na > 0.21),
    ],
)
def test_a_fixed_light_shines_where_its_name_says(kind: str, lit: int, where: Callable):
    weights = light(kind=kind)()[0].numpy()
    assert (weights > 0).sum() == lit
    assert where(lamps().na[weights > 0]).all()


def test_the_phase_contrast_lights_subtract_what_the_paper_subtracts():
    ring = light(kind="PC ring")()[0].numpy()
    na = lamps().na
    assert (ring[na <= 0.1] == -1).all()
    assert set(ring[(na > 0.1) & (na <= 0.22)]) == {1.0}
    pair = light(kind="PC +/-")()[0].numpy()
    plus, minus = int(pair.argmax()), int(pair.argmin())
    assert np.allclose(BOARD.directions[plus, :2], -BOARD.directions[minus, :2])
    assert light(kind="off-axis")()[0].numpy().argmax() == plus
    assert na[plus] <= 0.1


def test_a_signed_light_is_two_captures_and_any_other_one():
    parts, channel, sign = split_captures(light(kind="PC ring")())
    assert (len(parts), channel.tolist(), sign.tolist()) == (2, [0, 0], [1.0, -1.0])
    assert bool((parts >= 0).all())
    assert len(split_captures(light(kind="dark field")())[0]) == 1
    assert len(split_captures(light(captures=2, signed=True)())[0]) == 4


def test_every_colour_lights_its_own_lamps_alone():
    weights = light(lamps((0, 1, 2)), colours=(0, 2), kind="all LEDs")()
    assert weights.shape == (2, 243)
    assert bool((weights[0, :81] == 1).all())
    assert bool((weights[0, 81:] == 0).all())
    assert bool((weights[1, 162:] == 1).all())


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_learned_weights_are_levels_of_the_board_and_pass_their_gradient(bits: int, signed: bool):
    learned = light(bits=bits, signed=signed)
    weights = learned()
    levels = weights.detach() * (2**bits - 1)
    assert torch.allclose(levels, levels.round(), atol=1e-4)  # float32 of levels up to 255
    torch.autograd.backward((weights**2 + weights).sum())
    assert learned.logits.grad is not None
    assert bool((learned.logits.grad != 0).any())


@pytest.mark.parametrize("bits", [1, 8])
def test_a_current_limit_is_kept_after_rounding_too(bits: int):
    limited = light(start="all LEDs", max_ma=100.0, bits=bits)().detach()
    drawn = 20.0 * float(limited.sum())
    assert 80.0 < drawn <= 100.0


def test_fixed_lights_are_within_the_levels_and_the_current_too():
    levels = light(kind="random")() * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)  # float32 of levels up to 255
    lit = (light(kind="all LEDs", max_ma=100.0)() * 255).round()
    assert 0 < int(lit.sum()) <= 100.0 / 20.0 * 255


def test_a_light_of_no_colour_is_refused():
    with pytest.raises(ConfigError, match="no colour"):
        light(colours=())


def test_a_current_limit_that_no_led_can_meet_is_refused():
    with pytest.raises(ConfigError, match=r"0\.05 mA is below the 0\.0784 mA of one LED"):
        light(max_ma=0.05)


def test_a_start_in_the_dark_field_leaves_the_bright_field_nearly_dark():
    weights = light()()[0].detach().numpy()
    assert weights[lamps().na > 0.1].mean() > 3 * weights[lamps().na <= 0.1].mean()


def test_a_colour_that_the_stack_lacks_is_refused():
    with pytest.raises(ConfigError, match="no images in colour channel 2"):
        light(colours=(2,))


def test_a_light_without_lamps_is_refused():
    coarse = Lamps(LedBoard.grid(rows=3, columns=3, pitch_mm=20.0, distance_mm=50.0), np.arange(9), np.full(9, 1), 0.1)
    with pytest.raises(ConfigError, match="'off-axis' lights no lamp"):
        light(coarse, kind="off-axis")


def test_turned_lamps_are_those_of_their_own_colour():
    rows = lamps((0, 2)).symmetries()
    assert bool((rows[:, :81] < 81).all())
    assert bool((rows[:, 81:] >= 81).all())
    assert bool((rows.sort(dim=1).values == torch.arange(162)).all())


def test_an_asymmetric_choice_of_lamps_cannot_be_turned():
    some = Lamps(BOARD, np.arange(20), np.full(20, 1), 0.1)
    with pytest.raises(ConfigError, match="is not among those chosen"):
        some.symmetries()


def test_what_the_firmware_shows_of_levels_is_what_was_learned():
    learned = light()().detach()
    shown = compiled_weights(learned, lamps(), Drive.of_firmware(BOARD))
    assert torch.allclose(shown / shown.max(), learned / learned.max(), atol=1 / 255)  # one level of eight bits
    one_bit = compiled_weights(light(bits=1)().detach(), lamps(), Drive(level_bits=1, max_ma=5000.0))
    assert set((one_bit / one_bit.max()).flatten().tolist()) <= {0.0, 1.0}


def test_the_file_of_a_signed_light_holds_two_captures_of_its_levels():
    weights = light(kind="PC ring")()
    file = light_file(weights, torch.tensor([500.0, 500.0]), lamps(), flux_e_per_ms=100.0)
    assert [(capture.sign, capture.exposure_ms) for capture in file.captures] == [(1, 5.0), (-1, 5.0)]
    assert np.array_equal(file.captures[1].array[:, 1] > 0, lamps().na <= 0.1)
    assert len(file.patterns(BOARD)) == 2
