"""A board's distance and tilt from directions alone."""

from dataclasses import replace

import numpy as np
import pytest

from lsm.calibrate.rigid import rigid_board
from lsm.illum import LedBoard
from lsm_sim.hidden import Hidden

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
ALL = np.ones(BOARD.n_leds, dtype=bool)


@pytest.mark.parametrize("seed", range(4))
def test_distance_and_tilt_follow_from_the_pitch(seed: int):
    hidden = Hidden.drawn(np.random.default_rng(seed)).model_copy(update={"placement_mm": 0.0})
    true = hidden.board(BOARD).positions_mm
    # points on the same rays, at wrong and uneven distances
    stretched = true * np.random.default_rng(seed).uniform(0.9, 1.1, (BOARD.n_leds, 1))
    found = rigid_board(BOARD, stretched, ALL)
    # the fit ends where its steps are a millionth
    assert np.abs(found.positions_mm - true).max() < 1e-3
    assert found.left_mm < 1e-3


def test_loose_leds_are_met_and_the_distance_is_as_sure_as_it_says():
    errors = []
    for seed in range(12):
        hidden = Hidden.drawn(np.random.default_rng(seed))
        true = hidden.board(BOARD).positions_mm
        found = rigid_board(BOARD, true, ALL)
        errors.append((found.positions_mm[:, 2].mean() - true[:, 2].mean()) / found.sigma_distance_mm)
        # 0.05 mm of placement: the body's distance is off by 0.05 / sqrt(169) over 0.3, the rest follows
        assert np.linalg.norm(found.positions_mm - true, axis=1).max() < 0.2
    # chi-squared of 12 values over 12: 0.3 to 2.7 in 999 of 1,000
    assert 0.3 < float(np.mean(np.square(errors))) < 2.7


def test_one_led_at_a_wrong_place_does_not_move_the_others():
    places = BOARD.positions_mm.copy()
    places[20, 0] += 6.0
    found = rigid_board(BOARD, places, ALL)
    others = np.arange(BOARD.n_leds) != 20
    # of 6 mm, shared by 168 LEDs and damped
    assert np.abs(found.positions_mm - places)[others].max() < 0.03
    assert np.linalg.norm(found.positions_mm[20, :2] - found.body_mm[20, :2]) > 5.5


def test_leds_that_were_not_seen_take_their_place_on_the_body():
    seen = ALL.copy()
    seen[[5, 100]] = False
    places = BOARD.positions_mm * np.where(seen, 1.0, 0.2)[:, None]
    places[5, 0] += 9.0
    found = rigid_board(replace(BOARD), places, seen)
    assert np.abs(found.positions_mm - BOARD.positions_mm).max() < 1e-3
