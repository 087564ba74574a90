"""The host's end of the LED board: codec, transports, client."""

from lsm.led._sequences import SequenceControl
from lsm.led.client import LedBoardClient
from lsm.led.protocol import BoardStatus, Decoder, Hello, LatchReport, Reply, SequenceStatus, TextReply
from lsm.led.sequence import Armed, Edge, SequencePlan, When
from lsm.led.transport import SerialTransport, SocketTransport, Transport

__all__ = [
    "Armed",
    "BoardStatus",
    "Decoder",
    "Edge",
    "Hello",
    "LatchReport",
    "LedBoardClient",
    "Reply",
    "SequenceControl",
    "SequencePlan",
    "SequenceStatus",
    "SerialTransport",
    "SocketTransport",
    "TextReply",
    "Transport",
    "When",
]
