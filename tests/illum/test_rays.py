"""Light that arrives at a point of the sample: directions and irradiance, with and without glass."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lsm.errors import ConfigError
from lsm.illum import Glass, LedBoard

BOARD = LedBoard.grid(rows=9, columns=9, pitch_mm=8, distance_mm=60)
SLIDE = Glass(thickness_mm=1.0)


def behind(glass: Glass, **changes: object) -> LedBoard:
    return dataclasses.replace(BOARD, glass=glass, **changes)


def test_glass_shifts_a_ray_by_what_snells_law_says():
    board = behind(SLIDE)
    sine = board.na
    tangent, in_glass = sine / np.sqrt(1 - sine**2), sine / np.sqrt(1.52**2 - sine**2)
    offset_mm = np.hypot(BOARD.positions_mm[:, 0], BOARD.positions_mm[:, 1])
    # the ray that arrives at this angle left the board where the LED is, to rounding
    np.testing.assert_allclose(59 * tangent + 1 * in_glass, offset_mm, rtol=1e-13, atol=1e-13)
    # LEDs seem nearer by t (1 - 1/n), and by the slide's spherical aberration t tan^2 (1 - 1/n^2) / 2n
    apparent_mm = offset_mm[41] / tangent[41]
    aberration_mm = tangent[41] ** 2 * (1 - 1 / 1.52**2) / (2 * 1.52)
    # the next order: tan^4
    assert apparent_mm == pytest.approx(60 - (1 - 1 / 1.52) - aberration_mm, abs=1e-4)


def test_glass_of_index_1_and_none_are_the_same():
    for point in ((0.0, 0.0), (900.0, -2000.0)):
        np.testing.assert_allclose(
            behind(Glass(5.0, 1.0)).directions_at(*point), BOARD.directions_at(*point), rtol=1e-13, atol=1e-15
        )


def test_a_point_off_the_axis_is_lit_like_the_axis_by_a_shifted_board():
    board = behind(SLIDE)
    shifted = behind(SLIDE, positions_mm=BOARD.positions_mm - [1.5, -0.7, 0.0])
    np.testing.assert_allclose(board.directions_at(1500, -700), shifted.directions, rtol=1e-12, atol=1e-15)


def test_irradiance_without_glass_is_cos_to_the_fourth():
    cosine = BOARD.directions_at(1500, 200)[:, 2]
    # relative to the strongest on the axis, which is right below it
    np.testing.assert_allclose(BOARD.irradiance_at(1500, 200), cosine**4, rtol=1e-12)


def test_glass_keeps_the_flux_of_a_cone_of_rays():
    """The LED's light through a ring of the sample equals what it emits between the ring's two angles."""
    radius_mm = np.linspace(0.0, 40.0, 2001)
    leds = np.column_stack([radius_mm, np.zeros(2001), np.full(2001, -60.0)])
    board = LedBoard("line", leds, np.tile([0.0, 0.0, 1.0], (2001, 1)), glass=Glass(20.0, 1.6))
    # the sample at distance r from one LED is lit like the axis by an LED at distance r
    relative = board.relative_irradiance
    on_axis = 1 / (40 + 20 / 1.6) ** 2
    flux = np.trapezoid(relative * on_axis * 2 * np.pi * radius_mm, radius_mm)
    emitted = np.pi * board.na[-1] ** 2
    # trapezoids of 0.02 mm
    assert flux == pytest.approx(emitted, rel=1e-6)


def test_gains_scale_the_irradiance_and_nothing_else():
    gain = np.linspace(0.5, 1.5, 81)
    board = dataclasses.replace(BOARD, gain=gain)
    ratio = board.relative_irradiance / BOARD.relative_irradiance
    np.testing.assert_allclose(ratio / ratio[0], gain / gain[0], rtol=1e-12)
    assert board.relative_irradiance.max() == 1
    np.testing.assert_array_equal(board.directions, BOARD.directions)


def test_digest_tells_boards_apart_and_does_not_depend_on_what_is_not_there():
    boards = [
        BOARD,
        behind(SLIDE),
        behind(Glass(2.0)),
        dataclasses.replace(BOARD, die_mm=1.0),
        dataclasses.replace(BOARD, gain=np.ones(81)),
    ]
    assert len({board.digest for board in boards}) == len(boards)
    assert behind(Glass(0.0, 1.7)).digest == BOARD.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"glass": Glass(60.0)}, "z = -60"),
        ({"gain": np.ones(80)}, "(80,)"),
        ({"gain": np.zeros(81)}, "least value 0"),
        ({"die_mm": -1.0}, "-1.0 mm"),
        ({"positions_mm": np.full((81, 3), np.nan)}, "nan"),
        ({"positions_mm": np.full((81, 3), 1.0)}, "z = 1"),
    ],
)
def test_impossible_boards_are_refused(change: dict[str, object], says: str):
    with pytest.raises(ConfigError, match=says.replace("(", r"\(").replace(")", r"\)")):
        dataclasses.replace(BOARD, **change)


@pytest.mark.parametrize("values", [(-1.0, 1.52), (1.0, 0.9), (np.nan, 1.5)])
def test_impossible_glass_is_refused(values: tuple[float, float]):
    with pytest.raises(ConfigError, match="impossible"):
        Glass(*values)


def test_csv_holds_normals_and_gains(tmp_path: Path):
    table = tmp_path / "leds.csv"
    table.write_text("x_mm,y_mm,z_mm,nx,ny,nz,gain\n0,0,-50,0,0,2,1\n30,0,-40,-3,0,4,0.5\n")
    board = LedBoard.from_csv(table)
    np.testing.assert_allclose(board.normals, [[0, 0, 1], [-0.6, 0, 0.8]])
    # both LEDs are 50 mm away and face the sample; the second is lit at cos 0.8 with half the gain
    np.testing.assert_allclose(board.relative_irradiance, [1, 0.4], rtol=1e-12)
