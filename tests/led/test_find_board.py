"""From the name of a port to a board that tells its own geometry."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import ConfigError, FileMissing, IlluminatorError
from lsm.illum import bright_field
from lsm.led import LedBoardClient, find_board, open_port
from lsm_sim.board import NativeBoard, read_led_frames


@pytest.mark.firmware
def test_a_board_with_our_firmware_is_driven_by_checked_frames(native: NativeBoard):
    with find_board(native.port) as board:
        assert isinstance(board, LedBoardClient)
        assert board.board.n_leds == 169
        shown = board.show(bright_field(board.board, na=0.1), hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), shown.levels)
    assert not native.lit().any()


@pytest.mark.firmware
def test_a_board_on_the_network(tmp_path: Path):
    with NativeBoard(tcp=True, run_dir=tmp_path) as native, find_board(f"tcp:127.0.0.1:{native.port}") as board:
        assert board.board.n_leds == 169


@pytest.mark.parametrize("where", ["tcp:", "tcp:localhost", "tcp:host:port"])
def test_a_bad_address_is_explained(where: str):
    with pytest.raises(ConfigError, match="no network address"):
        open_port(where)


def test_a_port_that_does_not_exist_is_named():
    with pytest.raises(FileMissing, match="ttyNONE"):
        find_board("/dev/ttyNONE")


@pytest.mark.firmware
@pytest.mark.parametrize("lane", ["apa102", "ws2812"])
def test_both_kinds_of_led_chips_get_the_same_levels(tmp_path: Path, lane: str):
    with NativeBoard(lane=lane, run_dir=tmp_path) as native, find_board(native.port) as board:
        assert not read_led_frames(native.frames_path)[0][1].any()
        duty = np.random.default_rng(2).integers(0, 80, (169, 3)) / 255
        pattern = type(bright_field(board.board, na=0.1)).of(board.board, duty)
        board.show(pattern, hold_ms=10.0)
        np.testing.assert_array_equal(native.lit(), pattern.levels)
        assert isinstance(board, LedBoardClient)
        board.dark()
        assert not native.lit().any()


@pytest.mark.firmware
def test_something_that_is_no_board_is_refused(native: NativeBoard):
    with pytest.raises(IlluminatorError):
        find_board("/dev/ptmx")
