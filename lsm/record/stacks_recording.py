"""The LED stack inside a recording: its frames in which a single LED shone, in a single colour."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from lsm.devices import Frame
from lsm.errors import ConfigError, NotMeasured
from lsm.illum import LedBoard
from lsm.record.reading import Recording
from lsm.record.stacks import ROUNDING_ADU2, Dark, LedImage, Place, StackCamera
from lsm.types import LedMask

FULL: Final = 255
XY_UM, Z_UM = 1.0, 0.5
"""Frames whose stage and focus were read back as close as this are at one place."""

CACHE_BYTES: Final = 256 * 2**20

Key = tuple[int, int, int]
"""Place, LED, colour."""


@dataclass
class _Found:
    """Which frames of a recording show what."""

    places: list[Place] = field(default_factory=list)
    single: dict[Key, list[int]] = field(default_factory=lambda: defaultdict(list))
    dark: list[int] = field(default_factory=list)


class RecordedStack:
    """The single-LED frames of a recording as `LedImages`; closing it closes the recording.

    What counts is the light that was really on. An LED that was measured several times at one place is the sum
    of those frames over the sum of their exposures and drives. The dark image is the mean of the frames without
    light, taken not to depend on the exposure; without such frames it is `camera.offset_adu`, and then each
    image brings the fixed pattern of the dark signal into a sum.

    board: the board of the recording, whose geometry a recording does not hold.
    camera: what is known of its camera, before what the recording's header says under `camera`.
    Raises ConfigError for another board, NotMeasured without single-LED frames, without a dark signal, or where
    the value of a saturated pixel is unknown; RecordError for a damaged recording.
    """

    def __init__(self, recording: Recording, board: LedBoard, *, camera: StackCamera | None = None) -> None:
        self._recording = recording
        self._board = board
        self._camera = _told(recording)
        if camera is not None:
            self._camera = self._camera.model_copy(update=camera.model_dump(exclude_none=True))
        self._found = _search(recording, board)
        self._cache: OrderedDict[Key, LedImage] = OrderedDict()
        self._saturated_adu = self._saturation()
        self._dark = self._measure_dark()

    @property
    def source(self) -> str:
        return str(self._recording.path)

    @property
    def board(self) -> LedBoard:
        return self._board

    @property
    def places(self) -> Sequence[Place]:
        return self._found.places

    @property
    def camera(self) -> StackCamera:
        return self._camera

    @property
    def saturated_adu(self) -> float:
        return self._saturated_adu

    @property
    def dark(self) -> Dark:
        return self._dark

    def measured(self, place: int, colour: int) -> LedMask:
        mask = np.zeros(self._board.n_leds, dtype=bool)
        mask[[led for at, led, of in self._found.single if (at, of) == (place, colour)]] = True
        return mask

    def image(self, place: int, led: int, colour: int) -> LedImage:
        key = (place, led, colour)
        if key not in self._cache:
            self._cache[key] = self._read(self._found.single[key])
            while len(self._cache) * self._dark.image.nbytes > CACHE_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def close(self) -> None:
        self._recording.close()

    def _read(self, indices: list[int]) -> LedImage:
        counts = np.zeros(self._dark.image.shape)
        saturated = np.zeros(counts.shape, dtype=bool)
        drive_ms = 0.0
        for index in indices:
            frame = self._recording.frame(index)
            counts += frame.image
            saturated |= frame.image >= self._saturated_adu
            drive_ms += frame.light_dose
        frames = len(indices)
        read_adu2, gain = self._camera.read_variance_adu2, self._camera.gain_e_per_adu
        known = read_adu2 is not None and gain is not None
        return LedImage(
            light=((counts - frames * self._dark.image) / drive_ms).astype(np.float32),
            shot=1 / (gain * drive_ms) if known and gain is not None else None,
            floor=None if read_adu2 is None else frames * (read_adu2 + ROUNDING_ADU2) / drive_ms**2,
            dark_share=frames / drive_ms,
            saturated=saturated if saturated.any() else None,
        )

    def _measure_dark(self) -> Dark:
        indices = self._found.dark
        if not indices:
            if self._camera.offset_adu is None:
                raise NotMeasured(
                    f"{self.source} has no dark frame and does not say the camera's offset.",
                    hint="record a frame under the dark pattern, or give camera.offset_adu (--offset-adu)",
                )
            shape = self._recording.frame(next(iter(self._found.single.values()))[0]).image.shape
            return Dark(np.full(shape, self._camera.offset_adu, dtype=np.float32), 0.0)
        first = self._recording.frame(indices[0]).image
        total = sum((self._recording.frame(index).image for index in indices[1:]), first.astype(np.float64))
        read_adu2 = self._camera.read_variance_adu2
        variance = None if read_adu2 is None else (read_adu2 + ROUNDING_ADU2) / len(indices)
        return Dark((total / len(indices)).astype(np.float32), variance)

    def _saturation(self) -> float:
        if self._camera.saturated_adu is None:
            raise NotMeasured(
                f"{self.source} does not say at which value its camera saturates.",
                hint="give camera.saturated_adu (--saturated-adu): 4095 for a camera of 12 bits",
            )
        return self._camera.saturated_adu


def _told(recording: Recording) -> StackCamera:
    table = recording.header.get("camera")
    if not isinstance(table, dict):
        return StackCamera()
    known = {key: table[key] for key in StackCamera.model_fields if key in table}
    return StackCamera.from_table(known, source=f"the header of {recording.path}")


def _search(recording: Recording, board: LedBoard) -> _Found:
    found = _Found()
    for index, frame in enumerate(recording.frames()):
        _check_board(recording, frame, board)
        lit = np.argwhere(frame.shown.levels)
        if len(lit) == 0:
            found.dark.append(index)
        elif len(lit) == 1:
            led, colour = (int(number) for number in lit[0])
            found.single[_place(found.places, frame), led, colour].append(index)
    if not found.single:
        raise NotMeasured(
            f"None of the {recording.n_frames} frames of {recording.path} was lit by a single LED.",
            hint="record each LED by itself, and a dark frame, to replay any light",
        )
    return found


def _check_board(recording: Recording, frame: Frame, board: LedBoard) -> None:
    if frame.request.pattern.board != board.digest:
        raise ConfigError(
            f"{recording.path} was recorded with another LED board than '{board.name}'.",
            hint="give the rig with which it was recorded (--rig)",
        )


def _place(places: list[Place], frame: Frame) -> int:
    for index, place in enumerate(places):
        if is_at(place, frame.xy_um, frame.z_um):
            return index
    places.append(Place(frame.xy_um, frame.z_um))
    return len(places) - 1


def is_at(place: Place, xy_um: tuple[float, float], z_um: float) -> bool:
    """Whether a position is that place, as far as frames may lie apart to be added."""
    apart: Any = np.abs(np.subtract(place.xy_um, xy_um)).max()
    return bool(apart <= XY_UM and abs(place.z_um - z_um) <= Z_UM)
