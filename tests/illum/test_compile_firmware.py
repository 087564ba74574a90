"""Compiled light on the real firmware: it shows every frame as it is, at the current that was predicted."""

from pathlib import Path

import numpy as np
import pytest

from lsm.illum import Drive, LedBoard, compile_light
from lsm.led import LedBoardClient
from lsm_sim.board import NativeBoard

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.mark.parametrize("changes", [{}, {"level_bits": 1, "max_patterns": 30}], ids=["8 bits", "1 bit"])
def test_the_board_shows_each_frame_without_scaling_it(tmp_path: Path, changes: dict[str, int]):
    weights = np.random.default_rng(11).uniform(-0.3, 1.0, size=(169, 3))
    drive = Drive.of_firmware(BOARD).model_copy(update=changes)
    light = compile_light(BOARD, weights, drive, exposure_ms=10.0, tolerance=0.02)
    # near enough to the limit for a mistake of a few percent to be scaled
    assert light.peak_current_ma > 0.95 * drive.max_ma
    with NativeBoard(run_dir=tmp_path) as native, LedBoardClient(native.open_transport(), BOARD) as client:
        assert client.hello.limit_ma == drive.max_ma
        for frame in light.frames:
            shown = client.show(frame.pattern, hold_ms=100.0)
            assert not shown.limited
            np.testing.assert_array_equal(native.lit(), frame.pattern.levels)
            assert client.status().current_ma == np.ceil(frame.current_ma)
        # without the limit, the same weights are too bright
        bright = compile_light(BOARD, weights, Drive(), exposure_ms=10.0).frames[0]
        assert client.show(bright.pattern, hold_ms=100.0).limited
