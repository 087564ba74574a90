"""How images of any number of channels become red, green and blue."""

import numpy as np
import pytest

from lsm.errors import InputError
from lsm.vision.draw import as_rgb, how_shown


def ramp(channels: int, *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Values that rise from left to right in every channel."""
    return np.broadcast_to(np.linspace(low, high, 201, dtype=np.float32), (channels, 50, 201)).copy()


def test_one_channel_is_grey_between_its_percentiles():
    shown = as_rgb(ramp(1, low=-3.0, high=700.0))
    assert np.ptp(shown.astype(int), axis=2).max() == 0
    # of 201 values the first and last two lie outside the 0.5 and 99.5 percentile
    assert (shown[0, [0, 1]] == 0).all()
    assert (shown[0, [-2, -1]] == 255).all()
    assert shown[0, 100, 0] in (127, 128)


def test_two_equal_channels_are_grey_and_different_ones_green_and_magenta():
    assert np.ptp(as_rgb(ramp(2)).astype(int), axis=2).max() == 0
    mixed = ramp(2)
    mixed[1] = mixed[1, :, ::-1]
    shown = as_rgb(mixed)
    assert shown[0, -1].tolist() == [0, 255, 0]
    assert shown[0, 0].tolist() == [255, 0, 255]


def test_photographs_keep_their_colours_and_dark_or_large_ones_are_stretched_together():
    photograph = np.stack([ramp(1)[0], 0.5 * ramp(1)[0], 0.25 * ramp(1)[0]])
    assert np.abs(as_rgb(photograph)[0, 100].astype(int) - [128, 64, 32]).max() <= 1
    dark = as_rgb(photograph / 100)[0, 100].astype(int)
    assert dark[0] > dark[1] > dark[2]
    assert as_rgb(photograph / 100).max() == 255


@pytest.mark.parametrize("channels", [4, 5, 40])
def test_more_channels_are_three_thirds(channels: int):
    """Each third alone lights one colour."""
    for colour, third in enumerate(np.array_split(np.arange(channels), 3)):
        pixels = np.zeros((channels, 50, 201), dtype=np.float32)
        pixels[third] = ramp(1)
        shown = as_rgb(pixels)
        assert shown[0, -1, colour] == 255
        # channels without contrast are of middle brightness
        assert np.ptp(np.delete(shown, colour, axis=2)) == 0
    assert f"{channels} channels" in how_shown(channels)


def test_chosen_channels_are_shown_in_their_order():
    pixels = np.stack([0.2 * ramp(1)[0], ramp(1)[0], 0.6 * ramp(1)[0], ramp(1)[0]])
    assert (as_rgb(pixels, channels=(1, 2, 0)) == as_rgb(pixels[[1, 2, 0]])).all()
    with pytest.raises(InputError, match="no channel 4: it has 4"):
        as_rgb(pixels, channels=(4,))


def test_even_images_are_of_middle_brightness_and_a_lone_bright_pixel_is_seen():
    assert (as_rgb(np.full((1, 9, 9), 7.0, dtype=np.float32)) == 128).all()
    lone = np.zeros((1, 50, 50), dtype=np.float32)
    lone[0, 3, 4] = 5.0
    assert as_rgb(lone)[3, 4].tolist() == [255, 255, 255]
    assert as_rgb(lone)[10, 10].tolist() == [0, 0, 0]
