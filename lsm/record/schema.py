"""What a recording holds, and where in the HDF5 file.

Root attributes, text of fixed length: `schema` (this layout's name), `header` (JSON object) and `identity` (which
journal belongs to it).

Datasets, one entry per frame along the first axis:
  images     uint16 [frame, y, x]            ADU, row 0 at the smallest stage y; one Blosc (LZ4, bit shuffle) chunk each
  requested  uint8  [frame, led, colour]     levels asked for; gzip
  shown      uint8  [frame, led, colour]     levels that the board read back; gzip
  frames     compound [frame]                FRAME below: scalars, and where the frame's text lies in `text`
Datasets of bytes, UTF-8 JSON:
  text       uint8 [byte]                    per frame: {"decision": {}, "metadata": {}, "pattern": "", "board": ""}
  summary    uint8 [byte]                    one object, empty until the run has ended; Fletcher-32

A frame is in the recording once its row in `frames` is: that row is written last. Text is kept as bytes
because HDF5 forbids strings of variable length in files that stay readable while they are written.

Layouts: lsm-record/2 is written and read. lsm-record/1 is read: its images are gzip, it has no identity, and its rows
end at `text_end`.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from lsm.errors import RecordError

FAMILY = "lsm-record/"
SCHEMA = FAMILY + "2"
SCHEMA_1 = FAMILY + "1"
HEADER_ATTRIBUTE = "header"
SCHEMA_ATTRIBUTE = "schema"
IDENTITY_ATTRIBUTE = "identity"
DIGESTS = ("rig_digest", "config_digest", "model_digest")
"""Keys of the header that say which rig, configuration and model a run used."""

_COLUMNS_1 = [
    ("exposure_ms", "<f8"),
    ("requested_x_um", "<f8"),
    ("requested_y_um", "<f8"),
    ("requested_z_um", "<f8"),
    ("x_um", "<f8"),
    ("y_um", "<f8"),
    ("z_um", "<f8"),
    ("limited", "u1"),
    ("latch", "<i8"),
    ("started_ns", "<i8"),
    ("ended_ns", "<i8"),
    ("text_start", "<i8"),
    ("text_end", "<i8"),
]
_COLUMNS_2 = [
    ("recorded_ns", "<i8"),
    ("recorded_wall_ns", "<i8"),
    ("session", "<u4"),
    ("group", "<i8"),
    ("stored_crc", "<u4"),
    ("crc", "<u4"),
]

FRAME_1 = np.dtype(_COLUMNS_1)
FRAME = np.dtype(_COLUMNS_1 + _COLUMNS_2)
"""Scalars of one frame; a requested position that left its axis alone is NaN.

started_ns, ended_ns: the monotonic clock around the exposure. recorded_ns, recorded_wall_ns: the monotonic clock and
the wall clock (UTC, since 1970) at one moment when the frame was handed over, so that each gives the other.
session: 0, and one more after each resumption: monotonic times compare only within a session.
group: index of the first frame that was handed over together with this one (a burst, or the frame itself).
stored_crc: CRC-32C of the image as it is stored, compressed. crc: CRC-32C of the image, the levels asked for, those
shown, the text, and this row with crc = 0, in this order.
"""


def to_json(value: Mapping[str, Any], *, what: str) -> bytes:
    """UTF-8 JSON with sorted keys; numpy scalars and arrays become numbers and lists.

    Raises RecordError for NaN, infinity, or what JSON cannot hold.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False, sort_keys=True).encode()
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"The {what} cannot be written as JSON: {error}.", hint="use finite numbers, text, lists and tables"
        ) from error


def from_json(text: bytes, *, what: str) -> dict[str, Any]:
    """The table that `to_json` wrote. Raises RecordError."""
    try:
        value = json.loads(text.decode())
    except ValueError as error:
        raise RecordError(
            f"The {what} is damaged: {error}.", hint="the file was changed after it was written"
        ) from error
    if not isinstance(value, dict):
        raise RecordError(f"The {what} is not a table.", hint="the file was changed after it was written")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")
