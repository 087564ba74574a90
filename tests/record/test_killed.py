"""A recording whose writer is killed at any moment holds every frame whose add() had returned."""

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsm.record import Recorder, open_record, unborn
from lsm.record._superblock import clear_mark, is_marked_open, lookup3
from lsm_sim.kill_campaign import InventedFrames, kill_campaign
from record.frames import be_killed_before_the_file_has_its_name, make_frame, record_until_killed

KILLS = 10


class TooEarly(InventedFrames):
    """Says that frames are there before they are."""

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        super().run(folder, lambda n_frames: acknowledge(n_frames + 4))


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start in milliseconds, because one server has imported the package before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lsm.record", "lsm.illum"])
    return context


def record_and_kill(processes: ForkServerContext, path: Path) -> int:
    """Number of frames, at least one, that the writer had acknowledged when it was killed."""
    heard, said = processes.Pipe(duplex=False)
    writer = processes.Process(target=record_until_killed, args=(path, said), daemon=True)
    writer.start()
    said.close()
    assert (heard.recv(), heard.recv()) == (-1, 0)
    time.sleep(0.05)
    writer.kill()
    writer.join()
    acknowledged = 1
    with suppress(EOFError), heard:
        while True:
            acknowledged = heard.recv() + 1
    return acknowledged


def test_a_writer_killed_before_its_file_had_a_name_leaves_no_trace(processes: ForkServerContext, tmp_path: Path):
    path = tmp_path / "run[1].h5"
    (tmp_path / ".run[1].h5.txt").touch()
    for _ in range(2):
        writer = processes.Process(target=be_killed_before_the_file_has_its_name, args=(path,))
        writer.start()
        writer.join()
        # the second has cleared away what the first left
        assert (path.exists(), len(unborn(path))) == (False, 1)
    with Recorder(path, {"seed": 3}) as recorder:
        recorder.add(make_frame(0))
    assert sorted(left.name for left in tmp_path.iterdir()) == [".run[1].h5.txt", "run[1].h5"]


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path):
    """Opened, verified, resumed, and in the end equal to the recording of a writer that was left alone."""
    tally = kill_campaign(InventedFrames(frames=60), KILLS, seed=2024, folder=tmp_path)
    assert tally.faults == []
    assert tally.kills == KILLS
    assert tally.acknowledged > KILLS


def test_the_campaign_sees_a_writer_that_acknowledges_too_early(tmp_path: Path):
    tally = kill_campaign(TooEarly(frames=12), 5, seed=1, folder=tmp_path)
    assert any("only" in fault for fault in tally.faults)


def test_the_mark_of_a_killed_writer_is_cleared_only_after_its_death(processes: ForkServerContext, tmp_path: Path):
    path = tmp_path / "record.h5"
    record_and_kill(processes, path)
    assert is_marked_open(path)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    assert clear_mark(path)
    assert not is_marked_open(path)
    with h5py.File(path, "r+") as plain:
        plain["images"][0] += 1


def test_a_recording_that_may_not_be_changed_is_read_all_the_same(
    processes: ForkServerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "record.h5"
    acknowledged = record_and_kill(processes, path)
    monkeypatch.setattr("lsm.record.reading.tidy", lambda _: "")
    with open_record(path) as recording:
        assert recording.n_frames >= acknowledged
        assert np.array_equal(recording.frame(0).image, make_frame(0).image)
    assert is_marked_open(path)


def test_the_checksum_is_that_of_the_library(tmp_path: Path):
    """HDF5's own superblock, and the published value for one short string (Jenkins, lookup3.c driver5)."""
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file["x"] = np.arange(3)
    head = path.read_bytes()[:48]
    assert lookup3(head[:44]) == int.from_bytes(head[44:], "little")
    assert lookup3(b"Four score and seven years ago") == 0x17770551
    assert lookup3(b"") == 0xDEADBEEF
