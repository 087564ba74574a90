"""Levels as requests: nothing is lost, nothing is too long, and few bytes are used."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import WrongFormat
from lsm.led._constants import Command
from lsm.led._upload import pack, write_requests
from lsm.led.protocol import encode_request

N_LEDS = st.integers(1, 70)


@st.composite
def lights(draw: st.DrawFn) -> np.ndarray:
    """Levels [led, colour] of every kind that boards are shown."""
    n_leds = draw(N_LEDS)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["dark", "full", "on_off", "tinted", "grey", "colours", "few"]))
    levels = np.zeros((n_leds, 3), dtype=np.uint8)
    channels = rng.random(3) < 0.5
    match kind:
        case "full":
            levels[:] = 255
        case "on_off":
            levels[:, channels] = ((rng.random(n_leds) < 0.5) * rng.integers(1, 256))[:, None]
        case "tinted":
            levels[:] = (rng.random(n_leds) < 0.5)[:, None] * rng.integers(0, 256, 3)
        case "grey":
            levels[:, channels] = rng.integers(0, 256, n_leds)[:, None]
        case "colours":
            levels[:] = rng.integers(0, 256, levels.shape)
        case "few":
            levels[rng.integers(0, n_leds, 2)] = rng.integers(0, 256, (2, 3))
    return levels


def obeyed(requests: list[tuple[Command, bytes]], n_leds: int) -> np.ndarray:
    """The frame buffer behind the requests, by PROTOCOL.md; it held noise before."""
    frame = np.full((n_leds, 3), 77)
    for command, payload in requests:
        if command is Command.FB_FILL:
            first, count, *colour = struct.unpack("<HH3B", payload)
            frame[first : first + count] = colour
        elif command is Command.FB_SPARSE:
            assert payload[0] == 24
            for led, *colour in struct.iter_unpack("<H3B", payload[4:]):
                frame[led] = colour
        else:
            bits, *colour, first = struct.unpack("<4BH", payload[:6])
            data = np.frombuffer(payload[6:], dtype=np.uint8)
            if bits == 24:
                part = data.reshape(-1, 3)
            else:
                level = data if bits == 8 else np.unpackbits(data, bitorder="little")[: n_leds - first] * 255
                part = (level[:, None].astype(int) * colour + 127) // 255
            frame[first : first + len(part)] = part
    return frame


@given(levels=lights(), max_frame=st.integers(40, 300))
def test_the_frame_buffer_holds_exactly_the_levels(levels: np.ndarray, max_frame: int):
    requests = write_requests(levels, max_frame=max_frame, channels=3)
    np.testing.assert_array_equal(obeyed(requests, len(levels)), levels)
    for command, payload in requests:
        encode_request(0, command, payload, max_frame=max_frame)  # raises when too long


@given(levels=lights(), max_frame=st.integers(40, 300))
def test_a_board_of_one_channel_gets_one_colour_or_nothing(levels: np.ndarray, max_frame: int):
    bits, _, _ = pack(levels)
    if bits == 24:
        with pytest.raises(WrongFormat):
            write_requests(levels, max_frame=max_frame, channels=1)
        return
    requests = write_requests(levels, max_frame=max_frame, channels=1)
    np.testing.assert_array_equal(obeyed(requests, len(levels)), levels)
    colours = {payload[1:4] for _, payload in requests}
    assert len(colours) == 1


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_a_grey_light_of_1024_leds_takes_at_most_a_twentieth_more_than_its_levels(seed: int):
    levels = np.zeros((1024, 3), dtype=np.uint8)
    levels[:, 1] = np.random.default_rng(seed).integers(0, 256, 1024)
    requests = [*write_requests(levels, max_frame=2048, channels=3), (Command.SHOW, bytes(4))]
    assert sum(len(encode_request(0, *request)) for request in requests) <= 1.05 * 1024
