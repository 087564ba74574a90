"""The limits of a rig: travel, what the objective may not touch, speed, exposure, light and heat."""

import math
import numbers
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from lsm.config import Config
from lsm.devices import Burst, Observe
from lsm.errors import LimitExceeded, WrongFormat
from lsm.illum import Pattern
from lsm.illum.drive import FIRMWARE_CHANNEL_MA, PerChannel


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("give the lower end first")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Closed interval [lowest, highest]."""

Positive = Annotated[float, Field(gt=0)]


class Obstacle(Config):
    """A rectangle of stage positions, such as a clip of the slide holder, over which only this focus is allowed."""

    x_um: Interval
    y_um: Interval
    z_um: Interval


class Limits(Config):
    """What a request may ask of the rig; every interval is closed. What is None is not limited here.

    x_um, y_um, z_um: travel of stage and focus.
    z_floor_um, z_ceiling_um: where objective and slide touch, whatever the drive could travel; which of them it is
    depends on the way the drive counts.
    obstacles: places with narrower focus. Neither a position nor the box that a move may pass through is allowed
    over one with another focus.
    safe_z_um: focus at which the objective is clear of everything. Moves longer than `long_move_um`, and those that
    an obstacle blocks, go there first, then sideways, then to their focus, each step ended by a dark frame.
    xy_speed_um_per_s, z_speed_um_per_s: a move waits until the time that its way takes at this speed has passed since
    the axis was sent anywhere before. It bounds what a stage is asked for over time; how fast it goes between two
    points is a property of the device, to be set in `properties` of the rig file.
    exposure_ms: one exposure.
    capture_dose_led_ms, field_dose_led_ms, total_dose_led_ms: light of one capture, of all captures that show one
    point of the sample, and of all captures since the rig was connected, in LED channels at full drive times
    milliseconds (the unit of Frame.light_dose).
    field_um: side of the square that a capture shows, and of the cells in which `field_dose_led_ms` is counted.
    current_ma: supply current of one light, `channel_ma` being that of one LED channel at full drive, for each colour
    or for all. The firmware has a limit of its own below which it dims the light; this one refuses it.
    mean_current_ma: mean supply current, over `thermal_s` with exponentially fading memory: what heats the board.
    """

    x_um: Interval
    y_um: Interval
    z_um: Interval
    z_floor_um: float | None = None
    z_ceiling_um: float | None = None
    obstacles: tuple[Obstacle, ...] = ()
    safe_z_um: float | None = None
    long_move_um: Positive = 1000.0
    xy_speed_um_per_s: Positive | None = None
    z_speed_um_per_s: Positive | None = None
    exposure_ms: Interval = (0.01, 1000.0)
    capture_dose_led_ms: Positive = 20_000.0
    field_dose_led_ms: Positive = 10_000_000.0
    total_dose_led_ms: Positive = 50_000_000.0
    field_um: Positive = 200.0
    current_ma: Positive | None = None
    channel_ma: PerChannel = (FIRMWARE_CHANNEL_MA,)
    mean_current_ma: Positive | None = None
    thermal_s: Positive = 60.0

    @model_validator(mode="after")
    def _something_is_allowed(self) -> "Limits":
        low_um, high_um = self.free_z_um
        if low_um > high_um:
            raise ValueError(f"z_floor_um and z_ceiling_um leave nothing of z_um = {list(self.z_um)}")
        narrow = [(low_um, high_um), *(obstacle.z_um for obstacle in self.obstacles)]
        safe_um = self.safe_z_um
        if safe_um is not None and not all(low <= safe_um <= high for low, high in narrow):
            raise ValueError(f"safe_z_um = {safe_um:g} is itself not allowed: it must clear floor and obstacles")
        return self

    @property
    def free_z_um(self) -> Interval:
        """Focus that is allowed away from obstacles."""
        low_um, high_um = self.z_um
        floor_um = low_um if self.z_floor_um is None else max(low_um, self.z_floor_um)
        return floor_um, high_um if self.z_ceiling_um is None else min(high_um, self.z_ceiling_um)

    @property
    def depend_on_place(self) -> bool:
        """Whether what is allowed depends on where stage and focus are."""
        speeds = (self.xy_speed_um_per_s, self.z_speed_um_per_s)
        bounds = (self.z_floor_um, self.z_ceiling_um, self.safe_z_um)
        return bool(self.obstacles) or any(limit is not None for limit in (*speeds, *bounds))

    def check(self, request: Observe, *, spent_led_ms: float = 0.0) -> None:
        """Raise LimitExceeded for the first limit that the request breaks; NaN and infinity break every limit.

        spent_led_ms: light dose of the captures before this one. What depends on where the stage is, on the
        light of one field or on time is checked by Interlock.
        """
        inside("exposure_ms", request.exposure_ms, self.exposure_ms)
        if request.xy_um is not None:
            inside("x_um", request.xy_um[0], self.x_um)
            inside("y_um", request.xy_um[1], self.y_um)
        if request.z_um is not None:
            inside("z_um", request.z_um, self.z_um)
            self.check_floor(request.z_um)
        dose = requested_dose_led_ms(request)
        inside("capture_dose_led_ms", dose, (0.0, self.capture_dose_led_ms))
        inside("total_dose_led_ms", spent_led_ms + dose, (0.0, self.total_dose_led_ms))
        if self.current_ma is not None:
            inside("current_ma", self.drawn_ma(request.pattern), (0.0, self.current_ma))

    def check_sideways(self, z_um: float) -> None:
        """Raise LimitExceeded where the stage may not move because the focus, which nobody sent there, is outside."""
        inside("z_um", z_um, self.z_um, why=", where the focus stands: it has to come inside before the stage moves")
        self.check_floor(z_um)

    def check_floor(self, z_um: float) -> None:
        """Raise LimitExceeded where objective and slide would touch at this focus."""
        if self.z_floor_um is not None:
            inside("z_floor_um", z_um, (self.z_floor_um, math.inf))
        if self.z_ceiling_um is not None:
            inside("z_ceiling_um", z_um, (-math.inf, self.z_ceiling_um))

    def drawn_ma(self, pattern: Pattern) -> float:
        """Supply current of a pattern, mA, without the board's own dimming. Raises LimitExceeded for other colours."""
        each_ma = self.channel_ma if len(self.channel_ma) > 1 else self.channel_ma * pattern.n_colours
        if len(each_ma) != pattern.n_colours:
            raise LimitExceeded(
                f"The pattern '{pattern.name}' has {pattern.n_colours} colours, limits.channel_ma {len(each_ma)}.",
                hint="give limits.channel_ma one number for all colours, or one for each",
            )
        levels = pattern.levels.sum(axis=0, dtype="int64")
        return sum(float(level) / 255 * ma for level, ma in zip(levels, each_ma, strict=True))


def plain_request(request: Observe) -> Observe:
    """The same request with plain floats, so that what was checked is what a device gets.

    Raises WrongFormat for what is not a number, a pair of numbers or a pattern.
    """
    _is_pattern(request.pattern)
    exposure_ms, xy_um, z_um = _numbers(request.exposure_ms, request.xy_um, request.z_um)
    return Observe(request.pattern, exposure_ms, xy_um, z_um)


def plain_burst(request: Burst) -> Burst:
    """The same for a burst. Raises WrongFormat."""
    patterns = tuple(request.patterns)
    for pattern in patterns:
        _is_pattern(pattern)
    return Burst(patterns, *_numbers(request.exposure_ms, request.xy_um, request.z_um))


def requested_dose_led_ms(request: Observe) -> float:
    """Light that the request asks for: LED channels at full drive times milliseconds.

    Counted from the 8-bit levels that a board holds, so it is never below what the board then emits.
    """
    return float(request.pattern.levels.sum(dtype="int64")) / 255 * request.exposure_ms


def inside(limit: str, value: float, interval: tuple[float, float], *, why: str = "") -> None:
    """Raise LimitExceeded, naming the limit, unless the value is finite and in the closed interval."""
    low, high = interval
    if not (math.isfinite(value) and low <= value <= high):
        raise LimitExceeded(
            f"{limit} = {value:g} is outside the rig's limit {limit} = [{low:g}, {high:g}]{why}; nothing moved or lit.",
            hint=f"stay inside, or change limits.{limit} in the rig file if the hardware allows it",
        )


def _numbers(
    exposure_ms: object, xy_um: object, z_um: object
) -> tuple[float, tuple[float, float] | None, float | None]:
    plain_xy_um = None
    if xy_um is not None:
        if isinstance(xy_um, str) or not isinstance(xy_um, Sequence) or len(xy_um) != 2:
            raise WrongFormat(f"xy_um = {xy_um!r:.80} is no position.", hint="give (x, y) in micrometres, or None")
        plain_xy_um = (_number("x_um", xy_um[0]), _number("y_um", xy_um[1]))
    return _number("exposure_ms", exposure_ms), plain_xy_um, None if z_um is None else _number("z_um", z_um)


def _number(name: str, value: object) -> float:
    if isinstance(value, float):
        return float(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise WrongFormat(f"{name} is too large for any number.", hint="give a finite number") from error
    raise WrongFormat(f"{name} = {value!r:.80} is {type(value).__name__}, not a number.", hint="give a finite number")


def _is_pattern(pattern: object) -> None:
    if not isinstance(pattern, Pattern):
        raise WrongFormat(
            f"The light {pattern!r:.80} is {type(pattern).__name__}, not a Pattern.",
            hint="build patterns on microscope.board, for example bright_field(board, na=0.1)",
        )
