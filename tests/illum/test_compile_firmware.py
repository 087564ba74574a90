"""Compiled light on the real firmware: it shows every frame as it is, at the current that was predicted."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import WrongFormat
from lsm.illum import Drive, LedBoard, compile_light
from lsm.illum.drive import EXACT_BITS
from lsm.led import LedBoardClient
from lsm_sim.board import NativeBoard
from lsm_sim.emulators import AvrBoard

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.mark.parametrize("bits", EXACT_BITS)
def test_the_board_shows_each_frame_without_scaling_it(tmp_path: Path, bits: int):
    weights = np.random.default_rng(11).uniform(-0.3, 1.0, size=(169, 3))
    # as it is, the firmware's 8 bits need one pattern
    changes = {} if bits == 8 else {"level_bits": bits, "max_patterns": 30}
    drive = Drive.of_firmware(BOARD).model_copy(update=changes)
    light = compile_light(BOARD, weights, drive, exposure_ms=10.0, tolerance=0.02)
    peak_ma = int(np.ceil(light.peak_current_ma))
    assert peak_ma <= drive.max_ma
    with NativeBoard(run_dir=tmp_path) as native, LedBoardClient(native.open_transport(), BOARD) as client:
        assert client.hello.limit_ma == drive.max_ma
        # a mistake of one milliampere would be scaled
        client.limit(peak_ma)
        emitted = np.zeros((169, 3))
        for frame in light.frames:
            shown = client.show(frame.pattern, hold_ms=100.0)
            assert not shown.limited
            lit = native.lit()
            np.testing.assert_array_equal(lit, frame.pattern.levels)
            assert client.status().current_ma == np.ceil(frame.current_ma)
            emitted += frame.sign * (lit / 255) * frame.exposure_ms / 10.0
        # of float64 sums of a few terms
        np.testing.assert_allclose(emitted, light.predicted_light, rtol=0, atol=1e-12)
        off = np.abs(emitted - light.scale * weights).max()
        assert light.max_error == pytest.approx(off / (light.scale * np.abs(weights).max()), rel=1e-9)
        client.limit(peak_ma - 1)
        brightest = max(light.frames, key=lambda frame: frame.current_ma)
        assert client.show(brightest.pattern, hold_ms=100.0).limited


def test_a_drive_of_the_connected_board_keeps_its_limit(tmp_path: Path):
    weights = np.random.default_rng(12).uniform(0.0, 1.0, size=(169, 3))
    with (
        NativeBoard(run_dir=tmp_path) as native,
        LedBoardClient(native.open_transport(), BOARD, limit_ma=700) as client,
    ):
        drive = Drive.of_firmware(BOARD, limit_ma=client.status().limit_ma, frame_channels=client.hello.frame_channels)
        assert not drive.one_colour
        light = compile_light(BOARD, weights, drive, exposure_ms=10.0)
        assert 0.9 * 700 < light.peak_current_ma <= 700
        for frame in light.frames:
            assert not client.show(frame.pattern, hold_ms=100.0).limited
        # what the limit at start allows is too much for this board
        unaware = compile_light(BOARD, weights, Drive.of_firmware(BOARD), exposure_ms=10.0).frames[0]
        assert client.show(unaware.pattern, hold_ms=100.0).limited


@pytest.mark.timeout(300)  # a loaded machine compiles and emulates slowly
def test_a_board_of_one_channel_is_given_one_colour_at_a_time(tmp_path: Path):
    board = LedBoard.grid(rows=32, columns=32, pitch_mm=3.0, distance_mm=50.0)
    weights = np.random.default_rng(13).uniform(0.0, 1.0, size=(1024, 3)) * [1.0, 0.0, 0.7]
    with (
        AvrBoard(mono=True, run_dir=tmp_path) as small,
        LedBoardClient(small.open_transport(), board, reply_s=5.0) as client,
    ):
        drive = Drive.of_firmware(board, limit_ma=client.status().limit_ma, frame_channels=client.hello.frame_channels)
        two_colours = drive.model_copy(update={"max_patterns": 2})
        light = compile_light(board, weights, two_colours, exposure_ms=10.0)
        assert len(light.frames) == 2
        for frame in light.frames:
            shown = client.show(frame.pattern, hold_ms=1000.0)
            assert not shown.limited
            np.testing.assert_array_equal(shown.levels, frame.pattern.levels)
        colourful = compile_light(board, weights, Drive.of_firmware(board), exposure_ms=10.0).frames[0]
        with pytest.raises(WrongFormat, match="one colour"):
            client.show(colourful.pattern, hold_ms=1000.0)
