"""How the frames of a run are laid out as images with axes.

A run visits fields in any order, takes patterns in varying order and comes back, so that no single block of
position x time x channel x focus holds it without holes. An export therefore has several images (OME: series),
each complete and in the order in which it was taken, so that no plane is invented, none is left out and none
changes its place:

- An image begins where the stage has moved by more than a pixel: all planes of an image lie over each other.
- Within a stay, an image is the longest repetition of one cycle of different patterns: A B C A B C is three
  channels at two times, A A A is one channel at three times, and A B B A is two images, A B and B A.
- The repetitions are times; they are planes of focus where the run asked for a focus that rises in equal steps.

Plane by plane an export is the recording: its k-th plane is frame k. A channel is a pattern as it was asked for;
what was really lit is kept beside every plane.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lsm.devices import Frame
from lsm.errors import InputError
from lsm.record.reading import Recording
from lsm.types import DutyLevels

EQUAL_STEPS = 0.01
"""Largest difference of focus steps that count as equal, relative to their mean."""

LARGEST = 1e12
"""Above any size or number of a microscope; JSON may hold integers that no float does."""

OBJECTIVE = ("na", "magnification", "immersion_index")


@dataclass(frozen=True)
class Plane:
    """One frame without its image.

    light: digest of the pattern asked for. elapsed_s: start of the exposure after that of the run's first frame; by
    the monotonic clock, and across a resumption by the computer's wall clock.
    shown: key of the light that was really on in `Layout.lights`. facts: everything else, as JSON values.
    """

    index: int
    light: str
    xy_um: tuple[float, float]
    z_um: float
    asked_z_um: float | None
    exposure_ms: float
    elapsed_s: float
    shown: str
    span_adu: tuple[int, int]
    facts: dict[str, Any]


@dataclass(frozen=True)
class ImageBlock:
    """Planes of one image: `cycle` lights, again and again; the repetitions run along `over`."""

    planes: tuple[Plane, ...]
    cycle: int

    @property
    def repeats(self) -> int:
        return len(self.planes) // self.cycle

    @cached_property
    def over(self) -> Literal["t", "z"]:
        return "t" if self.step_um is None else "z"

    @cached_property
    def step_um(self) -> float | None:
        """Distance of the planes of focus; None where the repetitions are times."""
        asked = [plane.asked_z_um for plane in self.planes]
        if self.repeats < 2 or None in asked:
            return None
        z_um = np.array(asked, dtype=np.float64).reshape(self.repeats, self.cycle)
        steps = np.diff(z_um[:, 0])
        mean = float(steps.mean())
        if np.ptp(z_um, axis=1).any() or mean <= 0 or np.abs(steps - mean).max() > EQUAL_STEPS * mean:
            return None
        return mean

    @property
    def n_times(self) -> int:
        return self.repeats if self.over == "t" else 1

    @property
    def n_foci(self) -> int:
        return self.repeats if self.over == "z" else 1

    def place(self, plane: int) -> tuple[int, int, int]:
        """Time, channel and focus index of the plane of that number in this image."""
        repeat, channel = divmod(plane, self.cycle)
        return (repeat, channel, 0) if self.over == "t" else (0, channel, repeat)

    def span_adu(self, channel: int) -> tuple[int, int]:
        """Smallest and largest value of a channel."""
        spans = [plane.span_adu for plane in self.planes[channel :: self.cycle]]
        return min(low for low, _ in spans), max(high for _, high in spans)


@dataclass(frozen=True)
class Layout:
    """A recording, ready to be written plane by plane.

    names: channel name by digest of the pattern asked for: the pattern's own name, with the digest where several
    patterns have the same. lights: what was really on, as [led, [level per colour]] of the LEDs that shone.
    wall_ns: UTC time of the first exposure since 1970; None in old recordings.
    """

    blocks: tuple[ImageBlock, ...]
    names: dict[str, str]
    lights: dict[str, list[list[Any]]]
    shape_px: tuple[int, int]
    pixel_um: float
    header: dict[str, Any]
    summary: dict[str, Any]
    wall_ns: int | None = None

    @property
    def n_planes(self) -> int:
        return sum(len(block.planes) for block in self.blocks)

    def channels(self, block: ImageBlock) -> tuple[str, ...]:
        """Channel names of an image."""
        return tuple(self.names[plane.light] for plane in block.planes[: block.cycle])

    @property
    def objective(self) -> dict[str, float]:
        """The numbers of OBJECTIVE that the header has, as positive numbers."""
        told = self.header.get("objective")
        table = told if isinstance(told, dict) else {}
        return {key: float(table[key]) for key in OBJECTIVE if _is_positive(table.get(key))}

    @property
    def started(self) -> str | None:
        """Date and time of the first exposure in ISO 8601, UTC; in old recordings of what the header has."""
        # a computer's clock may say anything
        with suppress(TypeError, ValueError, OverflowError, OSError):
            if self.wall_ns is not None:
                return datetime.fromtimestamp(self.wall_ns / 1e9, UTC).isoformat(timespec="milliseconds")
            return datetime.fromisoformat(self.header.get("started", "")).isoformat()
        return None


def plan(recording: Recording, *, pixel_um: float | None) -> Layout:
    """The layout of the frames that the recording holds at this moment; reads each once, keeps no image.

    pixel_um: camera pixel at the sample; None takes the recording's own.
    Raises InputError where there is no frame or no pixel size, RecordError for a damaged recording.
    """
    if recording.n_frames == 0:
        raise InputError(f"{recording.path} holds no frame to export.", hint="lsm record info says what it holds")
    pixel = pixel_of(recording, pixel_um)
    lights: dict[str, list[list[Any]]] = {}
    called: dict[str, str] = {}
    planes: list[Plane] = []
    clock = _Clock(recording)
    shape_px = (0, 0)
    for index, frame in enumerate(recording.frames()):
        plane = _plane(index, frame, clock.elapsed_s(index, frame), recording.decision(index), lights)
        called.setdefault(plane.light, frame.request.pattern.name)
        planes.append(plane)
        rows, columns = frame.image.shape
        shape_px = (rows, columns)
    return Layout(
        tuple(_blocks(planes, pixel)),
        _names(called),
        lights,
        shape_px,
        pixel,
        recording.header,
        recording.summary,
        recording.wall_ns(0),
    )


class _Clock:
    """Seconds since the first exposure; each session of a resumed run has a monotonic clock of its own."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._begun: dict[int, tuple[int, int]] = {}
        self._first_wall_ns = recording.wall_ns(0) or 0

    def elapsed_s(self, index: int, frame: Frame) -> float:
        row = self._recording.row(index)
        session = int(row["session"]) if "session" in row.dtype.names else 0
        if session not in self._begun:
            self._begun[session] = (frame.started_ns, (self._recording.wall_ns(index) or 0) - self._first_wall_ns)
        started_ns, later_ns = self._begun[session]
        return (later_ns + frame.started_ns - started_ns) / 1e9


def pixel_of(recording: Recording, pixel_um: float | None) -> float:
    """The pixel given, else the one in the header. Raises InputError where neither is a positive number."""
    told: Any = recording.header.get("camera_pixel_um")
    pixel: Any = told if pixel_um is None else pixel_um
    if not _is_positive(pixel):
        said = "does not say how large its pixels are" if pixel is None else f"has pixels of {pixel!r} um"
        raise InputError(
            f"{recording.path} {said}.", hint="give --pixel-um: camera pixel / magnification, in micrometres"
        )
    return float(pixel)


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST


def _plane(
    index: int, frame: Frame, elapsed_s: float, decision: dict[str, Any], lights: dict[str, list[list[Any]]]
) -> Plane:
    request = frame.request
    shown = hashlib.sha256(frame.shown.levels.tobytes()).hexdigest()[:12]
    if shown not in lights:
        lights[shown] = _lit(frame.shown.levels)
    facts = {
        "frame": index,
        "pattern": request.pattern.name,
        "requested": {"xy_um": request.xy_um, "z_um": request.z_um, "exposure_ms": request.exposure_ms},
        "shown": shown,
        "limited": frame.shown.limited,
        "latch": frame.shown.latch,
        "xy_um": [known(axis) for axis in frame.xy_um],
        "z_um": known(frame.z_um),
        "started_ns": frame.started_ns,
        "ended_ns": frame.ended_ns,
        "decision": decision,
        "metadata": dict(frame.metadata),
    }
    span_adu = (int(frame.image.min()), int(frame.image.max()))
    return Plane(
        index, request.pattern.digest, frame.xy_um, frame.z_um, request.z_um, request.exposure_ms, elapsed_s, shown,
        span_adu, facts,
    )  # fmt: skip


def _lit(levels: DutyLevels) -> list[list[Any]]:
    return [[int(led), levels[led].tolist()] for led in np.flatnonzero(levels.any(axis=1))]


def _blocks(planes: Sequence[Plane], pixel_um: float) -> Iterator[ImageBlock]:
    for stay in _stays(planes, pixel_um):
        start = 0
        while start < len(stay):
            cycle, repeats = _cycle([plane.light for plane in stay[start:]])
            yield ImageBlock(tuple(stay[start : start + cycle * repeats]), cycle)
            start += cycle * repeats


def _stays(planes: Sequence[Plane], pixel_um: float) -> Iterator[Sequence[Plane]]:
    start = 0
    for index in range(1, len(planes) + 1):
        if index == len(planes) or max(_apart_um(planes[start], planes[index])) > pixel_um:
            yield planes[start:index]
            start = index


def _apart_um(one: Plane, other: Plane) -> tuple[float, float]:
    return abs(one.xy_um[0] - other.xy_um[0]), abs(one.xy_um[1] - other.xy_um[1])


def _cycle(lights: Sequence[str]) -> tuple[int, int]:
    """Length of the first run of different lights, and how often it follows itself."""
    length = next((n for n, light in enumerate(lights) if light in lights[:n]), len(lights))
    repeats = 1
    while lights[repeats * length : (repeats + 1) * length] == lights[:length]:
        repeats += 1
    return length, repeats


def _names(called: dict[str, str]) -> dict[str, str]:
    clean = {light: printable(name) for light, name in called.items()}
    times = Counter(clean.values())
    return {
        light: name if name and times[name] == 1 else f"{name or 'pattern'} {light[:6]}"
        for light, name in clean.items()
    }


def known(value: float) -> float | None:
    """The value, or None for NaN and infinity, which JSON and XML have no words for."""
    return value if np.isfinite(value) else None


def printable(text: str) -> str:
    """The text with ? for what neither XML nor a screen can show."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
