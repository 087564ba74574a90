"""Stage and focus errors against what their definitions say."""

import math

import numpy as np
import pytest

from lsm.errors import StageError
from lsm.optics.stage import BLUR_STEPS, AxisErrors, StageErrors, StageState, mean_position


def stage(errors: StageErrors, seed: int = 0) -> StageState:
    return StageState(errors, np.random.default_rng(seed), xy_um=(0.0, 0.0))


def test_a_perfect_stage_is_where_it_was_sent():
    perfect = stage(StageErrors())
    assert perfect.move(5.0, xy_um=(10.0, -3.0), z_um=2.0) == 5.0
    assert perfect.at(5.0) == (10.0, -3.0, 2.0) == perfect.commanded_um
    assert perfect.during(5.0, 100.0) == [(1.0, (10.0, -3.0, 2.0))]


def test_arrivals_spread_by_the_repeatability_and_not_by_the_way():
    errors = StageErrors(xy=AxisErrors(repeatability_um=0.7), z=AxisErrors(repeatability_um=0.2))
    state = stage(errors)
    ends = []
    for i in range(4000):
        state.move(2.0 * i, xy_um=(-50.0, -900.0), z_um=0.0)
        state.move(2.0 * i + 1, xy_um=(0.0, 0.0), z_um=5.0)
        ends.append(state.at(2.0 * i + 1))
    # a spread of 4000 arrivals is known to 1.1 %, their mean to 0.016 of it; four sigma
    np.testing.assert_allclose(np.std(ends, axis=0), [0.7, 0.7, 0.2], rtol=0.045)
    np.testing.assert_allclose(np.mean(ends, axis=0), [0.0, 0.0, 5.0], atol=4 * 0.7 / math.sqrt(4000))


def test_an_axis_that_is_not_sent_anywhere_does_not_move():
    state = stage(StageErrors(xy=AxisErrors(repeatability_um=0.7), z=AxisErrors(repeatability_um=0.2)))
    state.move(0.0, xy_um=(5.0, 5.0))
    before = state.at(0.0)
    state.move(1.0, xy_um=(5.0, 5.0))
    assert state.at(1.0) == before
    state.move(2.0, z_um=1.0)
    assert state.at(2.0)[:2] == before[:2]


def test_backlash_depends_on_the_side_of_approach():
    state = stage(StageErrors(xy=AxisErrors(backlash_um=3.0)))

    def to(x_um: float) -> float:
        state.move(0.0, xy_um=(x_um, 0.0))
        return state.at(0.0)[0]

    assert [to(100.0), to(50.0), to(20.0), to(50.0)] == [100.0, 53.0, 23.0, 50.0]
    # a reversal inside the play moves nothing
    assert [to(49.0), to(47.5), to(47.0), to(46.0)] == [50.0, 50.0, 50.0, 49.0]


def test_the_ring_down_is_a_damped_cosine_from_the_side_it_came_from():
    axis = AxisErrors(ringing_um=2.0, settling_ms=30.0, ringing_hz=20.0)
    state = stage(StageErrors(xy=axis, move_ms=100.0))
    assert state.move(10.0, xy_um=(500.0, -500.0)) == 110.0
    for since_ms in (0.0, 7.0, 25.0, 50.0, 75.0):
        left = 2.0 * math.exp(-since_ms / 30) * math.cos(2 * math.pi * 0.020 * since_ms)
        x, y, _ = state.at(110.0 + since_ms)
        assert (x, y) == (pytest.approx(500 - left, abs=1e-12), pytest.approx(-500 + left, abs=1e-12))


def test_a_short_move_leaves_no_more_than_itself():
    state = stage(StageErrors(xy=AxisErrors(ringing_um=2.0)))
    state.move(0.0, xy_um=(0.5, 0.0))
    assert state.at(0.0)[0] == 0.0
    # sent on before it is still: it goes on from where it is
    before = state.at(8.0)[0]
    state.move(8.0, xy_um=(0.6, 0.0))
    assert state.at(8.0)[0] == pytest.approx(before, abs=1e-12)


def test_an_exposure_taken_too_early_is_spread_along_the_way():
    tau_ms, left_um = 40.0, 3.0
    axis = AxisErrors(ringing_um=left_um, settling_ms=tau_ms)
    state = stage(StageErrors(xy=axis))
    state.move(0.0, xy_um=(100.0, 0.0))
    path = state.during(0.0, 60.0)
    assert len(path) == BLUR_STEPS
    assert sum(share for share, _ in path) == pytest.approx(1.0)
    mean_um = mean_position(path)[0]
    # the mean of the exponential; midpoints of 5 ms are good to (5 / 40)^2 / 24
    expected = 100 - left_um * tau_ms / 60 * (1 - math.exp(-60 / tau_ms))
    assert mean_um == pytest.approx(expected, abs=left_um * (5 / 40) ** 2 / 24)
    assert len(state.during(400.0, 60.0)) == 1


def test_an_instant_has_one_place():
    state = stage(StageErrors(xy=AxisErrors(ringing_um=3.0)))
    state.move(0.0, xy_um=(100.0, 0.0))
    assert state.during(0.0, 0.0) == [(1.0, (97.0, 0.0, 0.0))]


def test_a_long_exposure_spends_the_rest_where_it_stopped():
    state = stage(StageErrors(xy=AxisErrors(ringing_um=3.0, settling_ms=10.0)))
    state.move(0.0, xy_um=(100.0, 0.0))
    path = state.during(0.0, 1000.0)
    still_ms = 10.0 * math.log(3.0 / 0.02)
    assert path[-1][0] == pytest.approx(1 - still_ms / 1000)
    assert path[-1][1][0] == pytest.approx(100.0, abs=1e-9)


def test_a_swing_is_followed_through_its_period():
    state = stage(StageErrors(xy=AxisErrors(ringing_um=3.0, settling_ms=200.0, ringing_hz=50.0)))
    state.move(0.0, xy_um=(100.0, 0.0))
    # ten swings of 20 ms, eight positions each
    assert len(state.during(0.0, 200.0)) == 80


def test_the_focus_drifts_steadily_and_walks():
    errors = StageErrors(z_drift_um_per_min=0.3, z_walk_um_per_sqrt_min=0.5)
    ends = []
    for seed in range(2000):
        state = stage(errors, seed)
        # the spread does not depend on how often one looks
        for minutes in (1.0, 1.5, 4.0):
            state.at(60_000 * minutes)
        ends.append(state.at(60_000 * 4.0)[2])
    # 2000 walks: the spread is known to 1.6 %, the mean to 0.022; four sigma
    assert np.mean(ends) == pytest.approx(1.2, abs=0.09)
    assert np.std(ends) == pytest.approx(0.5 * 2.0, rel=0.065)
    assert stage(errors).at(60_000.0)[:2] == (0.0, 0.0)


def test_the_same_seed_and_calls_give_the_same_places():
    errors = StageErrors(xy=AxisErrors(repeatability_um=1.0), z_walk_um_per_sqrt_min=1.0)

    def run(seed: int) -> tuple[float, float, float]:
        state = stage(errors, seed)
        state.move(100.0, xy_um=(5.0, 6.0))
        return state.at(1000.0)

    assert run(1) == run(1) != run(2)


def test_time_runs_forward_and_targets_are_finite():
    state = stage(StageErrors())
    state.at(10.0)
    with pytest.raises(StageError, match="about 9 ms after 10 ms") as caught:
        state.at(9.0)
    assert "order of time" in caught.value.hint
    with pytest.raises(StageError, match="nan"):
        state.move(11.0, z_um=math.nan)
