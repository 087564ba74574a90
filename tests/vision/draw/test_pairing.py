"""Which marks of two sources are the same object."""

import itertools

import numpy as np
import pytest
from drawn_objects import boxes, detections, objects
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.vision.data import Objects
from lsm.vision.detect.matching import overlaps
from lsm.vision.draw import pair_up


def test_pairs_are_found_by_place_and_the_rest_is_of_one_side():
    first = objects([(0, 0), (40, 0), (0, 40)], [0, 1, 0])
    second = objects([(42, 1), (0, 70), (1, 0)], [0, 0, 1])
    pairs = pair_up(first, second)
    assert sorted(pairs.both.tolist()) == [[0, 2], [1, 0]]
    assert (pairs.only_first.tolist(), pairs.only_second.tolist()) == ([2], [1])


def test_more_pairs_count_more_than_better_ones():
    """Boxes in a row, each overlapping two: taking the best pair first would leave two alone."""
    first, second = boxes((0, 0), (6, 0)), boxes((5, 0), (12, 0))
    least = 0.5
    # 20 px squares shifted by 5, 12, 1 and 6: overlaps of 15/25, 8/32, 19/21 and 14/26
    assert [round(float(v), 3) for v in overlaps(first, second).ravel()] == [0.6, 0.25, 0.905, 0.538]
    pairs = pair_up(Objects(first, np.zeros(2, int)), Objects(second, np.zeros(2, int)), least_iou=least)
    assert sorted(pairs.both.tolist()) == [[0, 0], [1, 1]]


corner = st.tuples(st.integers(0, 40), st.integers(0, 40))


@settings(deadline=None)
@given(st.lists(corner, max_size=4), st.lists(corner, max_size=4))
def test_no_other_assignment_pairs_more_or_better(first: list[tuple[int, int]], second: list[tuple[int, int]]):
    one, other = objects(first, [0] * len(first)), objects(second, [0] * len(second))
    pairs = pair_up(one, other)
    iou = overlaps(one.box_px, other.box_px)
    chosen = (len(pairs.both), sum(iou[a, b] for a, b in pairs.both))
    few, many = sorted((len(first), len(second)))
    best = (0, 0.0)
    for places in itertools.permutations(range(many), few):
        values = [iou[a, b] if len(first) <= len(second) else iou[b, a] for a, b in enumerate(places)]
        kept = [value for value in values if value >= 0.5]
        best = max(best, (len(kept), sum(kept)))
    # overlaps of a handful of boxes are added: a few ulp
    assert chosen == pytest.approx(best, abs=1e-12)
    assert len(pairs.both) + len(pairs.only_first) == len(first)
    assert len(pairs.both) + len(pairs.only_second) == len(second)


def test_what_is_to_be_ignored_is_neither_missed_nor_false():
    marked = objects([(0, 0), (50, 50)], [0, 0], ignore=[False, True])
    # three detections inside the ignored object, smaller than half of it or not, and one false one
    found = detections([(0, 0), (50, 50), (55, 52), (80, 0)], [0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6])
    pairs = pair_up(marked, found)
    assert pairs.both.tolist() == [[0, 0]]
    assert (pairs.only_first.tolist(), pairs.only_second.tolist()) == ([], [3])


def test_nothing_and_boxes_without_area_pair_with_nothing():
    nothing = objects([], [])
    some = objects([(0, 0)], [0])
    assert pair_up(nothing, some).only_second.tolist() == [0]
    assert pair_up(some, nothing).only_first.tolist() == [0]
    flat = Objects(np.array([[5.0, 5.0, 5.0, 5.0]]), np.zeros(1, int))
    assert len(pair_up(flat, flat).both) == 0
