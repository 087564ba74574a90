"""Numbers of the LED board's wire, generated from firmware/protocol.toml by firmware/generate.py."""

from enum import IntEnum, IntFlag
from typing import Final

PROTOCOL_VERSION: Final = 1
MAX_FRAME: Final = 1024
RX_WINDOW: Final = 2048
HISTORY: Final = 8
WATCHDOG_DEFAULT_MS: Final = 2000
WATCHDOG_CEILING_MS: Final = 60000
TEXT_WATCHDOG_MS: Final = 60000
STREAM_IDLE_MS: Final = 250
SCALE_ONE: Final = 65536
LEDS_PER_GEOMETRY: Final = 64


class Command(IntEnum):
    """Table [command] of protocol.toml."""

    PING = 0x01
    HELLO = 0x02
    STATUS = 0x03
    STOP = 0x04
    FB_WRITE = 0x10
    SHOW = 0x11
    FB_READ = 0x12
    FB_FILL = 0x13
    GEOM_READ = 0x18
    SET_LIMIT = 0x19
    WATCHDOG = 0x1A
    NAK = 0x7F


class Status(IntEnum):
    """Table [status] of protocol.toml."""

    OK = 0
    CRC = 1
    LENGTH = 2
    RANGE = 3
    UNKNOWN = 4
    BUSY = 5
    NOT_ARMED = 6
    MEMORY = 7
    LIMITED = 8
    FAULT = 9
    VERSION = 10


class Flag(IntFlag):
    """Table [flag] of protocol.toml."""

    LIT = 0x01
    LIMITED = 0x02
    LIVE = 0x04
    SHUTTER_CLOSED = 0x08


class Bank(IntEnum):
    """Table [bank] of protocol.toml."""

    FRAME_BUFFER = 0
    LATCHED = 1


class TextError(IntEnum):
    """Table [text_error] of protocol.toml."""

    UNKNOWN = 1
    ARGUMENT_COUNT = 2
    NOT_A_NUMBER = 3
    RANGE = 4
    LINE_TOO_LONG = 5
    NOT_TEXT = 6
