"""The host's end of the LED board: codec, transports, client."""

from lsm.led._constants import SequenceState
from lsm.led._sequences import SequenceControl
from lsm.led.client import LedBoardClient
from lsm.led.find import find_board, find_port, open_port
from lsm.led.illuminate import IlluminateClient
from lsm.led.protocol import BoardStatus, Decoder, Hello, LatchReport, Reply, SequenceStatus, TextReply
from lsm.led.sequence import Armed, Edge, SequencePlan, When
from lsm.led.transport import SerialTransport, SocketTransport, Transport
from lsm.led.watch import Sight, Watcher

__all__ = [
    "Armed",
    "BoardStatus",
    "Decoder",
    "Edge",
    "Hello",
    "IlluminateClient",
    "LatchReport",
    "LedBoardClient",
    "Reply",
    "SequenceControl",
    "SequencePlan",
    "SequenceState",
    "SequenceStatus",
    "SerialTransport",
    "Sight",
    "SocketTransport",
    "TextReply",
    "Transport",
    "Watcher",
    "When",
    "find_board",
    "find_port",
    "open_port",
]
