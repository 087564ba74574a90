"""A board that is unplugged, plugged in, rebooted, or whose line falls silent for a while."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lines import DisturbedLine, lost

from lsm.errors import IlluminatorError, IlluminatorTimeout
from lsm.illum import LedBoard, bright_field, single_led
from lsm.led import Edge, LedBoardClient, SequencePlan
from lsm_sim.board import NativeBoard

pytestmark = pytest.mark.firmware

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
CENTRE = bright_field(BOARD, na=0.1)
REPLY_S = 0.1
RECOVERY_S = 1.0


@pytest.fixture
def rebooting(tmp_path: Path) -> Iterator[list[NativeBoard]]:
    """The board that is plugged in; the port keeps its name, as links in /dev/serial/by-id do."""
    boards = [NativeBoard(run_dir=tmp_path)]
    yield boards
    for board in boards:
        board.close()


def replugged(boards: list[NativeBoard], tmp_path: Path) -> NativeBoard:
    boards[-1].close()
    boards.append(NativeBoard(run_dir=tmp_path))
    return boards[-1]


def test_a_board_that_was_unplugged_is_found_again_on_its_port(rebooting: list[NativeBoard], tmp_path: Path):
    with LedBoardClient(rebooting[0].open_transport(), BOARD, reply_s=REPLY_S, limit_ma=500) as client:
        client.show(CENTRE, hold_ms=10.0)
        rebooting[0].close()
        with pytest.raises(IlluminatorTimeout, match="gone"):
            client.show(CENTRE, hold_ms=10.0)
        native = replugged(rebooting, tmp_path)
        began = time.monotonic()
        shown = client.show(single_led(BOARD, 7), hold_ms=10.0)
        assert time.monotonic() - began < RECOVERY_S
        np.testing.assert_array_equal(native.lit(), single_led(BOARD, 7).levels)
        assert client.still_lit(shown)
        assert client.status().limit_ma == 500  # what was asked of the board before is asked again


def test_a_light_from_before_the_reboot_is_not_still_lit(rebooting: list[NativeBoard], tmp_path: Path):
    with LedBoardClient(rebooting[0].open_transport(), BOARD, reply_s=REPLY_S) as client:
        shown = client.show(CENTRE, hold_ms=10.0)
        replugged(rebooting, tmp_path)
        assert not client.still_lit(shown)


def test_another_board_on_the_port_is_refused(rebooting: list[NativeBoard], tmp_path: Path):
    with LedBoardClient(rebooting[0].open_transport(), BOARD, reply_s=REPLY_S) as client:
        rebooting[0].close()
        rebooting.append(NativeBoard(rows=5, columns=5, run_dir=tmp_path))
        with pytest.raises(IlluminatorError, match="Another board"):
            client.show(CENTRE, hold_ms=10.0)
        assert not rebooting[-1].lit().any()


def test_a_sequence_is_not_believed_to_survive_a_reboot(rebooting: list[NativeBoard], tmp_path: Path):
    with LedBoardClient(rebooting[0].open_transport(), BOARD, reply_s=REPLY_S) as client:
        client.sequences.load([CENTRE])
        client.sequences.trigger_in(1, Edge.RISING)
        native = replugged(rebooting, tmp_path)
        client.dark()
        with pytest.raises(IlluminatorError, match="No sequence is stored any more"):
            client.sequences.arm(SequencePlan())
        assert not native.lit().any()
        client.sequences.load([CENTRE])
        client.sequences.arm(SequencePlan())
        native.inject_edges(1, period_us=0, pin=1)  # the pin is set up again
        assert client.sequences.status().index == 0
        np.testing.assert_array_equal(native.lit(), CENTRE.levels)


def test_a_running_sequence_that_is_gone_is_not_reported_as_idle(native: NativeBoard):
    line = DisturbedLine(native.open_transport())
    with LedBoardClient(line, BOARD, reply_s=REPLY_S) as client:
        client.sequences.load([CENTRE] * 3)
        client.sequences.arm(SequencePlan(at_first_step=False))
        line.transport.write(b"x\n")
        time.sleep(0.1)
        with pytest.raises(IlluminatorError, match="is gone"):
            client.sequences.status()


def test_a_question_does_not_end_a_running_sequence(native: NativeBoard):
    line = DisturbedLine(native.open_transport())
    with LedBoardClient(line, BOARD, reply_s=REPLY_S, retries=1) as client:
        client.sequences.load([CENTRE] * 3)
        client.sequences.arm(SequencePlan(at_first_step=False))
        line.write_filter = lost
        with pytest.raises(IlluminatorTimeout):
            client.status()
        line.write_filter = None
        client.status()
        assert client.sequences.status().index == 0
        np.testing.assert_array_equal(native.lit(), CENTRE.levels)


def test_a_board_that_rebooted_unseen_arms_nothing(rebooting: list[NativeBoard], tmp_path: Path):
    with LedBoardClient(rebooting[0].open_transport(), BOARD, reply_s=REPLY_S) as client:
        client.sequences.load([CENTRE])
        replugged(rebooting, tmp_path)
        with pytest.raises(IlluminatorTimeout, match="gone"):
            client.sequences.arm(SequencePlan(at_first_step=False))
        assert not rebooting[-1].lit().any()


@pytest.mark.parametrize("silent_s", [0.05, 0.5, 3.0])
def test_a_line_that_was_silent_works_within_a_second_of_its_return(native: NativeBoard, silent_s: float):
    line = DisturbedLine(native.open_transport())
    with LedBoardClient(line, BOARD, reply_s=REPLY_S) as client:
        line.read_filter = line.write_filter = lost
        end = time.monotonic() + silent_s
        while time.monotonic() < end:
            with pytest.raises(IlluminatorTimeout):
                client.show(CENTRE, hold_ms=10.0)
        line.read_filter = line.write_filter = None
        began = time.monotonic()
        shown = client.show(CENTRE, hold_ms=10.0)
        assert time.monotonic() - began < RECOVERY_S
        assert client.still_lit(shown)
