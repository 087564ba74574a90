"""Recordings that are resumed, read while they grow, written in the background, or of the old layout."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from lsm.errors import FileMissing, RecordError
from lsm.record import AheadRecorder, Recorder, open_record, verify_record
from lsm.record._salvage import SalvagedRecording
from lsm.record._store import Store
from lsm.record.schema import FRAME_1, SCHEMA_1, to_json
from record.frames import decide, make_frame


def write(path: Path, n_frames: int) -> Path:
    with Recorder(path, {"seed": 3}) as recorder:
        for index in range(n_frames):
            recorder.add(make_frame(index), decide(index))
    return path


def check(path: Path, n_frames: int) -> None:
    assert verify_record(path).faults == ()
    with open_record(path) as recording:
        assert recording.n_frames == n_frames
        for index in range(n_frames):
            assert np.array_equal(recording.frame(index).image, make_frame(index).image)
            assert recording.decision(index) == decide(index)


@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_resumed_recording_goes_on_where_it_was(tmp_path: Path, before: int):
    path = write(tmp_path / "r.h5", before)
    with Recorder.resume(path) as recorder:
        assert recorder.n_frames == before
        for index in range(before, before + 3):
            assert recorder.add(make_frame(index), decide(index)) == index
        with pytest.raises(RecordError, match=r"\(32, 32\)"):
            recorder.add(make_frame(9, shape=(32, 32)))
        recorder.finish({"verdict": "negative"})
    check(path, before + 3)
    with open_record(path) as recording:
        assert recording.header["seed"] == 3
        assert recording.summary == {"verdict": "negative"}
        sessions = [int(recording.row(index)["session"]) for index in range(before + 3)]
    assert sessions == [0] * before + [int(before > 0)] * 3


def test_what_has_ended_or_is_being_written_is_not_resumed(tmp_path: Path):
    path = tmp_path / "r.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(make_frame(0))
        with pytest.raises(RecordError, match="is being written"):
            Recorder.resume(path)
        assert recorder.add(make_frame(1)) == 1
        recorder.finish({"done": True})
    with pytest.raises(RecordError, match="has ended"):
        Recorder.resume(path)
    with pytest.raises(FileMissing):
        Recorder.resume(tmp_path / "none.h5")


@pytest.mark.parametrize("summary", [None, {"done": True}])
def test_two_programs_on_one_file_do_not_overwrite_each_other(tmp_path: Path, summary: dict[str, bool] | None):
    """Both have it open before the first frame; the one that comes second is refused, and the file stays."""
    path = tmp_path / "r.h5"
    one = Recorder(path, {"seed": 3})
    other = Recorder.resume(path)
    with one:
        one.add(make_frame(0), decide(0))
        if summary is not None:
            one.finish(summary)
    with pytest.raises(RecordError, match="Another program has recorded"):
        other.add(make_frame(5)) if summary is None else other.finish({})
    other.close()
    check(path, 1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_journal_of_another_recording_is_not_believed(tmp_path: Path):
    mine, other = write(tmp_path / "mine.h5", 2), tmp_path / "other.h5"
    with Recorder(other, {}) as recorder:
        recorder.add(make_frame(5))
        (tmp_path / "mine.h5.journal").write_bytes((tmp_path / "other.h5.journal").read_bytes())
    with pytest.raises(RecordError, match="another recording"):
        open_record(mine)
    (tmp_path / "mine.h5.journal").unlink()
    assert open_record(mine).n_frames == 2


def test_a_burst_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "r.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(make_frame(0), decide(0))
        with pytest.raises(RecordError, match="1 decisions do not fit 2 frames"):
            recorder.add_all([make_frame(1), make_frame(2)], [decide(1)])
        with pytest.raises(RecordError, match="JSON"):
            recorder.add_all([make_frame(1), make_frame(2)], [decide(1), {"bad": float("nan")}])
        with pytest.raises(RecordError, match="shape"):
            recorder.add_all([make_frame(1), make_frame(2, shape=(8, 8))])
        syncs = []
        whole = Store.sync
        monkeypatch.setattr(Store, "sync", lambda store: syncs.append(whole(store)))
        assert list(recorder.add_all([make_frame(1), make_frame(2)], [decide(1), decide(2)])) == [1, 2]
        assert len(syncs) == 1
        assert list(recorder.add_all([])) == []
    check(path, 3)
    with open_record(path) as recording:
        assert [int(recording.row(index)["group"]) for index in range(3)] == [0, 1, 1]


def test_a_reader_of_a_growing_recording_always_sees_whole_frames(tmp_path: Path):
    path, done = tmp_path / "r.h5", threading.Event()

    def read() -> list[int]:
        seen = []
        with open_record(path) as recording:
            while not done.is_set():
                seen.append(recording.refresh())
                last = seen[-1] - 1
                assert np.array_equal(recording.frame(last).image, make_frame(last).image)
                assert recording.decision(last) == decide(last)
        return seen

    with Recorder(path, {}) as recorder, ThreadPoolExecutor(1) as readers:
        recorder.add(make_frame(0), decide(0))
        reader = readers.submit(read)
        try:
            for index in range(1, 60):
                recorder.add(make_frame(index), decide(index))
        finally:
            done.set()
        seen = reader.result()
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


def test_a_reader_that_has_the_file_open_stops_no_writer(tmp_path: Path):
    """HDF5's own locks would: a reader in another process holds one for as long as it reads."""
    path = write(tmp_path / "r.h5", 2)
    program = f"import h5py, sys; file = h5py.File({str(path)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        reader.stdout.readline()
        with Recorder.resume(path) as recorder:
            recorder.add(make_frame(2), decide(2))
        reader.stdin.close()
    check(path, 3)


def test_frames_recorded_in_the_background_are_durable_when_their_future_says_so(tmp_path: Path):
    path = tmp_path / "r.h5"
    with Recorder(path, {}) as recorder, AheadRecorder(recorder, frames=4) as ahead:
        futures = [ahead.add(make_frame(index), decide(index)) for index in range(30)]
        assert futures[10].result() == 10
        with open_record(path) as early:
            assert early.n_frames > 10
        with pytest.raises(RecordError, match="JSON"):
            ahead.add(make_frame(30), {"bad": float("inf")})
        ahead.close()
        assert [future.result() for future in futures] == list(range(30))
    check(path, 30)


def test_a_background_failure_reaches_the_caller(tmp_path: Path):
    with Recorder(tmp_path / "r.h5", {}) as recorder:
        ahead = AheadRecorder(recorder, frames=2)
        assert ahead.add(make_frame(0)).result() == 0
        with pytest.raises(RecordError, match="shape"):
            ahead.add(make_frame(1, shape=(8, 8))).result()
        with pytest.raises(RecordError, match="no more frames"):
            ahead.add(make_frame(1))
        with pytest.raises(RecordError, match="shape"):
            ahead.close()
        assert recorder.n_frames == 1


def test_at_most_so_many_frames_are_on_their_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gate, whole = threading.Event(), Store.sync

    def slow(store: Store) -> None:
        gate.wait()
        whole(store)

    with Recorder(tmp_path / "r.h5", {}) as recorder, AheadRecorder(recorder, frames=3) as ahead:
        ahead.add(make_frame(0)).result()
        monkeypatch.setattr(Store, "sync", slow)
        for index in range(1, 4):
            ahead.add(make_frame(index))
        fourth = threading.Thread(target=ahead.add, args=(make_frame(4),))
        fourth.start()
        fourth.join(0.2)
        assert fourth.is_alive()
        gate.set()
        fourth.join()


def test_where_nothing_may_be_changed_the_journal_is_read(tmp_path: Path):
    path, copy = tmp_path / "r.h5", tmp_path / "copy.h5"
    with Recorder(path, {"seed": 3}) as recorder:
        for index in range(5):
            recorder.add(make_frame(index), decide(index))
        for suffix in ("", ".journal"):
            Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    with SalvagedRecording(copy, "the disk is full") as salvaged, open_record(path) as recording:
        assert salvaged.n_frames == 5
        assert salvaged.header == recording.header
        for index in range(5):
            one, other = salvaged.frame(index), recording.frame(index)
            assert np.array_equal(one.image, other.image)
            assert one.request == other.request
            assert np.array_equal(one.shown.levels, other.shown.levels)
            assert salvaged.decision(index) == recording.decision(index)
            assert salvaged.place(index) == recording.place(index)


def test_the_old_layout_is_still_read(tmp_path: Path):
    """As the first layout was documented: gzip images, rows that end at text_end, no identity."""
    path, frame = tmp_path / "old.h5", make_frame(3)
    text = to_json(
        {"decision": decide(3), "metadata": {"camera": "c"}, "pattern": "p", "board": frame.request.pattern.board},
        what="text",
    )
    row = np.zeros(1, dtype=FRAME_1)
    row["exposure_ms"], row["x_um"], row["ended_ns"], row["text_end"] = 4.0, 30.25, 5, len(text)
    with h5py.File(path, "w", libver="v110") as file:
        file.attrs["schema"], file.attrs["header"] = SCHEMA_1, np.bytes_(b'{"seed": 9}')
        file.create_dataset("images", data=frame.image[None], chunks=(1, 64, 48), compression="gzip")
        file["requested"], file["shown"] = frame.request.pattern.levels[None], frame.shown.levels[None]
        file["frames"], file["text"] = row, np.frombuffer(text, dtype=np.uint8)
        file["summary"] = np.zeros(0, dtype=np.uint8)
    with open_record(path) as recording:
        assert np.array_equal(recording.frame(0).image, frame.image)
        assert recording.decision(0) == decide(3)
        assert recording.wall_ns(0) is None
        assert recording.schema == SCHEMA_1
    found = verify_record(path)
    assert found.good
    assert any("no checksums" in note for note in found.notes)
    with pytest.raises(RecordError, match=SCHEMA_1):
        Recorder.resume(path)


def test_the_wall_clock_tells_when_a_frame_was_taken(tmp_path: Path):
    path = tmp_path / "r.h5"
    before_ns = time.time_ns()
    write(path, 1)
    with open_record(path) as recording:
        row, wall_ns = recording.row(0), recording.wall_ns(0)
    assert before_ns <= int(row["recorded_wall_ns"]) <= time.time_ns()
    assert wall_ns - int(row["recorded_wall_ns"]) == int(row["started_ns"]) - int(row["recorded_ns"])


def test_memory_and_handles_do_not_grow_with_the_frames(tmp_path: Path):
    process = psutil.Process()
    frames = [make_frame(index, shape=(128, 128)) for index in range(10)]
    with Recorder(tmp_path / "r.h5", {}) as recorder:

        def record(count: int) -> tuple[int, int]:
            for index in range(count):
                recorder.add(frames[index % 10], {"action": index})
            return process.memory_info().rss, process.num_fds() if hasattr(process, "num_fds") else 0

        rss, handles = record(100)
        later_rss, later_handles = record(200)
    assert later_handles == handles
    # 200 frames are 6.5 MB; what grows is the library's cache of its index, a few bytes a frame
    assert later_rss - rss < 3 * 2**20
