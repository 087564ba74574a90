"""The host's end of the LED board: codec, transports, client."""

from lsm.led.client import LedBoardClient
from lsm.led.protocol import BoardStatus, Decoder, Hello, LatchReport, Reply, TextReply
from lsm.led.transport import SerialTransport, SocketTransport, Transport

__all__ = [
    "BoardStatus",
    "Decoder",
    "Hello",
    "LatchReport",
    "LedBoardClient",
    "Reply",
    "SerialTransport",
    "SocketTransport",
    "TextReply",
    "Transport",
]
