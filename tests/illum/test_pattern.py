"""Patterns: values, identity and presets."""

import numpy as np
import pytest

from lsm.errors import ConfigError, WrongFormat
from lsm.illum import (
    LedBoard,
    Pattern,
    annulus,
    bright_field,
    dark,
    dark_field,
    half_disc,
    single_led,
)

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


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


def test_wrong_sizes_of_pattern_bytes_are_refused():
    with pytest.raises(WrongFormat, match="bytes"):
        Pattern(BOARD.digest, 3, b"\x00" * 5)
