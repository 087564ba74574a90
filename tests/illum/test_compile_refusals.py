"""A light that cannot be shown well enough, and input that is none, is refused in a sentence that helps."""

import numpy as np
import pytest
import torch

from lsm.errors import ConfigError, InputError, LimitExceeded, WrongFormat
from lsm.illum import Drive, LedBoard, compile_light

BOARD = LedBoard.grid(rows=4, columns=5, pitch_mm=3.0, distance_mm=50.0)
LARGE = LedBoard.grid(rows=32, columns=32, pitch_mm=3.0, distance_mm=50.0)


def test_an_image_that_would_be_useless_is_refused_unless_it_is_accepted():
    asked = np.random.default_rng(0).normal(size=(1024, 3))
    on_off = Drive(level_bits=1, max_ma=2000)
    with pytest.raises(LimitExceeded, match=r"rms error of 0\.\d+, above the 0\.1 accepted") as refused:
        compile_light(LARGE, asked, on_off, exposure_ms=10.0)
    for way in ("max_patterns of the drive (now 8)", "max_ma (now 2000)", "larger max_rms_error"):
        assert way in refused.value.hint
    assert "tolerance" not in refused.value.hint
    accepted = compile_light(LARGE, asked, on_off, exposure_ms=10.0, max_rms_error=np.inf)
    assert f"rms error of {accepted.rms_error:.3g}," in refused.value.message
    # the error told is the limit: just accepted, and just not
    again = compile_light(LARGE, asked, on_off, exposure_ms=10.0, max_rms_error=accepted.rms_error)
    assert again.frames == accepted.frames
    with pytest.raises(LimitExceeded):
        compile_light(LARGE, asked, on_off, exposure_ms=10.0, max_rms_error=accepted.rms_error * 0.999)
    # the first way of the hint leads out
    more = on_off.model_copy(update={"max_patterns": 64})
    assert compile_light(LARGE, asked, more, exposure_ms=10.0).rms_error <= 0.1


def test_many_faint_leds_count_as_much_as_a_bright_one():
    asked = np.full(1024, 0.1)
    asked[0] = 1.0
    # no LED is wrong by more than a tenth of the largest weight, and yet nearly all light is missing
    on_off = Drive(level_bits=1, max_patterns=1)
    assert compile_light(LARGE, asked, on_off, exposure_ms=10.0, max_rms_error=np.inf).max_error <= 0.1 + 1e-9
    with pytest.raises(LimitExceeded, match="rms error"):
        compile_light(LARGE, asked, on_off, exposure_ms=10.0)


def test_the_hint_names_what_made_the_light_bad():
    asked = np.linspace(0.5, 1.0, 20)
    with pytest.raises(LimitExceeded) as tolerated:
        compile_light(BOARD, asked, Drive(level_bits=1), exposure_ms=10.0, tolerance=0.5)
    assert "lower tolerance (now 0.5)" in tolerated.value.hint
    assert "max_ma" not in tolerated.value.hint
    with pytest.raises(LimitExceeded) as kept:
        compile_light(BOARD, asked / 1000, Drive(), exposure_ms=10.0, keep_exposure=True)
    assert "do without keep_exposure" in kept.value.hint
    with pytest.raises(LimitExceeded) as short:
        compile_light(BOARD, asked, Drive(level_bits=1), exposure_ms=0.01)
    assert "more light than 0.01 ms" in short.value.hint


@pytest.mark.parametrize("given", [[0.0, -1.0] * 10, [1, 0] * 10, torch.linspace(-1, 1, 20), np.arange(20) > 3])
def test_whatever_numpy_reads_as_numbers_is_an_array_of_weights(given: list[float] | torch.Tensor | np.ndarray):
    light, same = (
        compile_light(BOARD, weights, Drive(), exposure_ms=10.0)
        for weights in (given, np.asarray(given, dtype=np.float64))
    )
    assert light.frames == same.frames
    assert light.max_error <= 0.5 / 255


@pytest.mark.parametrize(
    "given",
    [
        torch.zeros(20, requires_grad=True),
        torch.zeros(20, dtype=torch.bfloat16),
        [[1.0], [1.0, 2.0]],
        ["bright"] * 20,
        np.ones(20, dtype=complex),
        np.array([None] * 20),
    ],
    ids=["trained tensor", "bfloat16", "ragged", "words", "complex", "objects"],
)
def test_weights_that_are_no_numbers_are_refused(given: object):
    with pytest.raises(WrongFormat, match=r"are not an array of real numbers.*detach\(\)\.cpu\(\)\.double\(\)\.numpy"):
        compile_light(BOARD, given, Drive(), exposure_ms=10.0)


@pytest.mark.parametrize("given", [3.0, [], np.ones((20, 3, 1))], ids=["scalar", "empty", "three axes"])
def test_weights_of_another_shape_are_refused(given: float | list[float] | np.ndarray):
    with pytest.raises(WrongFormat, match="one finite weight for each of 20 LEDs"):
        compile_light(BOARD, given, Drive(), exposure_ms=10.0)


def test_the_hint_for_a_trained_tensor_leads_out():
    weights = torch.linspace(0, 1, 20, dtype=torch.bfloat16, requires_grad=True)
    light = compile_light(BOARD, weights.detach().cpu().double().numpy(), Drive(), exposure_ms=10.0)
    assert light.max_error <= 0.5 / 255


@pytest.mark.parametrize("value", [-1.0, -1e-9, float("nan")])
@pytest.mark.parametrize("key", ["tolerance", "max_rms_error"])
def test_an_error_below_zero_cannot_be_accepted(key: str, value: float):
    with pytest.raises(ConfigError, match=f"{key} = .* 0 or more"):
        compile_light(BOARD, np.ones(20), Drive(), exposure_ms=10.0, **{key: value})


@pytest.mark.parametrize("bits", [-1, 0, 3, 5, 6, 7, 9, 10, 12, 16])
def test_a_drive_has_only_levels_that_a_pattern_carries(bits: int):
    with pytest.raises(ConfigError, match=f"'level_bits' = {bits} is not valid.*1, 2, 4 or 8 bits"):
        Drive.from_table({"level_bits": bits})


@pytest.mark.parametrize(
    ("connected", "named"),
    [({"limit_ma": 0.0}, "max_ma"), ({"limit_ma": -5.0}, "max_ma"), ({"frame_channels": 2}, "frame_channels")],
)
def test_a_board_that_tells_nonsense_has_no_drive(connected: dict[str, float], named: str):
    with pytest.raises(InputError, match=named):
        Drive.of_firmware(BOARD, **connected)
