"""Calibration targets have the sizes, periods and phases that they promise."""

import math

import numpy as np
import pytest

from lsm.errors import ConfigError
from lsm.samples import TARGETS, target
from lsm.samples.targets import (
    amplitude_grating,
    bar_groups,
    checkerboard,
    microsphere,
    phase_disc,
    phase_grating,
    pinhole,
    siemens_star,
)


@pytest.mark.parametrize("name", TARGETS)
def test_all_targets_are_passive_and_fill_the_grid_that_is_asked_for(name: str):
    made = target(name, 120, 0.4, wavelength_um=0.53)
    assert made.shape == (120, 120)
    assert made.dtype == np.complex128
    assert np.abs(made).max() <= (1.2 if name == "amplitude-grating" else 1 + 1e-12)


def test_a_pinhole_has_the_area_of_its_disc():
    made = pinhole(64, 0.25, diameter_um=5.0)
    # the edge on 8 x 8 points in each pixel
    assert made.real.sum() * 0.25**2 == pytest.approx(math.pi * 2.5**2, rel=2e-3)
    np.testing.assert_array_equal(made, made[::-1, ::-1])


def test_gratings_hold_one_period():
    for made, order in ((amplitude_grating(96, 0.5, period_um=6.0), 0.1), (phase_grating(96, 0.5, period_um=6.0), 0.1)):
        orders = np.abs(np.fft.fft2(made)) / 96**2
        # half of the modulation in each first order; for a phase of 0.2 rad that is J1(0.2) = 0.0995
        assert orders[0, 8] == pytest.approx(order, rel=6e-3)
        assert orders[8, 0] < 1e-12


def test_a_turned_grating_varies_along_its_angle():
    orders = np.abs(np.fft.fft2(amplitude_grating(96, 0.5, period_um=6.0, angle_rad=math.pi / 2)))
    assert orders[8, 0] > 100 * orders[0, 8]


def test_a_siemens_star_is_half_open_and_turns_into_its_negative():
    made = siemens_star(200, 0.3, spokes=20).real
    radius_um = np.hypot(*np.meshgrid(*[(np.arange(200) - 99.5) * 0.3] * 2))
    ring = (radius_um > 10) & (radius_um < 20)
    assert made[ring].mean() == pytest.approx(0.5, abs=0.01)
    # points exactly on an edge fall to either side
    assert np.abs(made - made[::-1, ::-1]).mean() < 1e-3
    # a mirror puts each spoke where a gap was
    assert np.abs((made + made[::-1])[ring] - 1).mean() < 2e-3


def test_bars_have_their_line_pairs_per_millimetre_and_do_not_overlap():
    made = bar_groups(900, 0.2, first_lp_per_mm=125.0).real
    areas_um2 = [2 * 3 * 5 * (4 / 2 ** (g + s / 6)) ** 2 for g in range(3) for s in range(6)]
    # rectangles are covered exactly
    assert (1 - made).sum() * 0.04 == pytest.approx(sum(areas_um2), rel=1e-12)
    assert made.min() >= -1e-12
    # the first bars, 4 um wide and 20 um long, stand at the left, at small y
    first = np.flatnonzero(made.min(axis=0) < 0.5)[0]
    dark = made[:, first + 1] < 0.5
    assert dark.sum() * 0.2 == pytest.approx(sum(20 / 2 ** (s / 6) for s in range(6)), abs=1.2)
    assert np.flatnonzero(dark)[0] < 450


def test_bars_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"10 line pairs/mm do not fit.*begin at"):
        bar_groups(300, 0.2, first_lp_per_mm=10.0)


def test_a_checkerboard_is_half_open():
    made = checkerboard(100, 0.5, square_um=5.0).real
    assert made.mean() == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(made[:, :90], 1 - made[:, 10:], atol=1e-12)


def test_phases_are_those_of_thickness_and_contrast():
    disc = phase_disc(101, 0.2, diameter_um=8.0, phase_rad=0.7)
    assert np.angle(disc[50, 50]) == pytest.approx(0.7)
    assert np.angle(disc[0, 0]) == 0
    ball = microsphere(101, 0.2, diameter_um=6.0, index_contrast=0.03, wavelength_um=0.6)
    assert np.angle(ball[50, 50]) == pytest.approx(2 * math.pi / 0.6 * 0.03 * 6)
    np.testing.assert_allclose(np.abs(ball), 1)


def test_what_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match=r"no target 'star'.*siemens-star"):
        target("star", 64, 0.5, wavelength_um=0.53)
    with pytest.raises(ConfigError, match=r"period of 0\.5 um.*use 1 to 32 um"):
        phase_grating(64, 0.5, period_um=0.5)
    with pytest.raises(ConfigError, match="0 pixels"):
        pinhole(0, 0.5)
