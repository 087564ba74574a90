"""Which errors are shown, in which order, and that each picture shows its place."""

import numpy as np
import pytest
from drawn_objects import detections, grey_set, objects, square_mask

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.draw import draw_gallery, worst
from lsm.vision.draw._style import FALSE, rgb
from lsm.vision.draw.gallery import GAP_PX, THUMB_PX

HALF = np.array([0.5, 0.5])


def test_false_ones_fall_missed_ones_rise_in_score_and_thresholds_count():
    data = grey_set([objects([(0, 0), (40, 0), (0, 40)], [0, 1, 1]), objects([(70, 70)], [0])])
    found = [
        detections([(70, 70), (0, 0), (40, 0), (0, 42), (70, 30)], [0, 0, 0, 1, 1], [0.6, 0.9, 0.8, 0.3, 0.4]),
        detections([(0, 0)], [1], [0.95]),
    ]
    false = worst(data, found, "false", thresholds=HALF)
    assert [(case.name, case.found, case.score) for case in false] == [
        ("image 1", "ring", 0.95),
        ("image 0", "disc", 0.6),
    ]
    missed = worst(data, found, "missed", thresholds=HALF)
    # the ring at (0, 40) was found too weakly; of the disc at (70, 70) of the second image nothing was
    assert [(case.name, case.labelled, case.score) for case in missed] == [
        ("image 1", "disc", 0.0),
        ("image 0", "ring", 0.3),
    ]
    named = worst(data, found, "wrongly named", thresholds=HALF)
    assert [(case.labelled, case.found, case.score) for case in named] == [("ring", "disc", 0.8)]
    assert len(worst(data, found, "false", thresholds=HALF, most=1)) == 1


def test_each_picture_shows_its_own_place():
    """A bright square at the place of the error, and one at the edge of the image."""
    pixels = np.zeros((1, 100, 100), dtype=np.float32)
    pixels[0, 40:60, 40:60] = 1.0
    data = AnnotatedSet(
        (AnnotatedImage.of("a", pixels, Objects(np.zeros((0, 4)), np.zeros(0, int))),), ("disc", "ring")
    )
    found = [detections([(40, 40), (85, 85)], [0, 1], [0.9, 0.8])]
    sheet = draw_gallery(data, worst(data, found, "false", thresholds=HALF))
    assert sheet.shape[1] == 2 * (THUMB_PX + GAP_PX) + GAP_PX
    first = sheet[GAP_PX : GAP_PX + THUMB_PX, GAP_PX : GAP_PX + THUMB_PX]
    second = sheet[GAP_PX : GAP_PX + THUMB_PX, 2 * GAP_PX + THUMB_PX : 2 * (GAP_PX + THUMB_PX)]
    middle = THUMB_PX // 2
    assert (first[middle, middle] > 240).all()
    assert (first[8, 8] < 15).all()
    assert (second[-8, -8] == 200).all()  # beyond the image
    for tile in (first, second):
        assert (tile == np.array(rgb(FALSE))).all(axis=2).any()


def test_masks_and_many_channels_are_shown_and_nothing_is_refused():
    marked = Objects(np.array([[10.0, 10.0, 30.0, 30.0]]), np.zeros(1, int), (square_mask(10, 10, 20),))
    data = grey_set([marked], channels=40)
    cases = worst(data, [detections([], [], [])], "missed", thresholds=HALF)
    assert draw_gallery(data, cases).shape[2] == 3
    with pytest.raises(InputError, match="no errors"):
        draw_gallery(data, [])
    with pytest.raises(InputError, match="0 images were searched"):
        worst(data, [], "missed", thresholds=HALF)
