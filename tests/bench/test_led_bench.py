"""The text that the benchmark compares with gives the same light."""

from pathlib import Path

import numpy as np
import pytest

from lsm.bench.led import LINE_BYTES, text_commands
from lsm.illum import LedBoard, Pattern
from lsm_sim.board import NativeBoard

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


@pytest.mark.firmware
def test_text_lights_the_same_levels(tmp_path: Path):
    levels = np.random.default_rng(0).integers(0, 20, (169, 3))
    with NativeBoard(run_dir=tmp_path) as native:
        transport = native.open_transport()
        for command in text_commands(Pattern.of(BOARD, levels / 255)):
            assert len(command) <= LINE_BYTES
            transport.write(command.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"-==-\n"):
                answer += transport.read(5.0)
            assert b"ERROR" not in answer
        transport.close()
        np.testing.assert_array_equal(native.lit(), levels)
