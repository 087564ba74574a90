"""The limits of a rig: travel, exposure and light dose."""

import math
from typing import Annotated

from pydantic import AfterValidator, Field

from lsm.config import Config
from lsm.devices import Observe
from lsm.errors import LimitExceeded


def _ordered(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError("give the lower end first")
    return interval


Interval = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Closed interval [lowest, highest]."""


class Limits(Config):
    """What a request may ask of the rig; every interval is closed.

    x_um, y_um, z_um: travel of stage and focus.
    exposure_ms: one exposure.
    capture_dose_led_ms, total_dose_led_ms: light of one capture, and of all captures since the rig was
    connected, in LED channels at full drive times milliseconds (the unit of Frame.light_dose).
    """

    x_um: Interval
    y_um: Interval
    z_um: Interval
    exposure_ms: Interval = (0.01, 1000.0)
    capture_dose_led_ms: float = Field(default=20_000.0, gt=0)
    total_dose_led_ms: float = Field(default=50_000_000.0, gt=0)

    def check(self, request: Observe, *, spent_led_ms: float = 0.0) -> None:
        """Raise LimitExceeded for the first limit that the request breaks; NaN and infinity break every limit.

        spent_led_ms: light dose of the captures before this one.
        """
        _inside("exposure_ms", request.exposure_ms, self.exposure_ms)
        if request.xy_um is not None:
            _inside("x_um", request.xy_um[0], self.x_um)
            _inside("y_um", request.xy_um[1], self.y_um)
        if request.z_um is not None:
            _inside("z_um", request.z_um, self.z_um)
        dose = requested_dose_led_ms(request)
        _inside("capture_dose_led_ms", dose, (0.0, self.capture_dose_led_ms))
        _inside("total_dose_led_ms", spent_led_ms + dose, (0.0, self.total_dose_led_ms))


def requested_dose_led_ms(request: Observe) -> float:
    """Light that the request asks for: LED channels at full drive times milliseconds.

    Counted from the 8-bit levels that a board holds, so it is never below what the board then emits.
    """
    return float(request.pattern.levels.sum(dtype="int64")) / 255 * request.exposure_ms


def _inside(limit: str, value: float, interval: tuple[float, float]) -> None:
    low, high = interval
    if not (math.isfinite(value) and low <= value <= high):
        raise LimitExceeded(
            f"{limit} = {value:g} is outside the rig's limit {limit} = [{low:g}, {high:g}]; nothing moved or lit.",
            hint=f"stay inside, or change limits.{limit} in the rig file if the hardware allows it",
        )
