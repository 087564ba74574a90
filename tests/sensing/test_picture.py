"""The picture of a light shows every LED where it stands and as strongly as it shines."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from PIL import Image

from lsm.errors import WrongFormat
from lsm.illum import LedBoard
from lsm.sensing.picture import draw_light, light_pixels, save_picture

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=6.0, distance_mm=50.0)


def one_led(index: int, *, colour: int | None = None) -> np.ndarray:
    duty = np.zeros((1, 25) if colour is None else (1, 25, 3))
    duty[(0, index) if colour is None else (0, index, colour)] = 1.0
    return duty


def lit_dots(figure: Figure, panel: int = 0) -> list[EllipseCollection]:
    """The collections of a panel but the first, which holds the sockets."""
    return [each for each in figure.axes[panel].collections if isinstance(each, EllipseCollection)][1:]


@pytest.mark.parametrize(("index", "side"), [(10, (-1, 0)), (14, (1, 0)), (2, (0, 1)), (22, (0, -1))])
def test_an_led_is_drawn_where_it_stands(index: int, side: tuple[int, int]):
    """LEDs at negative x are on the left; row 0, at negative y, is at the top as in an image."""
    pixels = light_pixels(draw_light(BOARD, one_led(index), 0.1)).astype(float)
    dark = light_pixels(draw_light(BOARD, np.zeros((1, 25)), 0.1)).astype(float)
    middle = light_pixels(draw_light(BOARD, one_led(12), 0.1)).astype(float)
    # the words above the panel differ as well
    rows = slice(50, None)
    place, centre = (
        np.array(np.nonzero(np.abs(some - dark)[rows].sum(axis=2) > 150)).mean(axis=1) for some in (pixels, middle)
    )
    down, right = np.round((place - centre) / 30)
    assert (np.sign(right), -np.sign(down)) == side


def test_the_area_of_a_dot_is_its_duty():
    duty = np.linspace(0, 1, 25)[None]
    (dots,) = lit_dots(draw_light(BOARD, duty, 0.1))
    area = dots.get_widths() ** 2
    np.testing.assert_allclose(area / area.max(), duty[0, 1:], rtol=1e-12)
    grey = dots.get_facecolor()[:, :3].mean(axis=1)
    assert bool((np.diff(grey) > 0).all())


def test_three_colours_have_corners_of_their_own():
    places = []
    lit = np.stack([one_led(12, colour=c)[0] for c in range(3)])
    figure = draw_light(BOARD, lit, 0.1)
    for capture in range(3):
        dots = [each for each in lit_dots(figure, capture) if len(each.get_offsets())]
        assert len(dots) == 1
        places.append(dots[0].get_offsets()[0].tolist())
    (red_x, red_y), (green_x, green_y), (_, blue_y) = places
    assert red_x < 0 < green_x
    assert red_y == green_y < 0 < blue_y


def test_a_light_of_one_colour_is_drawn_in_the_middle_whichever_it_is():
    for colour in range(3):
        (dots,) = lit_dots(draw_light(BOARD, one_led(12, colour=colour), 0.1))
        np.testing.assert_allclose(dots.get_offsets(), [[0.0, 0.0]], atol=1e-12)


def test_what_belongs_to_a_capture_is_written_above_it():
    names, signs = ["plus", "minus"], [1, -1]
    images = {"cell": np.zeros((2, 8, 8)), "coloured": np.ones((2, 8, 8, 3))}
    figure = draw_light(BOARD, np.ones((2, 25)), 0.1, images, names, exposures_ms=[3.0, 40.0], signs=signs, title="T")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["plus", "25 LEDs, 3 ms", "\N{MINUS SIGN} minus", "25 LEDs, 40 ms"]
    assert [axes.get_ylabel() for axes in figure.axes].count("cell") == 1
    assert any("NA 0.10" in text.get_text() for text in figure.texts)


def test_the_same_figure_gives_the_same_file(tmp_path: Path):
    for name in ("a.png", "b.png"):
        save_picture(draw_light(BOARD, one_led(3), 0.1), tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.size[0] > 500
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize(
    ("duties", "more"),
    [
        (np.zeros((1, 24)), {}),
        (np.zeros((0, 25)), {}),
        (np.zeros((1, 25, 2)), {}),
        (np.full((1, 25), 1.5), {}),
        (np.full((1, 25), -0.1), {}),
        (np.full((1, 25), np.nan), {}),
        (np.zeros((1, 25)), {"names": ["a", "b"]}),
        (np.zeros((1, 25)), {"exposures_ms": [1.0, 2.0]}),
        (np.zeros((1, 25)), {"images": {"cell": np.zeros((2, 8, 8))}}),
        (np.zeros((1, 25)), {"images": {"cell": np.zeros((1, 8))}}),
    ],
)
def test_what_does_not_belong_together_is_refused(duties: np.ndarray, more: dict[str, object]):
    with pytest.raises(WrongFormat):
        draw_light(BOARD, duties, 0.1, **more)
