"""Ports: free, taken, missing, gone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lsm.errors import FileMissing, IlluminatorTimeout, PortBusy
from lsm.illum import LedBoard, bright_field
from lsm.led import LedBoardClient, SerialTransport, SocketTransport, Transport
from lsm_sim.board import NativeBoard

pytestmark = pytest.mark.firmware

HOLDER = """
import serial, sys
port = serial.Serial(sys.argv[1], exclusive=True)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_port_held_by_this_program_is_busy(native: NativeBoard):
    first = SerialTransport(native.port)
    with pytest.raises(PortBusy, match="Another program"):
        SerialTransport(native.port)
    first.close()
    SerialTransport(native.port).close()


def test_a_port_held_by_another_program_is_busy(native: NativeBoard):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, native.port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(PortBusy):
        SerialTransport(native.port)
    other.communicate()
    SerialTransport(native.port).close()


def test_a_missing_port_is_named():
    with pytest.raises(FileMissing, match="ttyNONE"):
        SerialTransport("/dev/ttyNONE0")


def test_something_that_is_no_port_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileMissing, match="no serial port"):
        SerialTransport(str(tmp_path / "file"))


def test_nothing_behind_an_address_is_named():
    with pytest.raises(FileMissing, match="No LED board answers"):
        SocketTransport("127.0.0.1", 1)


def test_reading_waits_no_longer_than_asked(native: NativeBoard):
    transport = native.open_transport()
    assert transport.read(0.0) == b""
    assert transport.read(0.01) == b""
    transport.close()
    transport.close()


@pytest.mark.parametrize("tcp", [False, True])
def test_a_board_that_is_unplugged_raises_from_read_and_write(tmp_path: Path, tcp: bool):
    with NativeBoard(run_dir=tmp_path, tcp=tcp) as native:
        transport = native.open_transport()
    with pytest.raises(IlluminatorTimeout, match="gone"):
        transport.read(1.0)
    with pytest.raises(IlluminatorTimeout, match="gone"):
        write_repeatedly(transport)
    transport.close()


def write_repeatedly(transport: Transport):
    """TCP accepts one write before it notices."""
    for _ in range(3):
        transport.write(b"version\n")
        time.sleep(0.02)


def test_the_client_works_the_same_over_tcp(tmp_path: Path):
    board = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
    with NativeBoard(run_dir=tmp_path, tcp=True) as native:
        with LedBoardClient(native.open_transport(), board) as client:
            assert client.still_lit(client.show(bright_field(board, na=0.1), hold_ms=10.0))
            assert (native.lit() == bright_field(board, na=0.1).levels).all()
        with LedBoardClient(native.open_transport(), board) as client:
            client.dark()


def test_a_second_host_is_sent_away(tmp_path: Path):
    with NativeBoard(run_dir=tmp_path, tcp=True) as native:
        first = native.open_transport()
        first.write(b"version\n")
        assert first.read(2.0)
        second = native.open_transport()
        with pytest.raises(IlluminatorTimeout, match="gone"):
            second.read(2.0)
        first.write(b"version\n")
        assert first.read(2.0)
        first.close()
        second.close()
