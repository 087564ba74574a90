"""Geometry of LED boards: order, directions, numerical apertures and radiometry."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import ConfigError, FileMissing, WrongFormat
from lsm.illum import LedBoard


@pytest.fixture
def board() -> LedBoard:
    return LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)


def test_grid_is_centred_and_wired_row_by_row(board: LedBoard):
    assert board.n_leds == 169
    np.testing.assert_allclose(board.positions_mm[84], [0, 0, -50])
    np.testing.assert_allclose(board.positions_mm[1] - board.positions_mm[0], [3, 0, 0])
    np.testing.assert_allclose(board.positions_mm[13] - board.positions_mm[0], [0, 3, 0])


def test_light_of_an_led_at_plus_x_travels_towards_minus_x(board: LedBoard):
    direction = board.directions[85]
    assert direction[0] < 0 < direction[2]
    # sin(atan(3 / 50)); float64 arithmetic
    np.testing.assert_allclose(board.na[85], np.sin(np.arctan(3 / 50)), rtol=1e-12)


def test_flat_board_falls_off_with_the_fourth_power_of_the_cosine(board: LedBoard):
    np.testing.assert_allclose(board.relative_irradiance, board.directions[:, 2] ** 4, rtol=1e-12)


def test_dome_leds_are_equally_strong_and_reach_the_stated_aperture():
    dome = LedBoard.quasi_dome(rings=5, radius_mm=60.0, na_max=0.7)
    assert dome.n_leds == 1 + 6 * (1 + 2 + 3 + 4 + 5)
    np.testing.assert_allclose(dome.na.max(), 0.7, rtol=1e-12)
    # facing the sample, only the cosine at the sample is left
    np.testing.assert_allclose(dome.relative_irradiance, dome.directions[:, 2], rtol=1e-12)


def test_table_of_leds_round_trips(tmp_path: Path, board: LedBoard):
    path = tmp_path / "leds.csv"
    lines = [",".join(map(str, row)) for row in board.positions_mm]
    path.write_text("x_mm,y_mm,z_mm\n" + "\n".join(lines), encoding="utf-8")
    assert LedBoard.from_csv(path).digest == board.digest


def test_bad_tables_are_refused(tmp_path: Path):
    with pytest.raises(FileMissing):
        LedBoard.from_csv(tmp_path / "none.csv")
    path = tmp_path / "leds.csv"
    for text in ("x_mm,y_mm\n1,2\n", "x_mm,y_mm,z_mm\n1,2,far\n", "x_mm,y_mm,z_mm\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(WrongFormat):
            LedBoard.from_csv(path)


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"pitch_mm": -1.0}, {"distance_mm": 0.0}])
def test_impossible_grids_are_refused(wrong: dict):
    with pytest.raises(ConfigError):
        LedBoard.grid(**({"rows": 3, "columns": 3, "pitch_mm": 3.0, "distance_mm": 50.0} | wrong))


def test_leds_above_the_sample_are_refused():
    up = np.array([[0.0, 0.0, 5.0]])
    with pytest.raises(ConfigError, match="negative z"):
        LedBoard("upside down", up, up)


def test_impossible_dome_is_refused():
    with pytest.raises(ConfigError):
        LedBoard.quasi_dome(rings=2, radius_mm=60.0, na_max=1.2)
