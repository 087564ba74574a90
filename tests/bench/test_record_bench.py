"""The recording's benchmark measures what it says, and judges by its own figures."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lsm.bench import record
from lsm.bench.record import RecordComparison, compare_record, show_record


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> RecordComparison:
    """Frames small enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "LARGE_PX", 256)
        patch.setattr(record, "SMALL_PX", 64)
        folder = tmp_path_factory.mktemp("bench")
        comparison = compare_record(folder, quick=True)
    assert list(folder.iterdir()) == []
    return comparison


def test_every_way_is_measured(measured: RecordComparison):
    assert [way.frames for way in measured.ways] == [32, 32, 32]
    assert min(way.frames_s for way in measured.ways) > 0
    assert 0 < measured.added_median_ms <= measured.added_p99_ms
    assert 0.2 < measured.packed < 1.0


def test_the_promise_is_the_lower_of_two_rates(measured: RecordComparison):
    slow_disk = replace(measured, disk_mb_s=10 * record.LARGE_BYTES / 1e6, added_median_ms=5.0)
    assert slow_disk.promised_frames_s == pytest.approx(10)
    assert replace(slow_disk, disk_mb_s=1e9).promised_frames_s == 100
    ways = tuple(replace(way, frames_s=11.0) for way in measured.ways)
    assert replace(slow_disk, ways=ways).kept
    assert not replace(slow_disk, ways=ways, added_median_ms=11.5).kept
    assert not replace(slow_disk, ways=tuple(replace(way, frames_s=9.0) for way in ways)).kept


def test_the_table_says_whether_it_was_kept(measured: RecordComparison):
    for added_ms, word in ((11.0, "(kept)."), (11.5, "(MISSED).")):
        told = io.StringIO()
        Console(file=told, width=200).print(show_record(replace(measured, added_median_ms=added_ms)))
        assert told.getvalue().rstrip().endswith(word)
        assert "in the background" in told.getvalue()
