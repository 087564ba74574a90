"""Patterns: values, identity, presets and what a board can show of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import (
    DriveLimits,
    LedBoard,
    Pattern,
    annulus,
    bright_field,
    compile_pattern,
    dark,
    dark_field,
    half_disc,
    single_led,
    split_signed,
)

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
duties = st.lists(st.floats(0, 1), min_size=169, max_size=169).map(np.array)


def test_bright_and_dark_field_share_the_board_without_overlap():
    bright, outside = bright_field(BOARD, na=0.1).duty, dark_field(BOARD, na=0.1).duty
    assert (bright > 0).sum() == 9
    assert (bright > 0).sum() + (outside > 0).sum() == BOARD.n_leds
    assert not ((bright > 0) & (outside > 0)).any()


def test_presets_light_green_only():
    for pattern in (bright_field(BOARD, na=0.1), annulus(BOARD, na_min=0.2, na_max=0.3), single_led(BOARD, 5)):
        assert pattern.duty[:, [0, 2]].max() == 0


def test_opposite_half_discs_are_mirror_images():
    right = half_disc(BOARD, na=0.1, angle_rad=0.0).duty[:, 1].reshape(13, 13)
    left = half_disc(BOARD, na=0.1, angle_rad=np.pi).duty[:, 1].reshape(13, 13)
    np.testing.assert_array_equal(right[:, ::-1], left)
    assert (np.argwhere(right > 0)[:, 1] > 6).all()


def test_equal_light_is_equal_whatever_its_name():
    one = Pattern.of_colour(BOARD, np.full(169, 0.5), name="a")
    two = Pattern.of_colour(BOARD, np.full(169, 0.5), name="b")
    assert (one, hash(one), one.digest) == (two, hash(two), two.digest)
    assert one != dark(BOARD)


def test_a_pattern_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        dark(BOARD).duty[0, 0] = 1.0


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_impossible_duties_are_refused(value: float):
    with pytest.raises(WrongFormat):
        Pattern.of_colour(BOARD, np.full(169, value))


def test_wrong_board_colour_or_led_is_refused():
    with pytest.raises(WrongFormat):
        Pattern.of(BOARD, np.zeros((4, 3)))
    with pytest.raises(ConfigError):
        Pattern.of_colour(BOARD, np.zeros(169), colour=3)
    with pytest.raises(ConfigError):
        single_led(BOARD, 169)
    with pytest.raises(ConfigError, match="lights no LED"):
        annulus(BOARD, na_min=0.8, na_max=0.9)


@given(duties)
def test_what_is_compiled_is_exactly_what_eight_bits_hold(weights: np.ndarray):
    compiled = compile_pattern(BOARD, weights, limits=DriveLimits())
    # half a level of 255, plus float32 storage
    assert compiled.max_error <= 0.5 / 255 + 1e-6
    np.testing.assert_allclose(compiled.pattern.levels[:, 1] / 255, compiled.pattern.duty[:, 1], atol=1e-6)


@given(duties, st.floats(20, 2000))
def test_the_current_limit_holds_whatever_is_asked(weights: np.ndarray, max_ma: float):
    compiled = compile_pattern(BOARD, weights, limits=DriveLimits(max_ma=max_ma))
    # sums of 169 float64 terms
    assert compiled.current_ma <= max_ma * (1 + 1e-12)


def test_dead_leds_stay_dark_and_count_as_error():
    compiled = compile_pattern(BOARD, np.ones(169), limits=DriveLimits(dead_leds=frozenset({3})))
    assert compiled.pattern.duty[3].max() == 0
    assert compiled.max_error == 1.0


def test_signed_weights_are_refused_and_split_into_two_captures():
    weights = np.linspace(-1, 1, 169)
    with pytest.raises(WrongFormat, match="split_signed"):
        compile_pattern(BOARD, weights, limits=DriveLimits())
    positive, negative = split_signed(weights)
    assert min(positive.min(), negative.min()) == 0
    np.testing.assert_array_equal(positive - negative, weights)


def test_wrong_sizes_of_pattern_bytes_are_refused():
    with pytest.raises(WrongFormat, match="bytes"):
        Pattern(BOARD.digest, 3, b"\x00" * 5)
