"""Quantising and chunking for illuminate boards."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsm.led._illuminate_plan import (
    PACKET_BYTES,
    count_colours,
    groups_of,
    led_commands,
    packet_command,
    quantise,
)

LEVELS = st.sampled_from([1, 3]).flatmap(
    lambda colours: arrays(np.uint8, st.tuples(st.integers(1, 40), st.just(colours)), fill=st.nothing())
)
LEDS = st.lists(st.integers(0, 1023), min_size=1, max_size=298, unique=True)


def nearest(levels: np.ndarray, steps: int) -> tuple[np.ndarray, float]:
    """Each level's nearest value of an even grid of whole levels, and the largest distance between two of them."""
    grid = np.round(np.arange(steps + 1) * 255 / steps)
    return grid[np.abs(grid - levels[..., None]).argmin(axis=-1)], float(np.diff(grid).max())


def n_colours(levels: np.ndarray) -> int:
    return len({tuple(row) for row in levels.tolist() if any(row)})


@settings(deadline=None)
@given(LEVELS, st.integers(7, 64))
def test_the_finest_grid_with_few_enough_colours_moves_no_level_by_more_than_half_a_step(
    levels: np.ndarray, colours_max: int
):
    rounded = quantise(levels, colours_max=colours_max)
    expected, step = next(
        (grid, step)
        for grid, step in (nearest(levels, steps) for steps in range(255, 0, -1))
        if n_colours(grid) <= colours_max
    )
    np.testing.assert_array_equal(rounded, expected)
    assert count_colours(rounded) == n_colours(rounded) <= colours_max
    assert np.abs(rounded.astype(int) - levels).max() <= step / 2


@settings(deadline=None)
@given(LEVELS, st.integers(7, 64))
def test_what_is_off_stays_off(levels: np.ndarray, colours_max: int):
    assert not quantise(levels, colours_max=colours_max)[levels == 0].any()


@settings(deadline=None)
@given(LEVELS)
def test_few_colours_stay_as_they_are(levels: np.ndarray):
    np.testing.assert_array_equal(quantise(levels, colours_max=40), levels)


def test_grey_levels_get_a_grid_as_fine_as_their_number():
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    rounded = quantise(ramp, colours_max=15)
    np.testing.assert_array_equal(np.unique(rounded), np.arange(16) * 17)
    assert np.abs(rounded.astype(int) - ramp).max() == 8  # half of 17, rounded down to whole levels


@settings(deadline=None)
@given(LEVELS)
def test_groups_hold_every_lit_led_once(levels: np.ndarray):
    drawn = np.zeros_like(levels)
    seen: list[int] = []
    for group in groups_of(levels):
        drawn[list(group.leds)] = group.colour
        seen += group.leds
    np.testing.assert_array_equal(drawn, levels)
    assert sorted(seen) == list(np.flatnonzero(levels.any(axis=1)))


@settings(deadline=None)
@given(LEVELS)
def test_the_dimmest_group_comes_first(levels: np.ndarray):
    light = [sum(group.colour) for group in groups_of(levels)]
    assert light == sorted(light)


@settings(deadline=None)
@given(LEDS)
def test_led_commands_hold_every_led_once_and_fit_a_packet(leds: list[int]):
    commands = led_commands(leds)
    assert [int(number) for command in commands for number in command.split(".")[1:]] == leds
    assert all(command.startswith("l.") and len(command) + 1 <= PACKET_BYTES for command in commands)


@settings(deadline=None)
@given(LEDS)
def test_packets_end_after_a_number(leds: list[int]):
    command = packet_command("ssv", leds)
    name, *numbers = [word for word in command.split(".") if word]
    assert (name, [int(number) for number in numbers]) == ("ssv", leds)
    for boundary in range(PACKET_BYTES, len(command), PACKET_BYTES):
        assert command[boundary - 1].isdigit()
        assert command[boundary] == "."


def test_packets_are_as_full_as_they_can_be():
    assert packet_command("ssv", [7]) == "ssv.7"
    assert len(packet_command("ssv", range(100, 198))) <= -(-(3 + 98 * 4) // PACKET_BYTES) * PACKET_BYTES + PACKET_BYTES


@pytest.mark.parametrize("n_colours", [1, 3])
def test_the_coarsest_grid_is_on_or_off(n_colours: int):
    levels = np.random.default_rng(1).integers(0, 256, (500, n_colours)).astype(np.uint8)
    rounded = quantise(levels, colours_max=2**n_colours - 1)
    np.testing.assert_array_equal(rounded, np.where(levels > 127, 255, 0))
