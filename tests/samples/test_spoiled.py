"""Bubbles take the place of cells, dust covers them, and both leave the film around them as it was."""

import numpy as np
import pytest

from lsm.samples import Bubble, Dust, ProceduralSmear, SmearConfig, SpoiledSmear
from lsm.types import Transmission

SMEAR = ProceduralSmear(SmearConfig(width_um=300.0, height_um=200.0), 3)
CENTRE_UM, RADIUS_UM, PIXEL_UM, SIDE = (150.0, 90.0), 20.0, 0.5, 160
SPOILT = {
    "bubble": SpoiledSmear(SMEAR, bubbles=(Bubble(xy_um=CENTRE_UM, radius_um=RADIUS_UM),)),
    "dust": SpoiledSmear(SMEAR, dust=(Dust(xy_um=CENTRE_UM, radius_um=RADIUS_UM, transmission=0.04),)),
}


def film(smear: ProceduralSmear | SpoiledSmear, x_um: float = 155.0, y_um: float = 95.0) -> Transmission:
    return smear.transmission(x_um=x_um, y_um=y_um, n_px=SIDE, pixel_um=PIXEL_UM, wavelength_um=0.525)


def distance_um(x_um: float = 155.0, y_um: float = 95.0) -> np.ndarray:
    along = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_UM
    return np.hypot(along[None, :] + x_um - CENTRE_UM[0], along[:, None] + y_um - CENTRE_UM[1])


@pytest.mark.parametrize("kind", SPOILT)
def test_only_what_lies_inside_changes(kind: str):
    changed = film(SPOILT[kind]) != film(SMEAR)
    assert not changed[distance_um() > RADIUS_UM].any()
    assert changed[distance_um() < RADIUS_UM].all()


def test_dust_passes_its_share_of_the_light():
    under = distance_um() < RADIUS_UM
    before, after = (np.abs(film(smear)[under]) ** 2 for smear in (SMEAR, SPOILT["dust"]))
    # single precision, squared
    np.testing.assert_allclose(after, 0.04 * before, rtol=1e-5)


def test_a_bubble_is_clear_and_flat_within_its_rim():
    bubble = film(SPOILT["bubble"])
    np.testing.assert_allclose(np.abs(bubble[distance_um() < RADIUS_UM]), 1.0, rtol=1e-6)  # single precision
    assert np.ptp(np.angle(bubble[distance_um() < RADIUS_UM - 5.0])) == 0.0


def test_cells_under_dust_are_still_there_and_those_in_a_bubble_are_not():
    inside = len(SMEAR.truth()) - len(SPOILT["bubble"].truth())
    near = np.hypot(SMEAR.truth().x_um - CENTRE_UM[0], SMEAR.truth().y_um - CENTRE_UM[1]) <= RADIUS_UM
    assert inside == near.sum() > 0
    assert len(SPOILT["dust"].truth()) == len(SMEAR.truth())
