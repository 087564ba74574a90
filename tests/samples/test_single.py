"""Single cells of real crops on an empty slide."""

import numpy as np
import pytest
from test_cell_images import made_up_crops

from lsm.errors import ConfigError, WrongFormat
from lsm.samples import CellCrops, CellImageSmear, Grey, Kind, SmearConfig, single_cells
from lsm.samples._absorbing import absorbing

VIEW = {"n_px": 128, "pixel_um": 0.15, "wavelength_um": 0.53}
AXIS_UM = (np.arange(128) - 63.5) * 0.15
RADIUS_UM = np.hypot(AXIS_UM, AXIS_UM[:, None])


def absorbance(slides: np.ndarray) -> np.ndarray:
    return -2 * np.log(np.abs(slides))


@pytest.mark.parametrize("grey", ["own", "fixed"])
def test_the_product_reads_what_the_smear_reads(grey: Grey):
    crops = made_up_crops()
    read = absorbing(crops, grey)
    along = np.broadcast_to((AXIS_UM / 3.91).astype(np.float32), (12, 128, 128))
    above, mask = read.read(along, np.swapaxes(along, 1, 2), np.arange(12))
    middle = 0.16 + 0.075 * 0.81 if grey == "own" else 0.0
    # beyond the crop the smear still reads a thousandth of its last pixel
    np.testing.assert_allclose(
        absorbance(single_cells(crops, grey=grey, **VIEW)), above + middle * mask, rtol=0, atol=2e-4
    )


def test_fixed_grey_is_absorbance_against_the_empty_slide():
    plain = absorbance(single_cells(made_up_crops(), grey="fixed", **VIEW))
    inside = RADIUS_UM < 2.5
    np.testing.assert_allclose(plain[0][inside], np.log(230 / 160), atol=1e-5)
    darker = CellCrops((made_up_crops().images * 0.75).astype(np.uint8), np.zeros(12, bool), np.arange(12).astype(str))
    np.testing.assert_allclose(
        absorbance(single_cells(darker, grey="fixed", **VIEW))[0][inside], np.log(230 / 120), atol=1e-5
    )


def test_own_grey_does_not_see_the_photographs_brightness():
    crops = made_up_crops()
    dimmed = CellCrops(crops.images // 2, crops.infected, crops.patient)
    np.testing.assert_allclose(single_cells(dimmed, **VIEW), single_cells(crops, **VIEW), atol=1e-5)


def test_cells_are_as_wide_as_in_the_smear_and_alone():
    slides = single_cells(made_up_crops(), **VIEW)
    assert (slides[:, RADIUS_UM > 4.6] == 1).all()
    areas_um2 = (absorbance(slides) > 0.1).sum(axis=(1, 2)) * 0.15**2
    # the half-way line of the drawn disc is at 24 of the crop's 25 px
    np.testing.assert_allclose(2 * np.sqrt(areas_um2 / np.pi), 2 * 3.91 * 1.03 * 24 / 25, rtol=0.02)


def test_a_dot_to_the_right_lies_at_plus_x():
    slides = single_cells(made_up_crops(), **VIEW)
    y, x = np.unravel_index(absorbance(slides)[11].argmax(), (128, 128))
    # 8 of 25 px, 1.03 radii
    assert AXIS_UM[x] == pytest.approx(8 / 25 * 1.03 * 3.91, abs=0.3)
    assert abs(AXIS_UM[y]) < 0.6


def test_phase_is_path_per_absorbance_and_stain_leaves_it():
    crops = made_up_crops()
    slides = single_cells(crops, path_um_per_absorbance=0.1, **VIEW)
    np.testing.assert_allclose(np.angle(slides), absorbance(slides) * 2 * np.pi * 0.1 / 0.53, atol=1e-5)
    strong = single_cells(crops, path_um_per_absorbance=0.1, stain_exponent=np.linspace(1, 2, 12), **VIEW)
    np.testing.assert_allclose(np.angle(strong), np.angle(slides), atol=1e-5)
    exponent = np.linspace(1, 2, 12)[:, None, None]
    np.testing.assert_allclose(absorbance(strong), exponent * absorbance(slides), atol=1e-5)


def test_red_light_is_absorbed_as_by_eosin():
    green = absorbance(single_cells(made_up_crops(), **VIEW))
    red = absorbance(single_cells(made_up_crops(), **(VIEW | {"wavelength_um": 0.63})))
    np.testing.assert_allclose(red, 0.1 * green, atol=1e-5)


def test_real_looking_smear_and_single_cell_agree():
    crops = made_up_crops()
    config = SmearConfig(
        width_um=200.0, height_um=120.0, stain_spread=0.0, cell_stain_spread=0.0, radius_spread=0.0,
        platelets_per_red=0.0, parasitaemia=0.0, odd_fractions=(0.0, 0.0, 0.0), monolayer_per_mm2=1000.0,
    )  # fmt: skip
    smear = CellImageSmear(crops, config, 1)
    table = smear.truth()
    cell = table.rows[table.kind == Kind.RED_CELL][0]
    seen = smear.transmission(x_um=float(cell["x_um"]), y_um=float(cell["y_um"]), **VIEW)
    alone = single_cells(crops.uninfected_only, **VIEW)[0]
    inside = RADIUS_UM < 2.5
    # the smear's cells differ a little in thickness, which is not in their absorbance
    np.testing.assert_allclose(np.abs(seen[inside]), np.abs(alone[inside]), atol=1e-3)


def test_numbers_that_do_not_fit_are_refused():
    crops = made_up_crops()
    with pytest.raises(ConfigError, match="too small for a cell"):
        single_cells(crops, n_px=20, pixel_um=0.15, wavelength_um=0.53)
    with pytest.raises(WrongFormat, match="do not fit 12 crops"):
        single_cells(crops, stain_exponent=np.ones(3), **VIEW)
    with pytest.raises(WrongFormat, match="Stain exponents"):
        single_cells(crops, stain_exponent=float("nan"), **VIEW)
