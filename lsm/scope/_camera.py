"""The camera of a Micro-Manager core: exposures, single images, sequences, and images it has given before."""

import math
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lsm.errors import CameraError
from lsm.scope._watchdog import DRIVER_ERRORS, Watchdog
from lsm.scope.rig import RigConfig
from lsm.types import Image

if TYPE_CHECKING:
    from lsm.scope.ndtiff import NdtiffSaver

T = TypeVar("T")

REMEMBERED = 4
"""Images with which a new one is compared, and that are thrown away to empty a driver's ring."""
BRIGHTER_ADU, BRIGHTER_SIGMA = 1.0, 6.0
"""By how much the mean of a lit image must exceed that of a dark one before it proves that light was on."""
SAMPLED_ROWS = 32
TELLING_SHARE = 1 / 16
"""Of neighbouring pixels that differ, from which on an image is never the same twice."""
POLL_S = 0.0005
COUNTERS = re.compile(r"(ImageNumber|Frame-?(Nr|No|Number|ID|Count))$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Shot:
    """One image. started_ns, ended_ns: monotonic clock around its exposure; in a sequence, before its arrival."""

    image: Image
    tags: dict[str, str]
    started_ns: int
    ended_ns: int


class CoreCamera:
    """Calls of the camera, each under the watchdog. Every method raises CameraError.

    doubted: an image was old, or did not come. The driver may then be behind by one or more images, and hand out
    those of earlier exposures, under earlier light, as if they were new; see `flush` and `is_of_now`. Never where
    the rig says that the camera's images have no noise: nothing can be told from them.
    saver: takes the images of snap() instead of the core, while NDTiff is saved.
    """

    def __init__(self, core: Any, rig: RigConfig, watchdog: Watchdog) -> None:
        self._core = core
        self._rig = rig
        self._watchdog = watchdog
        self.label = rig.devices.camera or str(core.get_camera_device())
        self._exposure_ms = math.nan
        self._pixel_type: np.dtype[Any] | None = None
        self._seen: deque[Image] = deque(maxlen=REMEMBERED)
        self._first_counts: dict[str, int] = {}
        self.doubted = False
        self.saver: NdtiffSaver | None = None

    def set_exposure(self, exposure_ms: float) -> None:
        """Set the exposure time and read it back; does nothing where it is set already."""
        if exposure_ms == self._exposure_ms:
            return

        def set_and_read() -> float:
            self._core.set_exposure(exposure_ms)
            return float(self._core.get_exposure())

        self._exposure_ms = math.nan
        self._check_exposure(self._call(set_and_read, self._rig.timeouts_s.camera), exposure_ms)
        self._exposure_ms = exposure_ms

    def snap(self, meanwhile: Callable[[], object] | None = None) -> Shot:
        """One image at the exposure that was set, which must still be set when it is there.

        meanwhile: called every half second of the wait; what it raises passes.
        """
        core, exposure_ms = self._core, self._exposure_ms

        def snap() -> tuple[Shot, float]:
            started_ns = time.monotonic_ns()
            tagged = None
            if self.saver is None:
                core.snap_image()
            else:
                tagged = self.saver.take(exposure_ms)
            ended_ns = time.monotonic_ns()
            return self._shot(tagged or self._tagged(), started_ns, ended_ns), float(core.get_exposure())

        # an Acquisition has its own time to give up in
        spare_s = 0.0 if self.saver is None else 1.0
        within_s = exposure_ms / 1000 + self._rig.timeouts_s.camera + spare_s
        shot, got_ms = self._taken(snap, within_s, meanwhile)
        self._check_exposure(got_ms, exposure_ms)
        return shot

    def gave_before(self, shot: Shot) -> bool:
        """Whether the camera has given this very image lately, bit for bit: then it is not a new one.

        Noise makes that impossible for two exposures. Images that are nearly all one value, black or saturated,
        have too little of it to tell, and count as new.
        """
        image = shot.image
        rows = image[:: max(1, image.shape[0] // SAMPLED_ROWS)].copy()
        telling = np.count_nonzero(np.diff(rows.astype(np.int32), axis=1)) >= TELLING_SHARE * rows.size
        before = telling and any(np.array_equal(rows, other) for other in self._seen)
        self._seen.append(rows)
        if not (before and self._rig.camera.noise):
            return False
        self.doubted = True
        return True

    def flush(self) -> Shot:
        """In the dark: throw away what the driver may still hold; returns the last image, a dark one."""
        for _ in range(REMEMBERED):
            last = self.snap()
        return last

    def is_of_now(self, shot: Shot, dark: Shot) -> bool:
        """Whether the image after a flush is clearly brighter than the dark: then the driver is not behind."""
        mean_adu, dark_adu = float(shot.image.mean()), float(dark.image.mean())
        sigma_adu = float(dark.image.std()) / math.sqrt(dark.image.size)
        self.doubted = not mean_adu - dark_adu > max(BRIGHTER_ADU, BRIGHTER_SIGMA * sigma_adu)
        return not self.doubted

    def start_sequence(self, count: int) -> None:
        """Let the camera take `count` images at the exposure that was set, at its triggers where it waits for them."""

        def start() -> None:
            self._core.clear_circular_buffer()
            self._core.start_sequence_acquisition(count, 0.0, True)

        self._first_counts.clear()
        self._call(start, self._rig.timeouts_s.camera)

    def next_image(self, index: int, count: int) -> Shot:
        """The next image of a sequence, in order; `index` of `count` is what its counter, if any, must say."""
        core, exposure_ms = self._core, self._exposure_ms
        patience_s = exposure_ms / 1000 + self._rig.timeouts_s.camera

        def take() -> Shot:
            deadline_s = time.monotonic() + patience_s
            while core.get_remaining_image_count() == 0:
                running = core.is_sequence_running()
                if time.monotonic() > deadline_s or (not running and core.get_remaining_image_count() == 0):
                    raise CameraError(
                        f"Camera '{self.label}' gave {index} of {count} images of a burst.",
                        hint="check the trigger cables and camera_properties of the rig's [trigger] table",
                    )
                time.sleep(POLL_S)
            arrived_ns = time.monotonic_ns()
            return self._shot(core.pop_next_tagged_image(), arrived_ns - round(exposure_ms * 1e6), arrived_ns)

        # beyond its own patience: the core does not answer at all
        shot = self._taken(take, patience_s + 1.0)
        self._check_counters(shot.tags, index)
        return shot

    def end_sequence(self) -> None:
        """Stop it; nothing may be left that was not asked for, and the exposure must be as it was set."""

        def stop() -> tuple[int, float]:
            self._core.stop_sequence_acquisition()
            left = int(self._core.get_remaining_image_count())
            self._core.clear_circular_buffer()
            return left, float(self._core.get_exposure())

        left, got_ms = self._call(stop, self._rig.timeouts_s.camera)
        if left:
            raise CameraError(
                f"Camera '{self.label}' gave {left} images of a burst too many.",
                hint="its trigger input is disturbed; check the cable",
            )
        self._check_exposure(got_ms, self._exposure_ms)

    def set_properties(self, settings: tuple[tuple[str, str, str], ...]) -> tuple[tuple[str, str, str], ...]:
        """Set [device, property, value] in this order; returns what was there before, in the order to put it back.

        Puts it back itself where one of them is refused.
        """

        def set_all() -> tuple[tuple[str, str, str], ...]:
            before: list[tuple[str, str, str]] = []
            try:
                for device, name, value in settings:
                    before.insert(0, (device, name, str(self._core.get_property(device, name))))
                    self._core.set_property(device, name, value)
            except DRIVER_ERRORS:
                for device, name, value in before:
                    self._core.set_property(device, name, value)
                raise
            return tuple(before)

        return self._call(set_all, self._rig.timeouts_s.camera)

    def _tagged(self) -> Any:
        if self._rig.backend == "java":
            return self._core.get_tagged_image()
        height, width = self._core.get_image_height(), self._core.get_image_width()
        return self._core.get_tagged_image(0, self.label, height, width)

    def _shot(self, tagged: Any, started_ns: int, ended_ns: int) -> Shot:
        tags = {str(key): str(value) for key, value in tagged.tags.items()}
        return Shot(self._image(np.asarray(tagged.pix), tags), tags, started_ns, ended_ns)

    def _image(self, pixels: np.ndarray, tags: dict[str, str]) -> Image:
        if pixels.ndim == 1:  # as Micro-Manager's Java side sends them
            height, width = int(tags["Height"]), int(tags["Width"])
            if pixels.size == height * width:
                pixels = pixels.reshape(height, width)
        shape = self._rig.camera.shape_px
        right_kind = pixels.dtype in (np.uint8, np.uint16) and self._pixel_type in (None, pixels.dtype)
        if pixels.ndim != 2 or not right_kind or (shape is not None and pixels.shape != shape):
            raise CameraError(
                f"Camera '{self.label}' gave {pixels.dtype} {pixels.shape}, the rig expects "
                f"{'' if self._pixel_type is None else f'{self._pixel_type} '}{shape or 'a plane'}.",
                hint="set PixelType and binning in 'properties' of the rig file, or correct camera.shape_px",
            )
        self._pixel_type = pixels.dtype
        copy: Image = pixels.astype(np.uint16)
        return copy

    def _check_exposure(self, got_ms: float, wanted_ms: float) -> None:
        # cameras round to their line time, some tens of microseconds; very short exposures would be others then
        if not math.isclose(got_ms, wanted_ms, rel_tol=0.01, abs_tol=min(0.05, 0.2 * wanted_ms)):
            self._exposure_ms = math.nan
            raise CameraError(
                f"Camera '{self.label}' exposes {got_ms:g} ms where {wanted_ms:g} ms were asked for.",
                hint="narrow limits.exposure_ms in the rig file to what the camera can do",
            )

    def _check_counters(self, tags: dict[str, str], index: int) -> None:
        """ImageNumber counts from 0; a camera's own counter of frames may begin anywhere."""
        for name, value in tags.items():
            if not COUNTERS.search(name) or not value.isdecimal():
                continue
            first = 0 if name == "ImageNumber" else self._first_counts.setdefault(name, int(value) - index)
            if int(value) != first + index:
                raise CameraError(
                    f"Camera '{self.label}' numbers image {index} of a burst {value} ({name}): one was dropped.",
                    hint="use a shorter burst, a larger circular buffer or a faster connection",
                )

    def _taken(self, work: Callable[[], T], within_s: float, meanwhile: Callable[[], object] | None = None) -> T:
        """As _call, for what gives an image: one that did not come may still come, at the wrong time."""
        try:
            return self._call(work, within_s, meanwhile)
        except CameraError:
            self.doubted = self._rig.camera.noise
            raise

    def _call(self, work: Callable[[], T], within_s: float, meanwhile: Callable[[], object] | None = None) -> T:
        what = f"Camera '{self.label}'"
        return self._watchdog.call(work, what=what, within_s=within_s, error=CameraError, meanwhile=meanwhile)
