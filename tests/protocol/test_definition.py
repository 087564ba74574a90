"""One definition of the wire, and codecs of both ends that agree on it byte by byte."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lsm.led import Decoder, Reply
from lsm.led._constants import MAX_FRAME, Command, Status
from lsm.led.protocol import encode_reply, encode_request
from lsm.led.transport import Transport
from lsm_sim.board import NativeBoard

FIRMWARE = Path(__file__).parents[2] / "firmware"


def test_header_constants_and_document_are_those_of_the_definition():
    run = subprocess.run(
        [sys.executable, str(FIRMWARE / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def payloads() -> list[bytes]:
    """Where byte stuffing has its corners: no bytes, zeros, and runs about 254 bytes long."""
    rng = np.random.default_rng(254)
    corners = [b"", b"\0", b"\0\0", b"\1", b"\0\1\0", bytes(300), b"\xff" * 300, bytes(MAX_FRAME - 5)]
    runs = [b"\7" * length + tail for length in range(247, 259) for tail in (b"", b"\0", b"\7", b"\0\0")]
    mixed = [
        np.where(rng.random(n) < 0.1, 0, rng.integers(0, 256, n)).astype(np.uint8).tobytes()
        for n in [*range(1, 60, 3), 508, 509, 762, 763, MAX_FRAME - 5]
    ]
    return [*corners, *runs, *mixed]


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    with NativeBoard(run_dir=tmp_path_factory.mktemp("board")) as native:
        transport = native.open_transport()
        yield transport
        transport.close()


@pytest.mark.firmware
@pytest.mark.parametrize("payload", payloads(), ids=lambda payload: f"{len(payload)}-{payload.count(0)}")
def test_the_board_answers_with_the_bytes_that_the_host_would_send(transport: Transport, payload: bytes):
    seq = len(payload) % 256
    expected = encode_reply(Reply(seq, Command.PING, Status.OK, payload))
    transport.write(encode_request(seq, Command.PING, payload))
    received = b""
    while len(received) < len(expected) and (part := transport.read(5.0)):
        received += part
    assert received == expected
    assert Decoder().feed(received) == [Reply(seq, Command.PING, Status.OK, payload)]
