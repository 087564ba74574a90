"""A frame made ready for writing: checked, packed and summed, without touching the file."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsm.devices import Frame
from lsm.record._chunks import crc32c, pack
from lsm.record.journal import Entry
from lsm.record.schema import FRAME, to_json
from lsm.types import DutyLevels


@dataclass(frozen=True, eq=False)
class Prepared:
    """One frame, ready. payload: the packed image. content_crc: CRC-32C of image, levels and text."""

    row: np.ndarray
    requested: DutyLevels
    shown: DutyLevels
    text: bytes
    payload: bytes
    content_crc: int
    image_shape: tuple[int, ...]

    def entry(self, place: tuple[int, int], *, text_start: int, session: int, group: int) -> Entry:
        """The frame's entry in the journal, its pixels lying at `place` (offset, bytes)."""
        row = self.row.copy()
        row["text_start"], row["text_end"] = text_start, text_start + len(self.text)
        row["session"], row["group"] = session, group
        row["crc"] = row_crc(row, self.content_crc)
        return Entry(row, self.requested, self.shown, self.text, *place)


@dataclass(frozen=True)
class Moment:
    """One moment on both clocks."""

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def now(cls) -> "Moment":
        return cls(time.monotonic_ns(), time.time_ns())


def frame_text(frame: Frame, decision: Mapping[str, Any] | None) -> bytes:
    """What a recording holds of a frame as text. Raises RecordError for what JSON cannot hold."""
    return to_json(
        {
            "decision": dict(decision or {}),
            "metadata": dict(frame.metadata),
            "pattern": frame.request.pattern.name,
            "board": frame.request.pattern.board,
        },
        what="decision of the frame",
    )


def prepare(frame: Frame, text: bytes, moment: Moment) -> Prepared:
    """Pack and sum a frame; may run in any thread."""
    requested = np.ascontiguousarray(frame.request.pattern.levels)
    shown = np.ascontiguousarray(frame.shown.levels)
    payload = pack(frame.image)
    row = _row(frame, moment)
    row["stored_crc"] = crc32c(payload)
    content = content_crc(frame.image, requested, shown, text)
    return Prepared(row, requested, shown, text, payload, content, frame.image.shape)


def content_crc(image: np.ndarray, requested: np.ndarray, shown: np.ndarray, text: bytes) -> int:
    return crc32c(image.astype("<u2", copy=False), requested, shown, text)


def row_crc(row: np.ndarray, start: int) -> int:
    """The `crc` of a row: that of the frame's content, carried on over the row without it."""
    bare = row.copy()
    bare["crc"] = 0
    return crc32c(bare.tobytes(), start=start)


def _row(frame: Frame, moment: Moment) -> np.ndarray:
    row = np.zeros(1, dtype=FRAME)
    row["exposure_ms"] = frame.request.exposure_ms
    row["requested_x_um"], row["requested_y_um"] = frame.request.xy_um or (np.nan, np.nan)
    row["requested_z_um"] = np.nan if frame.request.z_um is None else frame.request.z_um
    row["x_um"], row["y_um"] = frame.xy_um
    row["z_um"] = frame.z_um
    row["limited"], row["latch"] = frame.shown.limited, frame.shown.latch
    row["started_ns"], row["ended_ns"] = frame.started_ns, frame.ended_ns
    row["recorded_ns"], row["recorded_wall_ns"] = moment.monotonic_ns, moment.wall_ns
    return row
