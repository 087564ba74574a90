"""A recording whose writer is killed at any moment holds every frame whose add() had returned."""

import multiprocessing
import time
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path

import h5py
import numpy as np
import pytest

from lsm.record import open_record
from lsm.record._superblock import clear_mark, is_marked_open, lookup3
from record.frames import decide, make_frame, record_until_killed

KILLS = 15


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that start in milliseconds, because one server has imported the package before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lsm.record", "lsm.illum"])
    return context


def record_and_kill(processes: ForkServerContext, path: Path, delay_s: float) -> int:
    """Number of frames that the writer had acknowledged when it was killed."""
    heard, said = processes.Pipe(duplex=False)
    writer = processes.Process(target=record_until_killed, args=(path, said), daemon=True)
    writer.start()
    said.close()
    assert heard.recv() == -1
    time.sleep(delay_s)
    writer.kill()
    writer.join()
    acknowledged = 0
    with suppress(EOFError), heard:
        while True:
            acknowledged = heard.recv() + 1
    return acknowledged


def test_no_acknowledged_frame_is_lost(processes: ForkServerContext, tmp_path: Path):
    """Kills spread over the first frame (creation, change to SWMR) and the following ones."""
    rng = np.random.default_rng(2024)
    delays_s = [*np.linspace(0, 0.02, 5), *rng.uniform(0.02, 0.25, KILLS - 5)]
    total = 0
    for kill, delay_s in enumerate(delays_s):
        path = tmp_path / f"{kill}.h5"
        acknowledged = record_and_kill(processes, path, float(delay_s))
        with open_record(path) as recording:
            # the frame whose acknowledgement was on its way may be there as well
            assert acknowledged <= recording.n_frames <= acknowledged + 1
            for index, (frame, decision) in enumerate(zip(recording.frames(), recording.decisions(), strict=True)):
                expected = make_frame(index)
                assert np.array_equal(frame.image, expected.image)
                assert frame.request == expected.request
                assert np.array_equal(frame.shown.levels, expected.shown.levels)
                assert decision == decide(index)
            assert not recording.complete
        with h5py.File(path, "r") as plain:
            assert recording.n_frames == 0 or plain["images"][: recording.n_frames].any()
        total += acknowledged
    assert total > KILLS


def test_the_mark_of_a_killed_writer_is_cleared_only_after_its_death(processes: ForkServerContext, tmp_path: Path):
    path = tmp_path / "record.h5"
    record_and_kill(processes, path, 0.1)
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
    acknowledged = record_and_kill(processes, path, 0.1)
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
