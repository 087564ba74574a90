"""What is trained is what a board of few levels and little current can show."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sensing_phantom import BOARD, LIGHT, SMALL, phantom_fields

from lsm.errors import ConfigError, FileMissing, ModelMismatch
from lsm.illum import Drive, LedBoard, LightCapture, LightFile, Pattern, bright_field, compile_light
from lsm.illum.pattern import GREEN
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.drivable import drivable, least_level, quantise
from lsm.sensing.illumination import IlluminationConfig, IlluminationLayer, given_duty
from lsm.sensing.training import SensingModel, TrainingConfig, train_sensing

INWARDS = torch.arange(25)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(**changes: object) -> IlluminationLayer:
    config = IlluminationConfig.from_table({"bright_na": 0.13, "starts": ("half_x", "random", "all"), **changes})
    return IlluminationLayer(BOARD, config, generator())


def light_file(path: Path, levels: np.ndarray, *, board: LedBoard = BOARD, colour: int = GREEN) -> Path:
    captures = []
    for k, row in enumerate(levels):
        full = np.zeros((board.n_leds, 3), np.uint8)
        full[:, colour] = row
        captures.append(LightCapture.of(full, exposure_ms=10.0, sign=1 - 2 * (k % 2), name=f"c{k}"))
    LightFile.of(board, captures).save(path)
    return path


@pytest.mark.parametrize("bits", range(1, 9))
def test_a_level_of_few_bits_comes_out_of_a_board_of_so_many_bits(bits: int):
    """A board that resolves fewer bits takes the upper ones of the 8 that it is sent."""
    full = 2**bits - 1
    levels = (quantise(torch.linspace(0, 1, 1001), bits) * 255).round().to(torch.int64)
    assert len(set(levels.tolist())) == full + 1
    assert torch.equal(levels >> (8 - bits), (torch.linspace(0, 1, 1001) * full).round().to(torch.int64))
    assert int(levels.max()) == 255
    assert least_level(bits) == min(set(levels.tolist()) - {0})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**31), st.floats(0.01, 3.0))
def test_no_capture_draws_more_than_allowed_and_no_current_is_left_unused(bits: int, seed: int, share: float):
    duty = torch.rand(3, 25, generator=generator(seed)) ** 3
    most = max(255 // (2**bits - 1), int(share * float(duty.sum(dim=1).median()) * 255))
    levels = (drivable(duty, bits, most=most, preferred=INWARDS) * 255).round().to(torch.int64)
    assert int(levels.sum(dim=1).max()) <= most
    assert bool(((-levels * (2**bits - 1)) % 255 < 2**bits - 1).all())
    step = -(-255 // (2**bits - 1))
    bound = duty.sum(dim=1) * 255 > most
    # short of the limit by less than the next level, where more was asked for
    assert bool((levels.sum(dim=1)[bound] > most - step).all())


def test_within_the_limit_nothing_is_changed():
    duty = torch.rand(3, 25, generator=generator())
    for bits in (1, 3, 8):
        assert torch.equal(drivable(duty, bits, most=25 * 255, preferred=INWARDS), quantise(duty, bits))


def test_one_bit_keeps_the_strongest_leds():
    duty = torch.linspace(0.6, 1.0, 25)[None]
    lit = drivable(duty, 1, most=5 * 255 + 100, preferred=INWARDS)[0]
    assert torch.nonzero(lit)[:, 0].tolist() == [20, 21, 22, 23, 24]


def test_the_gradient_is_that_of_the_scaling_and_passes_the_rounding():
    duty = (0.2 + 0.6 * torch.rand(2, 25, generator=generator(), dtype=torch.float64)).requires_grad_()
    slopes = torch.randn(2, 25, generator=generator(1), dtype=torch.float64)
    most = 1000
    (drivable(duty, 4, most=most, preferred=INWARDS) * slopes).sum().backward()
    smooth = duty.detach().clone().requires_grad_()
    (smooth * (most / 255) / smooth.sum(dim=1, keepdim=True) * slopes).sum().backward()
    # the same few float64 operations in another order
    assert torch.allclose(duty.grad, smooth.grad, atol=1e-14)
    assert bool((duty.grad != 0).all())


@pytest.mark.parametrize("bits", [1, 8])
def test_the_limit_is_that_of_the_firmwares_drive(bits: int):
    limited = layer(max_ma=95.0, bits=bits)
    free = layer(bits=bits)
    for levels, asked in zip(limited.levels(), free.levels(), strict=True):
        pattern = Pattern.of_colour(BOARD, levels.numpy() / 255.0)
        light = compile_light(
            BOARD,
            pattern.duty,
            Drive.of_firmware(BOARD, limit_ma=95.0),
            exposure_ms=10.0,
            keep_exposure=True,
            exposure_limits_ms=(1.0, 1000.0),
        )
        assert light.scale == 1.0
        assert light.peak_current_ma <= 95.0
        assert light.peak_current_ma > (70.0 if int(asked.int().sum()) * 20 / 255 > 95 else 0.0)
    assert any(int(levels.int().sum()) * 20 / 255 > 95 for levels in free.levels())


def test_a_bright_field_that_must_be_dimmed_keeps_to_the_axis():
    levels = layer(max_ma=60.0, bits=1).levels()[0]
    assert int((levels > 0).sum()) == 3
    assert bool(levels[12])
    evenly = layer(max_ma=60.0).levels()[0]
    assert int((evenly > 0).sum()) == 5
    assert int(evenly[evenly > 0].max() - evenly[evenly > 0].min()) <= 1


@pytest.mark.parametrize(("bits", "max_ma"), [(1, 19.0), (8, 0.07)])
def test_a_limit_below_a_single_leds_least_level_is_refused(bits: int, max_ma: float):
    with pytest.raises(ConfigError, match="no LED") as told:
        layer(bits=bits, max_ma=max_ma)
    assert "raise max_ma" in told.value.hint


@pytest.mark.parametrize("wrong", [{"bits": 0}, {"bits": 9}, {"max_ma": 0.0}, {"max_ma": -5.0}])
def test_impossible_options_are_refused(wrong: dict[str, float]):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        layer(**wrong)


def test_what_is_not_used_is_no_part_of_the_digest():
    given_defaults = {"light": "", "light_digest": "", "bits": 8, "max_ma": None}
    assert IlluminationConfig.from_table(given_defaults).digest() == IlluminationConfig().digest()
    changed = [{"bits": 4}, {"max_ma": 100.0}, {"light": "a.json"}, {"light": "a.json", "light_digest": "x"}]
    digests = [IlluminationConfig.from_table(table).digest() for table in changed]
    assert len({*digests, IlluminationConfig().digest()}) == 5
    for table in changed:
        config = IlluminationConfig.from_table(table)
        assert IlluminationConfig.from_table(config.model_dump(mode="json")) == config


def test_the_captures_of_a_light_file_are_trained_for_as_they_are(tmp_path: Path):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (3, 25), dtype=np.uint8)
    levels[1] = bright_field(BOARD, na=0.13).levels[:, GREEN]
    path = light_file(tmp_path / "light.json", levels)
    config = IlluminationConfig.from_table({"light": str(path), "bright_na": 0.13})
    model = SensingModel(LIGHT, config, ExposureConfig(), SMALL, generator())
    assert model.n_patterns == 3
    training = TrainingConfig(steps=1, fields_per_step=1, cells_per_field=8)
    train_sensing(model, phantom_fields(1), training, generator())
    assert np.array_equal(model.illumination.levels().numpy(), levels[[1, 0, 2]])
    further = IlluminationConfig.from_table({"light": str(path), "bright_na": 0.13, "starts": ["half_x"]})
    assert IlluminationLayer(BOARD, further, generator()).levels().shape == (4, 25)


def test_a_light_that_does_not_fit_the_design_is_refused(tmp_path: Path):
    def config(path: Path, **more: object) -> IlluminationConfig:
        return IlluminationConfig.from_table({"light": str(path), "bright_na": 0.13, **more})

    some = np.full((2, 25), 9, np.uint8)
    good = light_file(tmp_path / "good.json", some)
    digest = LightFile.load(good).light_digest
    assert given_duty(BOARD, config(good, light_digest=digest)).shape == (2, 25)
    with pytest.raises(ModelMismatch, match="names 0123"):
        given_duty(BOARD, config(good, light_digest="0123"))
    with pytest.raises(ConfigError, match="other colours"):
        given_duty(BOARD, config(light_file(tmp_path / "red.json", some, colour=0)))
    bright = bright_field(BOARD, na=0.13).levels[:, GREEN]
    with pytest.raises(ConfigError, match="0 captures"):
        given_duty(BOARD, config(light_file(tmp_path / "bright.json", bright[None])))
    with pytest.raises(ConfigError, match="8 captures"):
        given_duty(BOARD, config(light_file(tmp_path / "many.json", np.full((8, 25), 9, np.uint8))))
    with pytest.raises(FileMissing):
        given_duty(BOARD, config(tmp_path / "none.json"))
    other = LedBoard.grid(rows=5, columns=5, pitch_mm=7.0, distance_mm=50.0)
    with pytest.raises(ModelMismatch, match="designed for LED board"):
        given_duty(other, config(good))
