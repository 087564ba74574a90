"""Numbers of the LED board's wire, generated from firmware/protocol.toml by firmware/generate.py."""

from enum import IntEnum, IntFlag
from typing import Final

PROTOCOL_VERSION: Final = 2
MAX_FRAME: Final = 2048
RX_WINDOW: Final = 4096
HISTORY: Final = 8
WATCHDOG_DEFAULT_MS: Final = 2000
WATCHDOG_CEILING_MS: Final = 60000
TEXT_WATCHDOG_MS: Final = 60000
SEQUENCE_CEILING_MS: Final = 3600000
STREAM_IDLE_MS: Final = 250
SCALE_ONE: Final = 65536
TEXT_SEQUENCE_MS: Final = 600000
LEDS_PER_GEOMETRY: Final = 64
TRIGGER_PINS: Final = 2
PULSE_CEILING_US: Final = 1000000
NO_PATTERN: Final = 65535


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
    FB_SPARSE = 0x14
    GEOM_READ = 0x18
    SET_LIMIT = 0x19
    WATCHDOG = 0x1A
    CFG_SAVE = 0x1B
    SEQ_BEGIN = 0x20
    SEQ_DATA = 0x21
    SEQ_COMMIT = 0x22
    SEQ_ARM = 0x23
    SEQ_STATUS = 0x24
    SEQ_STEP = 0x25
    TRIG_IN = 0x28
    TRIG_OUT = 0x29
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
    CONFIG_DEFAULTS = 0x10


class Bank(IntEnum):
    """Table [bank] of protocol.toml."""

    FRAME_BUFFER = 0
    LATCHED = 1


class SequenceState(IntEnum):
    """Table [sequence_state] of protocol.toml."""

    IDLE = 0
    ARMED = 1
    UPDATING = 2
    EXPOSING = 3
    DONE = 4
    FAULT = 5


class TriggerWhen(IntEnum):
    """Table [trigger_when] of protocol.toml."""

    NEVER = 0
    PATTERN = 1
    START = 2
    END = 3


class TextError(IntEnum):
    """Table [text_error] of protocol.toml."""

    UNKNOWN = 1
    ARGUMENT_COUNT = 2
    NOT_A_NUMBER = 3
    RANGE = 4
    LINE_TOO_LONG = 5
    NOT_TEXT = 6
    BUSY = 7
    MEMORY = 8


# executed at most once for one number
CHANGING: Final = frozenset(
    {
        Command.FB_WRITE,
        Command.SHOW,
        Command.FB_FILL,
        Command.FB_SPARSE,
        Command.SET_LIMIT,
        Command.WATCHDOG,
        Command.CFG_SAVE,
        Command.SEQ_BEGIN,
        Command.SEQ_DATA,
        Command.SEQ_COMMIT,
        Command.SEQ_ARM,
        Command.SEQ_STEP,
        Command.TRIG_IN,
        Command.TRIG_OUT,
    }
)
