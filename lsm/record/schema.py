"""What a recording holds, and where in the HDF5 file.

Root attributes: `schema` (this layout's name) and `header` (JSON object).

Datasets, one entry per frame along the first axis:
  images     uint16 [frame, y, x]            ADU, row 0 at the smallest stage y; gzip
  requested  uint8  [frame, led, colour]     levels asked for
  shown      uint8  [frame, led, colour]     levels that the board read back
  frames     compound [frame]                FRAME below: scalars, and where the frame's text lies in `text`
Datasets of bytes, UTF-8 JSON:
  text       uint8 [byte]                    per frame: {"decision": {}, "metadata": {}, "pattern": "", "board": ""}
  summary    uint8 [byte]                    one object, empty until the run has ended

A frame is in the recording once its row in `frames` is: that row is written last. Text is kept as bytes
because HDF5 forbids strings of variable length in files that stay readable while they are written.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from lsm.errors import RecordError

SCHEMA = "lsm-record/1"
HEADER_ATTRIBUTE = "header"
SCHEMA_ATTRIBUTE = "schema"

FRAME = np.dtype(
    [
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
)
"""Scalars of one frame; a requested position that left its axis alone is NaN."""


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
