"""What a microscope is: the values that go in and come out, and the contracts of its devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from lsm.illum import LedBoard, Pattern
from lsm.types import DutyLevels, Image


@dataclass(frozen=True)
class Observe:
    """One capture as requested.

    xy_um, z_um: stage and focus position; None leaves the axis where it is.
    exposure_ms: how long the camera collects light.
    """

    pattern: Pattern
    exposure_ms: float
    xy_um: tuple[float, float] | None = None
    z_um: float | None = None


@dataclass(frozen=True)
class Burst:
    """Captures at one place, one pattern after the other at one exposure, in the camera's own rhythm.

    xy_um, z_um: where; None leaves the axis where it is.
    """

    patterns: tuple[Pattern, ...]
    exposure_ms: float
    xy_um: tuple[float, float] | None = None
    z_um: float | None = None

    def requests(self) -> tuple[Observe, ...]:
        """The same captures one by one: what each frame of the burst answers."""
        return tuple(Observe(pattern, self.exposure_ms, self.xy_um, self.z_um) for pattern in self.patterns)


@dataclass(frozen=True, eq=False)
class Shown:
    """The light that was really on, as the board itself reports it.

    levels: 8-bit drive per LED and colour, read back from what was latched.
    limited: the board scaled the request down to stay inside its current limit.
    latch: the board's count of latched frames, to match its own log.
    """

    levels: DutyLevels
    limited: bool = False
    latch: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """One capture as it happened.

    image: ADU [y, x], row 0 at the smallest stage y.
    xy_um, z_um: positions read back after the exposure.
    started_ns, ended_ns: monotonic clock around the exposure.
    """

    image: Image
    request: Observe
    shown: Shown
    xy_um: tuple[float, float]
    z_um: float
    started_ns: int
    ended_ns: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def exposure_ms(self) -> float:
        return self.request.exposure_ms

    @property
    def light_dose(self) -> float:
        """Light emitted during the exposure: LED channels at full drive times milliseconds."""
        return float(self.shown.levels.sum(dtype="int64")) / 255 * self.request.exposure_ms


@runtime_checkable
class Illuminator(Protocol):
    """A light source with a board."""

    @property
    def board(self) -> LedBoard: ...

    def show(self, pattern: Pattern, *, hold_ms: float) -> Shown:
        """Latch all LEDs on one edge and return what the board reads back as lit.

        The light goes dark by itself when nothing is heard from the host for longer than
        `hold_ms` (never less than the board's default watchdog).
        Raises IlluminatorTimeout: the LEDs are dark or go dark within the watchdog time.
        """
        ...

    def still_lit(self, shown: Shown) -> bool:
        """True where the light has been exactly `shown` ever since it was latched.

        False where the board's watchdog turned it dark, or anything else was latched, in between.
        Raises IlluminatorTimeout.
        """
        ...

    def dark(self) -> None:
        """All LEDs off before returning; works in every state. Raises IlluminatorTimeout."""
        ...

    def close(self) -> None:
        """Dark, then release the device; never raises for a board that is gone."""
        ...


@runtime_checkable
class CurrentLimited(Protocol):
    """A light source, or a microscope with one, that dims what draws more than its limit."""

    def current_limit_ma(self) -> float | None:
        """The limit as it is now; None where there is none, or nobody can tell. Raises IlluminatorTimeout."""
        ...


@runtime_checkable
class Microscope(Protocol):
    """Anything that answers observe(): computed, simulated down to the firmware, real, or replayed."""

    @property
    def board(self) -> LedBoard: ...

    def observe(self, request: Observe) -> Frame:
        """Move, light, expose, go dark, and return the frame with the light that was really on.

        Blocks until the image is there. On any failure the light is off when it raises:
        LimitExceeded (nothing moved), StageError, CameraError, IlluminatorError.
        """
        ...

    def close(self) -> None:
        """Light off, devices released; may be called twice."""
        ...


@runtime_checkable
class BurstMicroscope(Microscope, Protocol):
    """A microscope whose camera and board step through patterns together, without the host in between."""

    def burst(self, request: Burst) -> tuple[Frame, ...]:
        """One frame per pattern, in their order, each with the light that was really on; then dark.

        All or none: when a frame is missing, doubled or lit by another pattern it raises as observe() does.
        """
        ...


@runtime_checkable
class LocatedMicroscope(Microscope, Protocol):
    """A microscope that tells without an exposure where its stage and focus are."""

    def where(self) -> tuple[tuple[float, float], float]:
        """Positions in micrometres, read now: stage (x, y) and focus; 0 for an axis without a device.

        Raises StageError.
        """
        ...


@runtime_checkable
class HaltingMicroscope(Microscope, Protocol):
    """A microscope that another thread can stop, whatever it is doing."""

    def halt(self) -> None:
        """Dark, then still; from any thread, at any time, as often as wanted.

        Returns when the light source has acknowledged the dark. What is under way, and whatever is asked from then
        on, raises Halted. Raises IlluminatorTimeout (the LEDs go dark by their watchdog) and StageError (a drive did
        not answer); it is halted all the same.
        """
        ...

    def release(self) -> None:
        """Serve requests again. Moves and lights nothing."""
        ...


def observe_all(microscope: Microscope, request: Burst) -> tuple[Frame, ...]:
    """The frames of a burst, by `burst` where the microscope has it, else one by one with `observe`."""
    if isinstance(microscope, BurstMicroscope):
        return microscope.burst(request)
    return tuple(microscope.observe(single) for single in request.requests())
