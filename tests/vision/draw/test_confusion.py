"""Agreement of two sources: against numbers worked by hand and against scikit-learn's definition."""

import numpy as np
import pytest
from drawn_objects import CATEGORIES, detections, grey_set, objects

from lsm.errors import InputError
from lsm.vision.data import AnnotatedImage, AnnotatedSet
from lsm.vision.draw import Confusion, confusion, confusion_figure, detector_confusion


def table_of(matrix: list[list[int]]) -> Confusion:
    return Confusion("A", "B", CATEGORIES, np.array([matrix], dtype=np.int64))


def test_kappa_is_the_textbook_one():
    """Two readers, 50 cases, 20 and 15 agreed on, 5 and 10 not: observed 0.7, by chance 0.5, kappa 0.4."""
    told = table_of([[20, 5, 0], [10, 15, 0], [0, 0, 0]])
    # exact in rational numbers, a few ulp in float64
    assert told.kappa(np.random.default_rng(0)).value == pytest.approx(0.4, abs=1e-15)


def test_objects_that_one_source_left_out_lower_the_agreement_but_not_kappa():
    told = table_of([[20, 5, 7], [10, 15, 0], [0, 3, 0]])
    assert told.kappa(np.random.default_rng(0)).value == pytest.approx(0.4, abs=1e-15)
    disc, ring = told.by_category(np.random.default_rng(0))
    assert (disc.first, disc.second, disc.both) == (32, 30, 20)
    assert disc.share.value == pytest.approx(2 * 20 / (32 + 30))
    assert ring.share.value == pytest.approx(2 * 15 / (25 + 23))
    assert told.marked_by_both == 50


def test_a_single_name_has_no_kappa_and_an_unused_one_no_agreement():
    told = table_of([[20, 0, 1], [0, 0, 0], [2, 0, 0]])
    assert told.kappa(np.random.default_rng(0)).value is None
    assert told.by_category(np.random.default_rng(0))[1].share.value is None


def test_intervals_are_over_images_and_cover_the_truth():
    """Images of which half disagree throughout: the share of one image is 0 or 1, so the interval is that of a
    binomial mean."""
    agreeing, differing = [[4, 0, 0], [0, 4, 0], [0, 0, 0]], [[0, 4, 0], [4, 0, 0], [0, 0, 0]]
    counts = np.array([agreeing, differing] * 20, dtype=np.int64)
    share = Confusion("A", "B", CATEGORIES, counts).by_category(np.random.default_rng(1))[0].share
    # 40 images at one half: a spread of 0.079, so 95 % lie within 0.155
    assert share.value == 0.5
    assert share.low == pytest.approx(0.345, abs=0.03)
    assert share.high == pytest.approx(0.655, abs=0.03)
    again = Confusion("A", "B", CATEGORIES, counts).by_category(np.random.default_rng(1))[0].share
    assert again == share


def test_labels_against_detections_are_counted_by_place():
    data = grey_set([objects([(0, 0), (40, 0), (0, 40)], [0, 1, 1]), objects([(10, 10)], [0])])
    found = [detections([(1, 0), (41, 0), (70, 70)], [0, 0, 1], [0.9, 0.8, 0.7]), detections([], [], [])]
    told = detector_confusion(data, found)
    assert told.matrix.tolist() == [[1, 0, 1], [1, 0, 1], [0, 1, 0]]
    assert told.counts[1].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_annotators_may_know_different_categories_in_another_order():
    image = np.zeros((1, 100, 100), dtype=np.float32)
    ours = AnnotatedSet((AnnotatedImage.of("a", image, objects([(0, 0), (40, 0)], [0, 1])),), ("disc", "ring"))
    theirs = AnnotatedSet((AnnotatedImage.of("a", image, objects([(40, 0), (0, 0)], [1, 0])),), ("star", "ring"))
    told = confusion(ours, theirs, names=("Ada", "Bob"))
    assert told.categories == ("disc", "ring", "star")
    # Ada's disc is Bob's star, both call the other a ring
    assert told.matrix[0].tolist() == [0, 0, 1, 0]
    assert told.matrix[1].tolist() == [0, 1, 0, 0]
    assert told.matrix.sum() == 2


def test_sets_of_other_images_and_unknown_categories_are_refused():
    ours, theirs = grey_set([objects([], [])]), grey_set([objects([], []), objects([], [])])
    with pytest.raises(InputError, match="1 images are in one set only, the first is image 1"):
        confusion(ours, theirs)
    with pytest.raises(InputError, match="0 images were searched"):
        detector_confusion(ours, [])
    with pytest.raises(InputError, match="category 2; 2 have names"):
        detector_confusion(ours, [detections([(0, 0)], [2], [0.5])])


def test_the_figure_shows_every_count():
    figure = confusion_figure(table_of([[20, 5, 7], [1234, 15, 0], [0, 3, 0]]))
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"20", "5", "7", "1,234", "15", "3"} <= set(words)
    assert "99%" in words  # 1234 of the second row's 1249
