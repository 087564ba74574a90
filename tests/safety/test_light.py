"""Light by place, over time and in bursts, and what is charged when something fails."""

import itertools
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.devices import Burst, BurstMicroscope, Frame, Microscope, Observe, Shown, observe_all
from lsm.errors import CameraError, LimitExceeded, WrongFormat
from lsm.illum import LedBoard, Pattern, bright_field, dark, single_led
from lsm.safety import Clock, Interlock, Limits

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
ONE = single_led(BOARD, 4)
WIDE = {"x_um": [-1000, 1000], "y_um": [-1000, 1000], "z_um": [-100, 100], "field_um": 100}


class Lamp:
    """A microscope without bursts that remembers its light by place."""

    def __init__(self) -> None:
        self.board = BOARD
        self.xy_um = (0.0, 0.0)
        self.given: list[tuple[tuple[float, float], float]] = []
        self.calls = 0
        self.fails_at = -1
        self.now_s = 0.0

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.now_s, sleep_s=lambda seconds: None)

    def observe(self, request: Observe) -> Frame:
        self.calls += 1
        self.xy_um = request.xy_um or self.xy_um
        dose = float(request.pattern.levels.sum()) / 255 * request.exposure_ms
        self.given.append((self.xy_um, dose))
        if self.calls == self.fails_at:
            raise CameraError("no image")
        image = np.zeros((2, 2), np.uint16)
        return Frame(image, request, Shown(request.pattern.levels), self.xy_um, request.z_um or 0.0, 0, 1)

    def close(self) -> None: ...


class BurstLamp(Lamp):
    """One with bursts."""

    def burst(self, request: Burst) -> tuple[Frame, ...]:
        return tuple(self.observe(each) for each in request.requests())


def guard(lamp: Lamp, **limits: object) -> Interlock:
    return Interlock(lamp, Limits.from_table(WIDE | limits), clock=lamp.clock())


spots = st.tuples(st.floats(-300, 300), st.floats(-300, 300))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(spots, st.floats(0.1, 10)), max_size=40), st.lists(spots, min_size=3, max_size=10))
def test_no_point_of_the_sample_gets_more_than_its_limit(
    captures: list[tuple[tuple[float, float], float]], points: list[tuple[float, float]]
):
    lamp = Lamp()
    scope = guard(lamp, field_dose_led_ms=15.0)
    for xy_um, exposure_ms in captures:
        before = (lamp.calls, scope.spent_led_ms)
        with suppress(LimitExceeded):
            scope.observe(Observe(ONE, exposure_ms, xy_um))
        assert lamp.calls - before[0] == (scope.spent_led_ms > before[1])
    for point in [*points, *(xy_um for xy_um, _ in captures)]:
        had = sum(dose for xy_um, dose in lamp.given if max(abs(a - b) for a, b in zip(xy_um, point, strict=True)) < 50)
        # sums in another order
        assert had <= 15.0 * (1 + 1e-12)
        assert had <= scope.spent_at_led_ms(point) * (1 + 1e-12)


def test_a_scan_on_the_grid_of_fields_is_charged_once_per_field():
    lamp = Lamp()
    scope = guard(lamp, field_dose_led_ms=10.0)
    for column, row in itertools.product(range(-3, 3), repeat=2):
        scope.observe(Observe(ONE, 10.0, (100.0 * column + 50, 100.0 * row + 50)))
    with pytest.raises(LimitExceeded, match="field_dose_led_ms"):
        scope.observe(Observe(ONE, 0.1, (50.0, 50.0)))


def test_light_of_an_unknown_place_counts_everywhere():
    scope = guard(Lamp(), field_dose_led_ms=10.0)
    scope.observe(Observe(ONE, 6.0))
    with pytest.raises(LimitExceeded, match="field_dose_led_ms"):
        scope.observe(Observe(ONE, 6.0, (900.0, 900.0)))
    scope.observe(Observe(ONE, 4.0, (900.0, 900.0)))


def test_a_run_that_goes_on_remembers_its_light():
    first, second = guard(Lamp()), guard(Lamp(), field_dose_led_ms=10.0, total_dose_led_ms=20.0)
    for xy_um in ((50.0, 50.0), (450.0, 50.0)):
        second.charge(first.observe(Observe(ONE, 8.0, xy_um)))
    assert second.spent_led_ms == first.spent_led_ms == 16.0
    assert second.spent_at_led_ms((50.0, 50.0)) == 8.0
    with pytest.raises(LimitExceeded, match="field_dose_led_ms"):
        second.observe(Observe(ONE, 3.0, (50.0, 50.0)))
    with pytest.raises(LimitExceeded, match="total_dose_led_ms"):
        second.observe(Observe(ONE, 5.0, (-450.0, 50.0)))


def test_the_current_of_a_light_is_limited_by_channel():
    green, red = bright_field(BOARD, na=0.1), bright_field(BOARD, na=0.1, colour=0)
    scope = guard(Lamp(), current_ma=160.0, channel_ma=[30.0, 15.0, 10.0])
    assert scope.limits.drawn_ma(red) == pytest.approx(270.0)
    scope.observe(Observe(green, 1.0))
    with pytest.raises(LimitExceeded, match="current_ma = 270 "):
        scope.observe(Observe(red, 1.0))
    with pytest.raises(LimitExceeded, match="channel_ma"):
        guard(Lamp(), current_ma=160.0, channel_ma=[30.0, 15.0]).observe(Observe(green, 1.0))


def test_hot_leds_have_to_cool():
    lamp = Lamp()
    # 20 mA for a share 1 - exp(-t / 10 s) of the time constant: 5 mA after 2.877 s
    scope = guard(lamp, mean_current_ma=5.0, thermal_s=10.0, exposure_ms=[0.01, 5000.0])
    scope.observe(Observe(ONE, 2800.0))
    with pytest.raises(LimitExceeded, match="mean_current_ma"):
        scope.observe(Observe(ONE, 100.0))
    lamp.now_s += 2.8
    assert scope.mean_current_ma == pytest.approx(20 * (1 - math.exp(-0.28)))
    lamp.now_s += 10
    assert scope.mean_current_ma == pytest.approx(20 * (1 - math.exp(-0.28)) / math.e)
    scope.observe(Observe(ONE, 100.0))


def test_heat_is_counted_where_exposures_take_no_time():
    lamp = Lamp()
    scope = guard(lamp, mean_current_ma=5.0, thermal_s=1.0)
    # 20 (1 - exp(-t)) = 5 at t = 0.2877 s
    for _ in range(28):
        scope.observe(Observe(ONE, 10.0))
    with pytest.raises(LimitExceeded, match="mean_current_ma"):
        scope.observe(Observe(ONE, 10.0))


def test_a_dark_capture_that_fails_at_once_has_cooled_nothing():
    lamp = Lamp()
    scope = guard(lamp, mean_current_ma=5.0, thermal_s=1.0)
    for _ in range(28):
        scope.observe(Observe(ONE, 10.0))
    lamp.now_s += 0.28
    hot_ma = scope.mean_current_ma
    lamp.fails_at = lamp.calls + 1
    with pytest.raises(CameraError):
        scope.observe(Observe(dark(BOARD), 500.0))
    assert scope.mean_current_ma == pytest.approx(hot_ma)
    with pytest.raises(LimitExceeded, match="mean_current_ma"):
        scope.observe(Observe(ONE, 10.0))


def burst_of(*patterns: Pattern, exposure_ms: float = 5.0) -> Burst:
    return Burst(patterns, exposure_ms, (10.0, 20.0), 1.0)


@pytest.mark.parametrize("lamp", [Lamp(), BurstLamp()], ids=["one by one", "burst"])
def test_a_burst_passes_through_and_is_charged(lamp: Lamp):
    scope = guard(lamp)
    assert isinstance(scope, BurstMicroscope)
    frames = observe_all(scope, burst_of(ONE, single_led(BOARD, 1), ONE))
    assert [frame.request for frame in frames] == list(burst_of(ONE, single_led(BOARD, 1), ONE).requests())
    assert scope.spent_led_ms == scope.spent_at_led_ms((10.0, 20.0)) == 15.0
    with pytest.raises(WrongFormat, match="no patterns"):
        scope.burst(burst_of())


@pytest.mark.parametrize("lamp_kind", [Lamp, BurstLamp])
@pytest.mark.parametrize("name", ["field_dose_led_ms", "total_dose_led_ms"])
def test_a_burst_is_checked_as_a_whole(lamp_kind: type[Lamp], name: str):
    lamp = lamp_kind()
    scope = guard(lamp, **{name: 14.0})
    with pytest.raises(LimitExceeded, match=name):
        scope.burst(burst_of(ONE, ONE, ONE))
    assert (lamp.calls, scope.spent_led_ms) == (0, 0.0)


@pytest.mark.parametrize(("lamp_kind", "charged"), [(Lamp, 15.0), (BurstLamp, 20.0)])
def test_a_burst_that_fails_is_paid_as_far_as_it_may_have_shone(lamp_kind: type[Lamp], charged: float):
    lamp = lamp_kind()
    lamp.fails_at = 2
    scope = guard(lamp)
    with pytest.raises(CameraError):
        scope.burst(burst_of(ONE, ONE, ONE))
    # the one that failed may have been repeated
    assert scope.spent_led_ms == charged


def test_a_failed_capture_is_charged_where_it_was_sent():
    lamp = Lamp()
    lamp.fails_at = 1
    scope = guard(lamp)
    with pytest.raises(CameraError):
        scope.observe(Observe(ONE, 5.0, (10.0, 20.0)))
    # it may have been repeated before the microscope gave up
    assert scope.spent_at_led_ms((10.0, 20.0)) == 10.0
    assert scope.spent_at_led_ms((500.0, 20.0)) == 0.0


@pytest.mark.parametrize("lamp_kind", [Lamp, BurstLamp])
def test_what_the_microscope_itself_refuses_costs_nothing(lamp_kind: type[Lamp], monkeypatch: pytest.MonkeyPatch):
    lamp = lamp_kind()
    scope = guard(lamp, mean_current_ma=100.0)
    scope.observe(Observe(ONE, 5.0, (10.0, 20.0)))
    before = (scope.spent_led_ms, scope.spent_at_led_ms((10.0, 20.0)), scope.mean_current_ma)

    def refuse(request: Observe) -> Frame:
        raise LimitExceeded("too long", hint="shorten it")

    monkeypatch.setattr(lamp, "observe", refuse)
    for xy_um in ((10.0, 20.0), (500.0, 20.0), None):
        with pytest.raises(LimitExceeded, match="too long"):
            scope.observe(Observe(ONE, 7.0, xy_um))
        with pytest.raises(LimitExceeded, match="too long"):
            scope.burst(Burst((ONE, ONE), 7.0, xy_um))
    assert (scope.spent_led_ms, scope.spent_at_led_ms((10.0, 20.0)), scope.mean_current_ma) == before
    assert scope.spent_at_led_ms((500.0, 20.0)) == 0.0


def raw(**entries: object) -> Observe:
    """A request with entries that no type checker lets through."""
    request = Observe(ONE, 5.0, (1.0, 2.0), 3.0)
    for name, value in entries.items():
        object.__setattr__(request, name, value)
    return request


@pytest.mark.parametrize(
    "entries",
    [
        {"exposure_ms": "5"},
        {"exposure_ms": True},
        {"exposure_ms": np.array([5.0])},
        {"exposure_ms": 10**400},
        {"xy_um": "12"},
        {"xy_um": (1.0, 2.0, 3.0)},
        {"xy_um": (1.0, None)},
        {"z_um": complex(1, 2)},
        {"pattern": "bright field"},
    ],
)
def test_what_is_no_number_is_an_error_and_not_a_crash(entries: dict[str, object]):
    lamp = Lamp()
    with pytest.raises(WrongFormat):
        guard(lamp).observe(raw(**entries))
    assert lamp.calls == 0


class Liar(float):
    """A number that says another thing each time."""

    def __float__(self) -> float:
        return 5000.0


def test_devices_get_the_number_that_was_checked():
    lamp = Lamp()
    with pytest.raises(LimitExceeded, match="x_um = 5000"):
        guard(lamp).observe(raw(xy_um=(Liar(1.0), 0.0)))
    guard(lamp).observe(raw(xy_um=(np.float32(7.0), np.int64(8)), z_um=np.float64(3.0)))
    assert [(type(value), value) for value in lamp.xy_um] == [(float, 7.0), (float, 8.0)]


def test_the_guard_is_a_microscope():
    assert isinstance(guard(Lamp()), Microscope)
