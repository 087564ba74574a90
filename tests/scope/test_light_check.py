"""Dead and stuck LEDs are found, and working ones are not suspected."""

from collections.abc import Iterator

import numpy as np
import pytest

from lsm.illum import LedBoard
from lsm.safety import Interlock
from lsm.scope import LightCheck, RigConfig, check_leds, connect, find_rig
from lsm.scope.light_check import judge
from lsm_sim.device_faults import LightFaults
from lsm_sim.rig import SimulatedMicroscope

BOARD = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
BRIGHT, FAINT, SIGMA, LEVEL = 600.0, 6.0, 0.05, 20.0


def verdict(
    *,
    dead: tuple[int, ...] = (),
    stuck: tuple[int, ...] = (),
    stray_adu: float = 0.0,
    dim: float = 1.0,
    dark_field: float = FAINT,
) -> LightCheck:
    """Of a board whose LEDs are bright inside NA 0.1 and faint outside, with gains that differ by a factor 1.5."""
    rng = np.random.default_rng(1)
    gives = np.where(BOARD.na <= 0.1, BRIGHT, dark_field * BOARD.relative_irradiance)
    gives *= dim * rng.uniform(0.8, 1.2, BOARD.n_leds)
    always = sum(gives[led] for led in stuck) + stray_adu
    gives[[*dead, *stuck]] = 0.0
    noise = rng.normal(0.0, SIGMA, BOARD.n_leds + 3)
    lit = [(float(LEVEL + always + one + n), SIGMA) for one, n in zip(gives, noise, strict=False)]
    darks = [(float(LEVEL + always + n), SIGMA) for n in noise[-3:]]
    return judge(BOARD, lit=lit, darks=darks, level=[(LEVEL, SIGMA)] * 3)


def test_a_board_that_works_is_not_suspected():
    found = verdict()
    assert found.sound
    assert found.unclear == ()


def test_leds_around_the_edge_of_the_aperture_are_not_taken_for_dead():
    """A hundred times fainter than their neighbours further in."""
    assert verdict(dark_field=BRIGHT / 1000).dead == ()


@pytest.mark.parametrize("dead", [(84,), (70, 71, 72), (0,), (168,), (0, 84, 168)])
def test_dead_leds_are_named(dead: tuple[int, ...]):
    found = verdict(dead=dead)
    assert found.dead == dead
    assert not found.stuck
    assert not found.stray


@pytest.mark.parametrize("stuck", [(84,), (0,), (40, 130)])
def test_stuck_leds_are_told_from_dead_ones(stuck: tuple[int, ...]):
    found = verdict(stuck=stuck)
    assert found.stuck == stuck
    assert not found.dead


def test_light_from_elsewhere_is_no_led():
    found = verdict(stray_adu=50.0)
    assert found.stray
    assert found.dead == found.stuck == ()


def test_where_nothing_can_be_seen_nothing_is_claimed():
    found = verdict(dim=1e-6)
    assert found.dead == found.stuck == ()
    assert len(found.unclear) == BOARD.n_leds
    # only the bright field can be seen: the rest is neither dead nor sound
    found = verdict(dark_field=0.01, dead=(84,))
    assert found.dead == (84,)
    assert len(found.unclear) > 100


@pytest.fixture(scope="module")
def scope() -> Iterator[Interlock]:
    rig = RigConfig.from_file(find_rig("simulated"))
    board = rig.led.board.model_copy(update={"rows": 5, "columns": 5})
    with connect(rig.model_copy(update={"led": rig.led.model_copy(update={"board": board})}), seed=3) as scope:
        yield scope


@pytest.mark.firmware
@pytest.mark.parametrize(("dead", "stuck"), [((), ()), ((7, 12), ()), ((), (3,)), ((), (12,))])
def test_the_simulated_rig_behind_its_boards_back(scope: Interlock, dead: tuple[int, ...], stuck: tuple[int, ...]):
    assert isinstance(scope.microscope, SimulatedMicroscope)
    assert scope.microscope.world is not None
    scope.microscope.world.faults.light = LightFaults(dead=frozenset(dead), stuck=frozenset(stuck))
    seen: list[None] = []
    found = check_leds(scope, exposure_ms=100.0, shortest_ms=0.1, progress=lambda: seen.append(None))
    assert (found.dead, found.stuck, found.stray, found.unclear) == (dead, stuck, False, ())
    assert len(seen) == scope.board.n_leds + 6
