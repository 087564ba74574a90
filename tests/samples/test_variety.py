"""How slides differ: each trait is drawn as told, and reaches the smear."""

import numpy as np
import pytest

from lsm.samples import LOOK_ALIKES, ProceduralSmear, SlideTraits, SlideVariety, SmearConfig

AVERAGE = SmearConfig(width_um=400.0, height_um=300.0)
FILM_UM = (400.0, 300.0)


def test_traits_are_drawn_as_told_and_come_again():
    variety = SlideVariety(density_spread=0.3, look_alike_cv=0.6, focus_um=4.0, tilt_um_per_mm=0.7)
    rng = np.random.default_rng(1)
    drawn = [variety.draw(rng) for _ in range(2000)]
    # of 2000 or more draws a standard deviation is known to 1.6 %; a gamma's, with its tail, to some 2.5 %
    assert np.std([np.log(traits.density) for traits in drawn]) == pytest.approx(0.3, rel=0.08)
    factors = np.array([traits.look_alikes for traits in drawn])
    assert factors.mean() == pytest.approx(1.0, rel=0.05)
    assert factors.std() == pytest.approx(0.6, rel=0.12)
    assert np.abs(np.corrcoef(factors.T)[np.triu_indices(3, 1)]).max() < 0.1
    assert np.std([traits.focus_um for traits in drawn]) == pytest.approx(4.0, rel=0.08)
    assert np.std([traits.tilt_um_per_mm for traits in drawn]) == pytest.approx(0.7, rel=0.08)
    assert variety.draw(np.random.default_rng(5)) == variety.draw(np.random.default_rng(5))


def test_no_variety_and_no_traits_change_nothing():
    none = SlideVariety(density_spread=0, look_alike_cv=0, focus_um=0, tilt_um_per_mm=0)
    assert none.draw(np.random.default_rng(0)) == SlideTraits()
    assert SlideTraits().on(AVERAGE) == AVERAGE
    assert SlideTraits().focus_at((10.0, 20.0), FILM_UM) == 0


def test_traits_reach_the_smear():
    own = SlideTraits(density=1.4, look_alikes=(0.0, 2.0, 3.0)).on(AVERAGE)
    assert own.monolayer_per_mm2 == 1.4 * AVERAGE.monolayer_per_mm2
    assert [getattr(own, name) for name in LOOK_ALIKES] == [
        factor * getattr(AVERAGE, name) for name, factor in zip(LOOK_ALIKES, (0.0, 2.0, 3.0), strict=True)
    ]
    cells = [len(ProceduralSmear(config, seed=3).truth()) for config in (AVERAGE, own)]
    assert cells[1] > 1.15 * cells[0]


def test_a_share_of_cells_stays_a_share():
    assert SlideTraits(look_alikes=(1.0, 1e6, 1.0)).on(AVERAGE).howell_jolly_fraction == 1.0


def test_focus_follows_the_tilt_from_the_middle_of_the_film():
    traits = SlideTraits(focus_um=2.0, tilt_um_per_mm=(1.0, -3.0))
    assert traits.focus_at((200.0, 150.0), FILM_UM) == 2.0
    # 0.2 mm to the right at 1 um per mm, 0.1 mm down at -3
    assert traits.focus_at((400.0, 250.0), FILM_UM) == pytest.approx(2.0 + 0.2 - 0.3)
