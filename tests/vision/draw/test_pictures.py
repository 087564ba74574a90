"""What is painted where: boxes around objects, masks inside, labels beside each other, keys below."""

from pathlib import Path

import numpy as np
import pytest
from drawn_objects import CATEGORIES, boxes, detections, objects, square_mask
from PIL import Image

from lsm.errors import ConfigError, InputError
from lsm.vision.data import Objects
from lsm.vision.detect.detections import Detections
from lsm.vision.draw import Look, draw_objects, draw_overlay, save_png
from lsm.vision.draw._canvas import Canvas, Mark
from lsm.vision.draw._style import FALSE, HIT, IGNORED, MISNAMED, MISSED, PALETTE, category_colour, ink_on, rgb

BARE = Look(labels=False, key=False, longest_px=400)


def even(side_px: int = 400, *, channels: int = 1) -> np.ndarray:
    return np.full((channels, side_px, side_px), 0.5, dtype=np.float32)


def painted(picture: np.ndarray, colour: str) -> np.ndarray:
    return (picture == np.array(rgb(colour))).all(axis=2)


def test_boxes_lie_around_their_objects_and_hide_nothing_of_them():
    picture = draw_objects(even(), Objects(boxes((100, 60), side=80), np.zeros(1, int)), CATEGORIES, look=BARE)
    lines = painted(picture, PALETTE[0])
    rows, columns = np.nonzero(lines)
    assert not lines[60:140, 100:180].any()
    assert 1 <= 60 - rows.min() <= 6
    assert 1 <= columns.max() - 179 <= 6
    assert lines.any(axis=1)[rows.min() : rows.max()].all()


def test_boxes_at_and_beyond_the_edge_are_drawn_as_far_as_the_image_goes():
    marked = Objects(np.array([[-50.0, -50.0, 40.0, 40.0], [390.0, 100.0, 400.0, 400.0]]), np.zeros(2, int))
    picture = draw_objects(even(), marked, CATEGORIES, look=BARE)
    assert painted(picture, PALETTE[0])[:60, :60].any()
    assert picture.shape == (400, 400, 3)


def test_masks_tint_their_pixels_and_have_a_solid_rim():
    marked = Objects(boxes((100, 60), side=80), np.ones(1, int), (square_mask(100, 60, 80),))
    look = BARE.model_copy(update={"boxes": False, "opacity": 0.5})
    picture = draw_objects(even(), marked, CATEGORIES, look=look)
    inside = picture[100, 140].astype(float)
    assert inside == pytest.approx((np.array(rgb(PALETTE[1])) + 128) / 2, abs=1)
    assert painted(picture, PALETTE[1])[60, 100:180].all()
    assert (picture[:55] == 128).all()
    cut = Objects(boxes((100, 60), side=80), np.ones(1, int), (square_mask(-40, 350, 80),))
    assert (draw_objects(even(), cut, CATEGORIES, look=look)[380, 20] != 128).any()
    outside = Objects(boxes((100, 60), side=80), np.ones(1, int), (square_mask(500, 500, 80),))
    assert (draw_objects(even(), outside, CATEGORIES, look=look) == 128).all()


def test_neighbours_have_different_colours_when_each_object_has_its_own():
    corners = [(x, y) for x in range(0, 100, 25) for y in range(0, 100, 25)]
    marked = objects(corners, [0] * len(corners))
    look = BARE.model_copy(update={"colour_by": "object"})
    picture = draw_objects(even(100), marked, CATEGORIES, look=look)
    used = {colour: painted(picture, colour).any() for colour in PALETTE}
    assert all(used.values())
    seen = [
        {c for c in PALETTE if painted(picture, c)[4 * y : 4 * y + 80, 4 * x - 4 : 4 * x].any()} for x, y in corners[4:]
    ]
    assert all(len(colours) == 1 for colours in seen)


def test_labels_never_lie_on_each_other_and_crowded_fields_have_none():
    canvas = Canvas(np.zeros((400, 400, 3), dtype=np.uint8), 1.0)
    places = []
    canvas._plate = lambda place, *rest: places.append(place)  # type: ignore[method-assign]
    rng = np.random.default_rng(0)
    canvas.label([Mark(box, "#ffffff", "erythrocyte 0.93", "0.93") for box in boxes(*rng.uniform(0, 380, (40, 2)))])
    assert len(places) > 5
    for k, one in enumerate(places):
        assert min(one) >= 0
        assert max(one) <= 400
        for other in places[:k]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    places.clear()
    crowded = boxes(*((x, y) for x in range(0, 400, 20) for y in range(0, 400, 20)), side=20)
    canvas.label([Mark(box, "#ffffff", "erythrocyte 0.93", "0.93") for box in crowded])
    assert places == []


def test_lines_are_thicker_in_large_images_and_thin_around_small_objects():
    def width(side_px: int, box: float) -> int:
        marks = [Mark(boxes((10, 10), side=box)[0], "#ffffff")]
        return Canvas(np.zeros((side_px, side_px, 3), dtype=np.uint8), 1.0)._line_px(marks)

    assert width(400, 200) == 2
    assert width(3000, 500) == 10
    assert width(3000, 14) == 1


def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_kept():
    marked = objects([(0, 0)], [0])
    look = Look(key=False)
    assert draw_objects(even(64), marked, CATEGORIES, look=look).shape == (1024, 1024, 3)
    assert draw_objects(even(1500), marked, CATEGORIES, look=look).shape == (1500, 1500, 3)
    assert draw_objects(even(1500), marked, CATEGORIES, look=Look(key=False, longest_px=300)).shape == (300, 300, 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 40])
def test_any_number_of_channels_with_a_key_below(channels: int):
    picture = draw_objects(even(channels=channels), detections([(0, 0)], [1], [0.9]), CATEGORIES)
    assert picture.shape[1] == 1200
    assert picture.shape[0] > 1200
    assert (picture[-1] == 255).all()


def test_an_overlay_tells_hits_misses_false_and_wrongly_named_ones_apart():
    marked = objects([(20, 20), (220, 20), (20, 220)], [0, 0, 1])
    found = detections([(21, 20), (220, 21), (320, 320)], [0, 1, 0], [0.9, 0.8, 0.7])
    picture = draw_overlay(even(), marked, found, CATEGORIES, look=BARE)
    corners = {
        HIT: (10, 50, 10, 50),
        MISNAMED: (10, 50, 210, 250),
        MISSED: (210, 250, 10, 50),
        FALSE: (310, 350, 310, 350),
    }
    for colour, (top, bottom, left, right) in corners.items():
        place = painted(picture, colour)
        assert place[top:bottom, left:right].any()
        place[top:bottom, left:right] = False
        assert not place.any()


def test_what_is_to_be_ignored_is_grey_in_an_overlay():
    marked = objects([(20, 20), (220, 20)], [0, 0], ignore=[False, True])
    picture = draw_overlay(even(), marked, detections([(20, 20), (221, 21)], [0, 0], [0.9, 0.8]), CATEGORIES, look=BARE)
    assert painted(picture, IGNORED)[:, 200:].any()
    assert painted(picture, HIT)[:, :60].any()
    assert not (painted(picture, FALSE) | painted(picture, MISSED)).any()


def test_dashed_lines_have_gaps():
    marked = Objects(boxes((20, 220), side=150), np.ones(1, int))
    whole = draw_objects(even(), marked, CATEGORIES, look=BARE)
    dashed = draw_overlay(even(), marked, detections([], [], []), CATEGORIES, look=BARE)
    # dashes as long as gaps, the corners closed
    assert 0.4 < painted(dashed, MISSED).sum() / painted(whole, PALETTE[1]).sum() < 0.6
    assert category_colour(8) == (PALETTE[1], True)


def test_words_are_readable_on_every_colour():
    """At least 4.5 to 1, what WCAG 2 asks of text."""

    def luminance(colour: str) -> float:
        parts = [v / 255 for v in rgb(colour)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in (*PALETTE, HIT, MISSED, FALSE, MISNAMED):
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour


def test_empty_images_and_files(tmp_path: Path):
    nothing = Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    picture = draw_objects(even(), nothing, CATEGORIES)
    path = save_png(picture, tmp_path / "new" / "picture.png")
    with Image.open(path) as image:
        assert (np.asarray(image) == picture).all()


def test_categories_without_a_name_and_impossible_looks_are_refused():
    with pytest.raises(InputError, match="category 2; 2 have names"):
        draw_objects(even(), objects([(0, 0)], [2]), CATEGORIES)
    with pytest.raises(ConfigError, match="opacity"):
        Look.from_table({"opacity": 1.5})
