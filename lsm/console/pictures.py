"""Camera images for eyes: as small as they are shown, 8 bits, compressed once for all who look; the newest wins.

Decision 0017 has what that costs.
"""

import io
import json
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as Picture

from lsm.console.bell import Bell, Ear
from lsm.devices import Frame
from lsm.types import Image

QUALITY = 85
BINS = 64
SAMPLES = 65_536
"""Pixels from which histogram and contrast are taken."""
SHARES = (0.005, 0.995)
"""Of the pixels that the automatic contrast leaves below and above."""
ENOUGH = 0.8
"""Pixels of a picture for one on the screen: fewer would look blurred, more cost and are not seen."""
LEAST_PX = 64
HEAD = struct.Struct("<I")

Window = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A frame as it goes out: length of the header (uint32, little endian), the header as JSON, a JPEG.

    by: every by x by pixels of the camera are one of the picture.
    """

    number: int
    by: int
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


def reduced(image: Image, by: int) -> Float32[np.ndarray, "v u"]:
    """Means over by x by pixels; what is left over at the last rows and columns is not in them."""
    if by == 1:
        return image.astype(np.float32)
    rows, columns = (by * (size // by) for size in image.shape)
    bands = image[:rows, :columns].reshape(-1, by, columns)
    sums = bands[:, 0].astype(np.uint32)
    for row in range(1, by):
        sums += bands[:, row]
    means: Float32[np.ndarray, "v u"] = sums[:, ::by].astype(np.float32)
    for column in range(1, by):
        means += sums[:, column::by]
    means /= by * by
    return means


def factor(shape: tuple[int, ...], side_px: int | None) -> int:
    """By how much a picture may be reduced where its longer side is shown with so many pixels; None: not at all."""
    if side_px is None:
        return 1
    return max(1, min(int(max(shape) / (ENOUGH * max(side_px, LEAST_PX))), min(shape)))


def eight_bits(image: Image | Float32[np.ndarray, "y x"], window: Window) -> UInt8[np.ndarray, "y x"]:
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


def encoded(frame: Frame, number: int, window: Window | None, saturated_adu: float, by: int = 1) -> Encoded:
    """The frame with what a page says about it. window: None takes the contrast from the image.

    by: pixels of the camera for one of the picture, each way; histogram and saturation are of the camera's pixels.
    """
    image = frame.image
    shown, means = window or contrast(image), reduced(image, by)
    picture = jpeg(eight_bits(means, shown))
    counts, _ = np.histogram(sampled(image), bins=BINS, range=(0.0, saturated_adu))
    facts = {
        "number": number,
        "shape_px": list(image.shape),
        "xy_um": list(frame.xy_um),
        "z_um": frame.z_um,
        "exposure_ms": frame.exposure_ms,
        "light": frame.request.pattern.name,
        "window_adu": [round(value, 1) for value in shown],
        "histogram": counts.tolist(),
        "saturated": np.count_nonzero(image >= math.ceil(saturated_adu)) / image.size,
        "mean_adu": round(float(means.mean(dtype=np.float64)), 1),
        "saturated_adu": saturated_adu,
    }
    header = json.dumps(facts).encode()
    return Encoded(number, by, facts, picture, HEAD.pack(len(header)) + header + picture)


@dataclass(eq=False)
class Viewer:
    """One who looks. side_px: the longer side of what he shows, in pixels of his screen; None: all of the camera's."""

    side_px: int | None = None


class Pictures:
    """Takes frames and holds the newest one encoded; frames that come while it works are passed over but the last.

    Pictures are as large as the viewer who shows the largest needs them, one for all. While nobody looks, nothing is
    encoded until `newest` is asked for.
    window: digital numbers shown black and white; None: from each image.
    """

    def __init__(self, *, saturated_adu: float) -> None:
        self._bell = Bell()
        self.window: Window | None = None
        self._saturated_adu = saturated_adu
        self._waiting: tuple[int, Frame] | None = None
        self._last: tuple[int, Frame] | None = None
        self._made: Encoded | None = None
        self._count = 0
        self._viewers: set[Viewer] = set()
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

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    @contextmanager
    def viewed(self, viewer: Viewer) -> Iterator[Ear]:
        """Somebody looks while inside; the ear is rung at every new picture."""
        with self._change:
            self._viewers.add(viewer)
        try:
            with self._bell.heard() as ear:
                yield ear
        finally:
            with self._change:
                self._viewers.discard(viewer)

    def resize(self, viewer: Viewer, side_px: int) -> None:
        """He shows another size from now on; where there is no picture for it, the last frame's is made once more."""
        viewer.side_px = side_px
        if self._last is not None and not self._fits(self._made, side_px):
            self.again()

    def _fits(self, made: Encoded | None, side_px: int | None) -> bool:
        """Whether that is the newest frame, large enough."""
        last = self._last
        return (
            made is not None
            and last is not None
            and made.number == last[0]
            and made.by <= factor(last[1].image.shape, side_px)
        )

    def newest(self, side_px: int | None = None) -> Encoded | None:
        """The newest frame, large enough for that; encoded here where nobody has yet. None before the first."""
        made, last = self._made, self._last
        if last is None or self._fits(made, side_px):
            return made
        return self._encoded(last, factor(last[1].image.shape, side_px))

    def again(self) -> None:
        """Encode the last frame once more, under another window or larger."""
        with self._change:
            self._waiting = self._last
            self._change.notify()

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify()

    def _encoded(self, numbered: tuple[int, Frame], by: int) -> Encoded:
        number, frame = numbered
        return encoded(frame, number, self.window, self._saturated_adu, by)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._waiting is not None)
                if self._closed or self._waiting is None:
                    return
                waiting, self._waiting = self._waiting, None
                shape = waiting[1].image.shape
                by = min((factor(shape, viewer.side_px) for viewer in self._viewers), default=None)
            if by is not None:
                self._made = self._encoded(waiting, by)
                self._bell.ring()
