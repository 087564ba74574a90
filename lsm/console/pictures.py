"""Camera images for eyes: 8 bits, compressed once for all who look, on a thread of its own; the newest wins.

Decision 0017 has what the compressions cost.
"""

import io
import json
import struct
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Picture

from lsm.console.bell import Bell
from lsm.devices import Frame
from lsm.types import Image

QUALITY = 85
BINS = 64
SAMPLES = 65_536
"""Pixels from which histogram and contrast are taken."""
SHARES = (0.005, 0.995)
"""Of the pixels that the automatic contrast leaves below and above."""
HEAD = struct.Struct("<I")

Window = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A frame as it goes out: length of the header (uint32, little endian), the header as JSON, a JPEG."""

    number: int
    facts: dict[str, Any]
    jpeg: bytes
    message: bytes = field(repr=False)


def sampled(image: Image) -> Image:
    """Every n-th pixel of every n-th row, at most SAMPLES of them or a row and column more."""
    step = max(1, int(np.sqrt(image.size / SAMPLES)))
    thinned: Image = image[::step, ::step]
    return thinned


def contrast(image: Image) -> Window:
    """Digital numbers that are shown black and white, from the pixels themselves."""
    low, high = np.quantile(sampled(image), SHARES)
    return float(low), float(max(high, low + 16))


def eight_bits(image: Image, window: Window) -> UInt8[np.ndarray, "y x"]:
    """The image from black at the window's lower end to white at its upper end."""
    low, high = window
    grey = image.astype(np.float32)
    grey -= low
    grey *= 255.0 / max(high - low, 1.0)
    np.clip(grey, 0.0, 255.0, out=grey)
    bits: UInt8[np.ndarray, "y x"] = grey.astype(np.uint8)
    return bits


def jpeg(grey: UInt8[np.ndarray, "y x"], quality: int = QUALITY) -> bytes:
    """The image as a grey JPEG."""
    buffer = io.BytesIO()
    Picture.fromarray(grey).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def encoded(frame: Frame, number: int, window: Window | None, saturated_adu: float) -> Encoded:
    """The frame with what a page says about it. window: None takes the contrast from the image."""
    shown = window or contrast(frame.image)
    picture = jpeg(eight_bits(frame.image, shown))
    counts, _ = np.histogram(sampled(frame.image), bins=BINS, range=(0.0, saturated_adu))
    facts = {
        "number": number,
        "shape_px": list(frame.image.shape),
        "xy_um": list(frame.xy_um),
        "z_um": frame.z_um,
        "exposure_ms": frame.exposure_ms,
        "light": frame.request.pattern.name,
        "window_adu": [round(value, 1) for value in shown],
        "histogram": counts.tolist(),
        "saturated": float((frame.image >= saturated_adu).mean()),
        "mean_adu": round(float(frame.image.mean()), 1),
        "saturated_adu": saturated_adu,
    }
    header = json.dumps(facts).encode()
    return Encoded(number, facts, picture, HEAD.pack(len(header)) + header + picture)


class Pictures:
    """Takes frames and holds the newest one encoded; frames that come while it works are passed over but the last.

    While nobody listens on `bell`, nothing is encoded until `newest` is asked for.
    window: digital numbers shown black and white; None: from each image.
    """

    def __init__(self, *, saturated_adu: float) -> None:
        self.bell = Bell()
        self.window: Window | None = None
        self._saturated_adu = saturated_adu
        self._waiting: tuple[int, Frame] | None = None
        self._last: tuple[int, Frame] | None = None
        self._made: Encoded | None = None
        self._count = 0
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="lsm console pictures", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Offer a frame; returns at once."""
        with self._change:
            self._count += 1
            self._last = self._waiting = (self._count, frame)
            self._change.notify()

    @property
    def current(self) -> Encoded | None:
        """What was encoded last."""
        return self._made

    def newest(self) -> Encoded | None:
        """The newest frame, encoded here where nobody has yet; None before the first."""
        last, made = self._last, self._made
        if last is None or (made is not None and made.number == last[0]):
            return made
        return encoded(last[1], last[0], self.window, self._saturated_adu)

    def again(self) -> None:
        """Encode the last frame once more, under another window."""
        with self._change:
            self._waiting = self._last
            self._change.notify()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._waiting is not None)
                if self._closed or self._waiting is None:
                    return
                (number, frame), self._waiting = self._waiting, None
            if self.bell.listeners:
                self._made = encoded(frame, number, self.window, self._saturated_adu)
                self.bell.ring()
