"""Levels of a board as the requests that take the fewest bytes."""

import struct
from collections.abc import Iterator

import numpy as np

from lsm.errors import WrongFormat
from lsm.led._constants import Command
from lsm.led._link import Request
from lsm.types import DutyLevels

WRITE_OVERHEAD = 10  # FB_WRITE's seq, command, bits, colour, first LED and CRC
SPARSE_OVERHEAD = 8  # FB_SPARSE's seq, command, bits, colour and CRC
FILL_BYTES = 15
SPARSE_ENTRY = 5
FULL = 255


def write_requests(levels: DutyLevels, *, max_frame: int, channels: int) -> list[Request]:
    """FB_WRITE, or FB_FILL and FB_SPARSE, that make the frame buffer hold exactly `levels` [led, colour].

    max_frame: the board's largest request in bytes. channels: of its frame; 1 wants one colour for all LEDs.
    Raises WrongFormat for a light in several colours on a board with one channel.
    """
    bits, colour, packed = pack(levels)
    if channels == 1 and bits == 24:
        raise WrongFormat(
            "The LED board's frame has one colour, the pattern has several.",
            hint="show one colour after another, or use a board with more memory",
        )
    lit = np.flatnonzero(levels.any(axis=1))
    sparse_bytes = FILL_BYTES + SPARSE_OVERHEAD + SPARSE_ENTRY * len(lit)
    if channels == 3 and sparse_bytes < min(len(packed) + WRITE_OVERHEAD, max_frame):
        entries = b"".join(struct.pack("<H3B", led, *levels[led]) for led in lit)
        fill = (Command.FB_FILL, struct.pack("<HH3B", 0, len(levels), 0, 0, 0))
        return [fill, (Command.FB_SPARSE, struct.pack("<4B", 24, 0, 0, 0) + entries)] if entries else [fill]
    return list(_writes(bits, colour, packed, max_frame))


def pack(levels: DutyLevels) -> tuple[int, bytes, bytes]:
    """Bits per LED (1, 8 or 24), the colour that they scale, and the packed levels; nothing is lost."""
    used = levels.any(axis=0)
    values = levels[:, used]
    if not used.any():
        return 1, bytes(3), bytes(-(-len(levels) // 8))
    if (values == values[:, :1]).all():
        colour = bytes(np.where(used, FULL, 0).tolist())
        return _pack_mono(values[:, 0], colour)
    lit = levels.any(axis=1)
    if (levels[lit] == levels[lit][0]).all():
        return 1, levels[lit][0].tobytes(), np.packbits(lit, bitorder="little").tobytes()
    return 24, bytes(3), levels.tobytes()


def _pack_mono(values: np.ndarray, colour: bytes) -> tuple[int, bytes, bytes]:
    top = int(values.max())
    if ((values == 0) | (values == top)).all():
        scaled = bytes(top if part else 0 for part in colour)
        return 1, scaled, np.packbits(values > 0, bitorder="little").tobytes()
    return 8, colour, values.tobytes()


def _writes(bits: int, colour: bytes, packed: bytes, max_frame: int) -> Iterator[Request]:
    room = max_frame - WRITE_OVERHEAD
    step = room - room % 3
    for start in range(0, len(packed), step):
        header = struct.pack("<B3sH", bits, colour, start * 8 // bits)
        yield Command.FB_WRITE, header + packed[start : start + step]
