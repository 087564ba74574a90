"""What is drawn is where the truth says, the same for the same seed, and looks like blood."""

import numpy as np
import pytest

from lsm.errors import ConfigError, WrongFormat
from lsm.samples import CellTable, Kind, ProceduralSmear, Smear, SmearConfig, Stage
from lsm.samples._red_cells import evans_fung_thickness_um
from lsm.samples.table import ROW

SMALL = SmearConfig(width_um=600.0, height_um=300.0, parasitaemia=0.1, howell_jolly_fraction=0.0)


def window(smear: Smear, x_um: float, y_um: float, *, n_px: int = 256, wavelength_um: float = 0.53) -> np.ndarray:
    return smear.transmission(x_um=x_um, y_um=y_um, n_px=n_px, pixel_um=0.3, wavelength_um=wavelength_um)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_slide():
    first, second, other = (ProceduralSmear(SMALL, seed) for seed in (5, 5, 6))
    assert isinstance(first, Smear)
    assert first.truth().rows.tobytes() == second.truth().rows.tobytes()
    assert window(first, 300, 150).tobytes() == window(second, 300, 150).tobytes()
    assert window(first, 300, 150).tobytes() != window(other, 300, 150).tobytes()


def test_windows_agree_where_they_overlap():
    smear = ProceduralSmear(SMALL, 1)
    whole = window(smear, 300, 150, n_px=512)
    part = window(smear, 300 + 0.3 * 100, 150 - 0.3 * 60, n_px=128)
    # 128 px window, its centre moved by 100 px in x and -60 px in y; float32 sums of a few objects
    np.testing.assert_allclose(part, whole[192 - 60 : 320 - 60, 192 + 100 : 320 + 100], atol=2e-5)


def test_infection_changes_the_slide_only_at_the_infected_cells_of_the_truth():
    """The parasitaemia alone does not move or restain anything else."""
    sick = ProceduralSmear(SMALL, 2)
    healthy = ProceduralSmear(SMALL.model_copy(update={"parasitaemia": 0.0}), 2)
    change = np.abs(window(sick, 300, 150, n_px=1000) - window(healthy, 300, 150, n_px=1000))
    cells = sick.truth().within(142, 458, -8, 308).red_cells
    axis_um = (np.arange(1000) - 499.5) * 0.3
    near = np.zeros(change.shape, dtype=bool)
    for row in cells.rows[cells.infected]:
        r_um = np.hypot(axis_um[None, :] + 300 - row["x_um"], axis_um[:, None] + 150 - row["y_um"])
        # a gametocyte reaches 6 um beyond its cell's centre
        near |= r_um < 7.0
        if r_um[25:-25, 25:-25].min() < 0.3:
            assert change[r_um < 7.0].max() > 0.02
    # a spot's Gaussian tail falls below float32 rounding of the rest
    assert change[~near].max() < 1e-3


def test_parasitaemia_is_that_of_the_truth_and_close_to_what_was_asked():
    truth = ProceduralSmear(SMALL.model_copy(update={"width_um": 1200.0}), 3).truth()
    cells = truth.red_cells
    # binomial, four sigma
    assert abs(truth.parasitaemia - 0.1) < 4 * np.sqrt(0.09 / len(cells))
    assert np.array_equal(cells.infected, cells.stage != Stage.NONE)
    assert not truth.infected[truth.kind != Kind.RED_CELL].any()
    assert set(cells.stage[cells.infected]) == {1, 2, 3, 4}


def test_look_alikes_are_cells_with_something_on_them():
    truth = ProceduralSmear(SMALL, 4).truth()
    small = truth.rows[(truth.kind == Kind.PLATELET) | (truth.kind == Kind.PRECIPITATE)]
    cells = truth.red_cells
    distance = np.hypot(cells.x_um[:, None] - small["x_um"], cells.y_um[:, None] - small["y_um"])
    assert np.array_equal(cells.look_alike, (distance < cells.radius_um[:, None]).any(axis=1))
    assert 0 < cells.look_alike.mean() < 0.2


def test_film_thins_from_an_overlapping_end_over_a_monolayer_to_a_feathered_edge():
    config = SmearConfig(holes_per_mm2=0.0)
    cells = ProceduralSmear(config, 0).truth().red_cells
    along = cells.x_um / config.width_um
    counts = np.histogram(along, 10, (0, 1))[0] / (config.width_um * config.height_um * 1e-7)
    thick, middle, edge = counts[[0, 5, 9]] if counts[0] > counts[9] else counts[[9, 4, 0]]
    assert thick > 1.5 * middle > 6 * edge
    assert 5000 < middle < 9000


def test_five_to_fifteen_per_cent_of_the_cells_in_the_monolayer_overlap():
    config = SmearConfig(holes_per_mm2=0.0, density_spread=0.0)
    cells = ProceduralSmear(config, 1).truth().within(1000, 1400, 200, 1200).red_cells
    places = np.stack([cells.x_um, cells.y_um], axis=1)
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 99 * np.eye(len(cells))
    # overlapping by more than a seventh of a diameter, which is where shapes become one in the image
    assert 0.05 <= (apart.min(axis=1) < 1.7 * config.radius_um).mean() <= 0.15


def test_evans_fung_cell_has_its_published_volume_and_thickness():
    r_um = np.linspace(0, 3.91, 20001)
    thickness = evans_fung_thickness_um((r_um / 3.91) ** 2)
    # coefficients are published to three digits
    assert np.trapezoid(2 * np.pi * r_um * thickness, r_um) == pytest.approx(94.1, abs=0.3)
    assert thickness.max() == pytest.approx(2.57, abs=0.01)
    assert r_um[thickness.argmax()] == pytest.approx(2.74, abs=0.03)


def test_single_cells_pass_about_three_quarters_of_green_light_and_more_red():
    config = SmearConfig(stain_spread=0.0, cell_stain_spread=0.0, platelets_per_red=0.0, parasitaemia=0.0)
    smear = ProceduralSmear(config, 0)
    cell = smear.truth().within(1100, 1200, 600, 700).rows[0]
    place = (float(cell["x_um"]), float(cell["y_um"]))
    green = np.abs(window(smear, *place, n_px=5)) ** 2
    red = np.abs(window(smear, *place, n_px=5, wavelength_um=0.63)) ** 2
    assert 0.65 < green.min() <= green.max() < 0.85
    assert red.min() > 0.9


def test_phase_grows_as_the_wavelength_falls():
    smear = ProceduralSmear(SMALL, 0)
    path_um = [np.angle(window(smear, 300, 150, wavelength_um=w)) * w for w in (0.63, 1.2)]
    # no phase of a single cell wraps at these wavelengths; overlapping ones may
    flat = np.abs(path_um[1]) < 0.25
    np.testing.assert_allclose(path_um[0][flat], path_um[1][flat], atol=1e-4)


def test_outside_the_smear_there_is_only_glass():
    assert np.array_equal(window(ProceduralSmear(SMALL, 0), -200, -200), np.ones((256, 256), dtype=np.complex64))


def test_configuration_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="stage_weights"):
        SmearConfig(stage_weights=(0, 0, 0, 0))
    with pytest.raises(ConfigError, match="odd_fractions"):
        SmearConfig(odd_fractions=(0.5, 0.4, 0.3))
    with pytest.raises(ConfigError, match="did you mean 'parasitaemia'"):
        SmearConfig.from_table({"parasitemia": 0.1})


def test_table_selects_half_open_rectangles_and_refuses_other_arrays():
    rows = np.zeros(3, dtype=ROW)
    rows["x_um"] = [0, 5, 10]
    table = CellTable(rows)
    assert table.within(0, 10, 0, 1).x_um.tolist() == [0, 5]
    assert CellTable(rows[:0]).parasitaemia == 0.0
    with pytest.raises(WrongFormat):
        CellTable(np.zeros(3))
