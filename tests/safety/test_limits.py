"""No request outside the limits reaches a device, whatever numbers it holds."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.devices import Frame, Observe, Shown
from lsm.errors import ConfigError, LimitExceeded
from lsm.illum import LedBoard, Pattern, bright_field
from lsm.safety import Interlock, Limits

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
LIMITS = Limits(
    x_um=(0.0, 100.0),
    y_um=(-50.0, 50.0),
    z_um=(-10.0, 10.0),
    exposure_ms=(0.1, 20.0),
    capture_dose_led_ms=60.0,
    total_dose_led_ms=200.0,
)


class Spy:
    """A microscope that remembers what reached it."""

    def __init__(self) -> None:
        self.board = BOARD
        self.seen: list[Observe] = []
        self.attempts = 1
        self.fails = False
        self.closed = 0

    def observe(self, request: Observe) -> Frame:
        self.seen.append(request)
        if self.fails:
            raise RuntimeError("camera")
        shown = Shown(request.pattern.levels)
        image = np.zeros((2, 2), np.uint16)
        return Frame(image, request, shown, (0.0, 0.0), 0.0, 0, 1, {"attempts": str(self.attempts)})

    def close(self) -> None:
        self.closed += 1


def one_led(duty: float = 1.0) -> Pattern:
    weights = np.zeros((9, 3))
    weights[4, 1] = duty
    return Pattern.of(BOARD, weights)


anything = st.floats(allow_nan=True, allow_infinity=True, width=64)
near = st.floats(-120.0, 120.0)


@settings(max_examples=400, deadline=None)
@given(x=near | anything, y=near | anything, z=near | anything | st.none(), ms=st.floats(-1.0, 30.0) | anything)
def test_only_requests_inside_every_limit_reach_the_microscope(x: float, y: float, z: float | None, ms: float):
    spy = Spy()
    allowed = 0 <= x <= 100 and -50 <= y <= 50 and (z is None or -10 <= z <= 10) and 0.1 <= ms <= 20
    request = Observe(one_led(), ms, (x, y), z)
    try:
        Interlock(spy, LIMITS).observe(request)
    except LimitExceeded:
        assert not allowed
        assert spy.seen == []
    else:
        assert allowed
        assert len(spy.seen) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.1, 20.0)), max_size=60))
def test_the_light_let_through_never_exceeds_the_total_dose(captures: list[tuple[float, float]]):
    spy = Spy()
    interlock = Interlock(spy, LIMITS)
    for duty, exposure_ms in captures:
        with suppress(LimitExceeded):
            interlock.observe(Observe(one_led(duty), exposure_ms))
    given_led_ms = sum(request.pattern.levels.sum() / 255 * request.exposure_ms for request in spy.seen)
    # the same sum in the same order
    assert given_led_ms == pytest.approx(interlock.spent_led_ms, rel=1e-12)
    assert given_led_ms <= 200.0
    wanted_led_ms = sum(round(duty * 255) / 255 * exposure_ms for duty, exposure_ms in captures)
    # float32 duty in the pattern
    assert wanted_led_ms > 199.0 or len(spy.seen) == len(captures)


@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        (Observe(one_led(), 1.0, (math.nan, 0.0)), "x_um"),
        (Observe(one_led(), 1.0, (0.0, math.inf)), "y_um"),
        (Observe(one_led(), 1.0, None, 11.0), "z_um"),
        (Observe(one_led(), 0.0), "exposure_ms"),
        (Observe(bright_field(BOARD, na=0.9), 10.0), "capture_dose_led_ms"),
    ],
)
def test_a_refusal_names_the_limit(request_: Observe, limit: str):
    with pytest.raises(LimitExceeded, match=rf"{limit} = .* \[") as refusal:
        Interlock(Spy(), LIMITS).observe(request_)
    assert limit in refusal.value.hint


def test_a_failed_capture_and_repeated_attempts_are_charged():
    spy = Spy()
    interlock = Interlock(spy, LIMITS)
    spy.fails = True
    with pytest.raises(RuntimeError):
        interlock.observe(Observe(one_led(), 5.0))
    assert interlock.spent_led_ms == 5.0
    spy.fails, spy.attempts = False, 2
    interlock.observe(Observe(one_led(), 5.0))
    assert interlock.spent_led_ms == 15.0


def test_leaving_the_context_closes_the_microscope_also_after_an_error():
    spy = Spy()
    with pytest.raises(LimitExceeded), Interlock(spy, LIMITS) as interlock:
        interlock.observe(Observe(one_led(), 99.0))
    assert spy.closed == 1
    assert interlock.board is BOARD


def test_limits_refuse_a_reversed_interval_and_numbers_that_are_not_finite():
    good = {"x_um": [0, 1], "y_um": [0, 1], "z_um": [0, 1]}
    with pytest.raises(ConfigError, match="x_um") as reversed_:
        Limits.from_table(good | {"x_um": [2, 1]})
    assert "lower end first" in reversed_.value.hint
    with pytest.raises(ConfigError, match="y_um"):
        Limits.from_table(good | {"y_um": [0, math.nan]})
    with pytest.raises(ConfigError, match="total_dose"):
        Limits.from_table(good | {"total_dose_led_ms": math.inf})
