"""Counts over time: tables, shares, intervals, and the figure."""

from pathlib import Path

import numpy as np
import pytest
from drawn_objects import CATEGORIES, detections, objects
from hypothesis import given, settings
from hypothesis import strategies as st

from lsm.errors import FileMissing, InputError, WrongFormat
from lsm.stats import wilson
from lsm.vision.draw import StageCounts, stages_figure, stages_page


def test_rows_of_one_time_are_added_and_times_are_put_in_order():
    stages = StageCounts.of([(8, {"ring": 3}), (0, {"ring": 5, "schizont": 5}), (8, {"ring": 1, "schizont": 4})])
    assert stages.time_h.tolist() == [0, 8]
    assert stages.counts.tolist() == [[5, 5], [4, 4]]
    assert stages.images.tolist() == [1, 2]
    assert stages.shares().tolist() == [[0.5, 0.5], [0.5, 0.5]]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 500), min_size=3, max_size=3), min_size=1, max_size=5))
def test_shares_sum_to_one_and_lie_in_their_intervals(table: list[list[int]]):
    stages = StageCounts.of((k, dict(zip("abc", row, strict=True))) for k, row in enumerate(table))
    shares, intervals = stages.shares(), stages.intervals()
    for row, share, around in zip(table, shares, intervals, strict=True):
        if sum(row) == 0:
            assert np.isnan(share).all()
            continue
        # three quotients of whole numbers are added
        assert share.sum() == pytest.approx(1, abs=1e-15)
        assert ((around[:, 0] <= share + 1e-12) & (share <= around[:, 1] + 1e-12)).all()
        assert tuple(around[0]) == wilson(row[0], sum(row))


def test_shares_can_be_of_some_categories_alone():
    stages = StageCounts.of([(0, {"red": 90, "ring": 4, "schizont": 6})]).without(["red"])
    assert stages.shares().tolist() == [[0.4, 0.6]]
    with pytest.raises(InputError, match="no category 'blue'"):
        stages.without(["blue"])
    with pytest.raises(InputError, match="No category remains"):
        stages.without(["ring", "schizont"])


def test_marked_and_found_objects_are_counted_without_those_to_ignore():
    marked = objects([(0, 0), (40, 0), (0, 40)], [0, 1, 1], ignore=[False, False, True])
    found = detections([(0, 0)], [1], [0.5])
    stages = StageCounts.of_found([0, 0], [marked, found], CATEGORIES)
    assert stages.counts.tolist() == [[1, 2]]


def test_tables_are_read_and_faults_name_their_line(tmp_path: Path):
    path = tmp_path / "stages.csv"
    path.write_text("time_h,ring,schizont\n0,10,2\n4,7,5\n", encoding="utf-8")
    stages = StageCounts.from_csv(path)
    assert (stages.categories, stages.counts.tolist()) == (("ring", "schizont"), [[10, 2], [7, 5]])
    for text, said in [
        ("time_h,ring\n0,10\n4,many\n", "Line 3"),
        ("time_h,ring\n0\n", "Line 2 .* has '' as ring"),
        ("hour,ring\n0,1\n", "no column time_h"),
        ("", "no column time_h"),
        ("time_h,ring\n0,-2\n", "'-2' as ring"),
        ("time_h,ring\n0,1.5\n", "'1.5' as ring"),
        ("time_h,ring\nnan,2\n", "nan"),
    ]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(WrongFormat, match=said):
            StageCounts.from_csv(path)
    with pytest.raises(FileMissing):
        StageCounts.from_csv(tmp_path / "none.csv")


def test_the_figure_stacks_shares_and_shows_intervals():
    stages = StageCounts.of(
        [(0, {"ring": 30, "schizont": 10}), (4, {"ring": 0, "schizont": 0}), (8, {"ring": 4, "schizont": 36})]
    )
    stacked, single = stages_figure(stages).axes
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in stacked.collections]
    # ring reaches 3/4 at most; both together always 1; the time without a count is left out
    assert tops == pytest.approx([0.75, 1.0])
    assert "each of 2 times" in stacked.get_title(loc="left")
    ends = [line.get_segments() for line in single.collections]
    low, high = wilson(30, 40)
    assert [ends[0][0][0][1], ends[0][0][1][1]] == pytest.approx([low, high])


def test_the_page_tells_counts_shares_and_intervals():
    page = stages_page(StageCounts.of([(0, {"ring": 30, "schizont": 10})]), subject="one culture")
    table = page.sections[1].table
    assert table is not None
    assert table.rows == (("0", "1", "40", "30: 75% (60-86%)", "10: 25% (14-40%)"),)
