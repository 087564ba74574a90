"""Floor, obstacles, the safe height and speed: what is allowed depends on where stage and focus are."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.devices import Frame, Observe, Shown
from lsm.errors import ConfigError, LimitExceeded, StageError
from lsm.illum import LedBoard, dark, single_led
from lsm.safety import Clock, Interlock, Limits

BOARD = LedBoard.grid(rows=3, columns=3, pitch_mm=3.0, distance_mm=50.0)
LIGHT = single_led(BOARD, 4)
WIDE = {"x_um": [-1000, 1000], "y_um": [-1000, 1000], "z_um": [-100, 100]}
CLIP = {"x_um": [200, 300], "y_um": [-50, 50], "z_um": [40, 100]}
BACK_AGAIN = ((0.0, 0.0, 50.0), (400.0, 0.0, 50.0), (400.0, 0.0, -10.0))


class Stage:
    """A microscope that remembers every place it was sent to, from (0, 0, 0) on, and when."""

    def __init__(self) -> None:
        self.board = BOARD
        self.place = (0.0, 0.0, 0.0)
        self.way: list[tuple[float, float, float]] = []
        self.times_s: list[float] = []
        self.lit: list[bool] = []
        self.now_s = 0.0
        self.sticks = False

    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.now_s += seconds

        return Clock(now_s=lambda: self.now_s, sleep_s=sleep)

    def observe(self, request: Observe) -> Frame:
        x, y = request.xy_um or self.place[:2]
        wanted = (x, y, self.place[2] if request.z_um is None else request.z_um)
        if self.sticks and wanted != self.place:
            self.place = tuple((a + b) / 2 for a, b in zip(self.place, wanted, strict=True))
            raise StageError("stuck")
        if wanted != self.place:
            self.way.append(wanted)
            self.times_s.append(self.now_s)
        self.lit.append(bool(request.pattern.levels.any()))
        self.place = wanted
        image = np.zeros((2, 2), np.uint16)
        return Frame(image, request, Shown(request.pattern.levels), self.place[:2], self.place[2], 0, 1)

    def close(self) -> None: ...


def guard(stage: Stage, **limits: object) -> Interlock:
    return Interlock(stage, Limits.from_table(WIDE | limits), clock=stage.clock())


@pytest.mark.parametrize(
    ("limits", "z_um", "name"),
    [({"z_floor_um": -20}, -20.5, "z_floor_um"), ({"z_ceiling_um": 20}, 20.5, "z_ceiling_um")],
)
def test_the_objective_never_reaches_the_slide(limits: dict[str, float], z_um: float, name: str):
    stage = Stage()
    with pytest.raises(LimitExceeded, match=name) as refusal:
        guard(stage, **limits).observe(Observe(LIGHT, 1.0, z_um=z_um))
    assert name in refusal.value.hint
    assert stage.way == []
    guard(stage, **limits).observe(Observe(LIGHT, 1.0, z_um=math.copysign(20, z_um)))


def test_a_focus_below_the_floor_may_only_go_up():
    stage = Stage()
    stage.place = (0.0, 0.0, -50.0)
    scope = guard(stage, z_floor_um=-20)
    for request in (Observe(LIGHT, 1.0), Observe(LIGHT, 1.0, (10.0, 0.0), 0.0)):
        with pytest.raises(LimitExceeded, match="z_floor_um"):
            scope.observe(request)
    assert stage.way == []
    scope.observe(Observe(LIGHT, 1.0, z_um=-10.0))
    scope.observe(Observe(LIGHT, 1.0, (10.0, 0.0), 0.0))
    assert stage.way == [(0.0, 0.0, -10.0), (10.0, 0.0, 0.0)]


class Located(Stage):
    """One that says where it is, some way beside where it was sent."""

    def __init__(self, place: tuple[float, float, float] = (0.0, 0.0, 0.0), *, off_um: float = 0.0) -> None:
        super().__init__()
        self.place = place
        self.off_um = off_um

    def where(self) -> tuple[tuple[float, float], float]:
        x_um, y_um, z_um = self.place
        return (x_um + self.off_um, y_um + self.off_um), z_um + self.off_um

    def observe(self, request: Observe) -> Frame:
        frame = super().observe(request)
        xy_um, z_um = self.where()
        return replace(frame, xy_um=xy_um, z_um=z_um)


def test_the_stage_stays_while_a_focus_that_nobody_sent_is_outside():
    stage = Located((0.0, 0.0, 150.0))
    scope = guard(stage)
    for z_um in (None, 0.0):
        with pytest.raises(LimitExceeded, match=r"z_um = 150 .* where the focus stands"):
            scope.observe(Observe(LIGHT, 1.0, (10.0, 0.0), z_um))
    assert stage.lit == []
    scope.observe(Observe(LIGHT, 1.0))
    scope.observe(Observe(LIGHT, 1.0, z_um=0.0))
    scope.observe(Observe(LIGHT, 1.0, (10.0, 0.0)))
    assert stage.way == [(0.0, 0.0, 0.0), (10.0, 0.0, 0.0)]


def test_what_a_joystick_has_moved_counts_before_the_next_move():
    stage = Located()
    scope = guard(stage, z_floor_um=-20, obstacles=[CLIP])
    scope.observe(Observe(LIGHT, 1.0, (0.0, 0.0), 0.0))
    stage.place = (0.0, 0.0, -30.0)
    with pytest.raises(LimitExceeded, match="z_floor_um"):
        scope.observe(Observe(LIGHT, 1.0, (10.0, 0.0)))
    stage.place = (400.0, 0.0, 50.0)
    # from where it was sent, the way would have been blocked
    scope.observe(Observe(LIGHT, 1.0, (410.0, 0.0), 0.0))
    stage.place = (0.0, 0.0, 0.0)
    with pytest.raises(LimitExceeded, match="obstacle"):
        scope.observe(Observe(LIGHT, 1.0, (410.0, 0.0)))
    assert stage.way == [(410.0, 0.0, 0.0)]
    # no frame was needed to know
    assert stage.lit == [True, True]


def test_a_read_back_beside_the_limit_is_no_joystick():
    stage = Located(off_um=-0.4)
    scope = guard(stage, z_floor_um=-20)
    scope.observe(Observe(LIGHT, 1.0, z_um=-20.0))
    scope.observe(Observe(LIGHT, 1.0, (10.0, 0.0)))
    assert stage.way[-1] == (10.0, 0.0, -20.0)


def test_no_move_crosses_an_obstacle():
    stage = Stage()
    scope = guard(stage, obstacles=[CLIP])
    for end in ((250.0, 0.0), (400.0, 0.0), (250.0, 400.0)):
        with pytest.raises(LimitExceeded, match="obstacle") as refusal:
            scope.observe(Observe(LIGHT, 1.0, end, 0.0))
        assert "limits.obstacles" in refusal.value.hint
    # above it when it arrives is not enough: it starts below
    with pytest.raises(LimitExceeded, match="obstacle"):
        scope.observe(Observe(LIGHT, 1.0, (400.0, 0.0), 60.0))
    scope.observe(Observe(LIGHT, 1.0, (0.0, 100.0), 0.0))
    scope.observe(Observe(LIGHT, 1.0, (400.0, 100.0), 0.0))
    assert stage.way == [(0.0, 100.0, 0.0), (400.0, 100.0, 0.0)]


def test_a_move_over_an_obstacle_goes_up_first_and_in_the_dark():
    stage = Stage()
    scope = guard(stage, obstacles=[CLIP], safe_z_um=50.0)
    asked = Observe(LIGHT, 1.0, (400.0, 0.0), -10.0)
    frame = scope.observe(asked)
    assert tuple(stage.way) == BACK_AGAIN
    # the first dark frame tells where it stands
    assert stage.lit == [False, False, False, True]
    assert frame.request == asked
    assert (frame.xy_um, frame.z_um) == ((400.0, 0.0), -10.0)


def test_long_moves_go_at_the_safe_height_and_come_back_to_their_focus():
    stage = Stage()
    scope = guard(stage, safe_z_um=80.0, long_move_um=300.0)
    scope.observe(Observe(LIGHT, 1.0, (200.0, 0.0), 5.0))
    frame = scope.observe(Observe(LIGHT, 1.0, (-200.0, 0.0)))
    assert stage.way == [(200.0, 0.0, 5.0), (200.0, 0.0, 80.0), (-200.0, 0.0, 80.0), (-200.0, 0.0, 5.0)]
    assert frame.request.z_um is None
    assert scope.spent_led_ms == pytest.approx(2.0)


def test_after_a_failure_the_place_is_asked_for_again():
    stage = Stage()
    scope = guard(stage, obstacles=[CLIP])
    scope.observe(Observe(LIGHT, 1.0, (150.0, 200.0), 0.0))
    stage.sticks = True
    with pytest.raises(StageError):
        scope.observe(Observe(LIGHT, 1.0, (150.0, -200.0), 0.0))
    stage.sticks = False
    # it stands at (150, 0), beside the clip, which the way from (150, 200) would not have touched
    with pytest.raises(LimitExceeded, match="obstacle"):
        scope.observe(Observe(LIGHT, 1.0, (400.0, 200.0), 0.0))


def test_what_others_moved_is_looked_at_again():
    stage = Stage()
    scope = guard(stage, z_floor_um=-20.0)
    scope.observe(Observe(LIGHT, 1.0, z_um=0.0))
    stage.place = (0.0, 0.0, -30.0)
    scope.moved_by_others()
    with pytest.raises(LimitExceeded, match="z_floor_um"):
        scope.observe(Observe(LIGHT, 1.0))


def test_a_place_that_is_none_is_the_controllers_fault():
    stage = Stage()
    stage.place = (math.nan, 0.0, 0.0)
    with pytest.raises(StageError, match="nan"):
        guard(stage, z_floor_um=-20).observe(Observe(LIGHT, 1.0, z_um=0.0))
    assert stage.way == []


places = st.tuples(*[st.floats(-1000, 1000)] * 2, st.floats(-100, 100))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(places, st.floats(0, 0.2)), min_size=2, max_size=20))
def test_the_way_asked_for_in_any_time_is_within_the_speed(stops: list[tuple[tuple[float, float, float], float]]):
    stage = Stage()
    scope = guard(stage, xy_speed_um_per_s=5000.0, z_speed_um_per_s=500.0)
    for (x, y, z), pause_s in stops:
        stage.now_s += pause_s
        scope.observe(Observe(LIGHT, 1.0, (x, y), z))
    ways = list(itertools.pairwise([(0.0, 0.0, 0.0), *stage.way]))
    for speed, axes in ((5000.0, slice(0, 2)), (500.0, slice(2, 3))):
        lengths = [math.dist(start[axes], end[axes]) for start, end in ways]
        moves = [(way_um, at_s) for way_um, at_s in zip(lengths, stage.times_s, strict=True) if way_um > 0]
        starts_s = [0.0, *(at_s for _, at_s in moves)]
        for first, last in itertools.combinations_with_replacement(range(len(moves)), 2):
            asked_um = sum(way_um for way_um, _ in moves[first : last + 1])
            # the clock adds up some twenty times
            assert asked_um <= speed * (moves[last][1] - starts_s[first]) * (1 + 1e-9) + 1e-9


def test_speed_makes_nobody_wait_who_does_not_move_or_comes_late():
    stage = Stage()
    scope = guard(stage, xy_speed_um_per_s=100.0)
    scope.observe(Observe(LIGHT, 1.0, (100.0, 0.0)))
    assert stage.now_s == pytest.approx(1.0)
    scope.observe(Observe(LIGHT, 1.0))
    scope.observe(Observe(LIGHT, 1.0, z_um=90.0))
    assert stage.now_s == pytest.approx(1.0)
    stage.now_s += 5
    scope.observe(Observe(LIGHT, 1.0, (400.0, 0.0)))
    assert stage.now_s == pytest.approx(6.0)


def test_limits_that_contradict_each_other_are_refused():
    for table, word in (
        ({"z_floor_um": 200}, "leave nothing"),
        ({"safe_z_um": -50, "z_floor_um": -20}, "safe_z_um"),
        ({"safe_z_um": 20, "obstacles": [CLIP]}, "safe_z_um"),
    ):
        with pytest.raises(ConfigError) as refusal:
            Limits.from_table(WIDE | table)
        assert word in refusal.value.hint
    for key in ("z_floor_um", "safe_z_um", "long_move_um", "xy_speed_um_per_s", "mean_current_ma"):
        with pytest.raises(ConfigError, match=key):
            Limits.from_table(WIDE | {key: math.nan})


def test_a_dark_pattern_is_held_to_the_same_travel():
    stage = Stage()
    with pytest.raises(LimitExceeded, match="y_um"):
        guard(stage).observe(replace(Observe(dark(BOARD), 1.0), xy_um=(0.0, 1000.5)))
