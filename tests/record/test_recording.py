"""What is recorded comes back, and what cannot be recorded or read says so in one sentence."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np
import pytest

import lsm
from lsm.devices import Frame
from lsm.errors import FileMissing, RecordError
from lsm.record import Recorder, hdf5, open_record, verify_record
from lsm.record._store import Store
from record.frames import decide, make_frame


def same(one: Frame, other: Frame) -> bool:
    return (
        np.array_equal(one.image, other.image)
        and one.image.dtype == other.image.dtype
        and one.request == other.request
        and one.request.pattern.name == other.request.pattern.name
        and np.array_equal(one.shown.levels, other.shown.levels)
        and (one.shown.limited, one.shown.latch) == (other.shown.limited, other.shown.latch)
        and (one.xy_um, one.z_um, one.started_ns, one.ended_ns)
        == (other.xy_um, other.z_um, other.started_ns, other.ended_ns)
        and one.metadata == other.metadata
    )


def write(path: Path, n_frames: int, **summary: object) -> Path:
    with Recorder(path, {"rig": "r", "seed": 3}) as recorder:
        for index in range(n_frames):
            assert recorder.add(make_frame(index), decide(index)) == index
        if summary:
            recorder.finish(summary)
    return path


def test_every_entry_of_every_frame_comes_back(tmp_path: Path):
    path = write(tmp_path / "record.h5", 12, verdict="positive", n=np.int64(4))
    with open_record(path) as recording:
        assert recording.header == {"rig": "r", "seed": 3, "lsm_version": lsm.__version__}
        assert recording.n_frames == 12
        assert all(same(frame, make_frame(index)) for index, frame in enumerate(recording.frames()))
        assert list(recording.decisions()) == [decide(index) for index in range(12)]
        assert recording.complete
        assert recording.summary == {"verdict": "positive", "n": 4}


def test_other_programs_find_the_documented_layout(tmp_path: Path):
    with h5py.File(write(tmp_path / "record.h5", 2, done=True)) as file:
        assert file["images"].shape == (2, 64, 48)
        assert file["images"].dtype == np.uint16
        assert file["requested"].shape == file["shown"].shape == (2, 169, 3)
        assert file["frames"]["exposure_ms"].tolist() == [1.0, 2.0]
        assert np.isnan(file["frames"]["requested_z_um"][1])


@pytest.mark.parametrize("summary", [{}, {"verdict": "nothing seen"}])
def test_a_run_without_frames_is_a_recording(tmp_path: Path, summary: dict[str, str]):
    with open_record(write(tmp_path / "record.h5", 0, **summary)) as recording:
        assert (recording.n_frames, recording.summary, recording.complete) == (0, summary, bool(summary))
        assert list(recording.frames()) == []


def test_a_run_that_did_not_finish_has_no_summary(tmp_path: Path):
    with open_record(write(tmp_path / "record.h5", 3)) as recording:
        assert (recording.complete, recording.summary, recording.n_frames) == (False, {}, 3)


def test_an_existing_file_is_never_overwritten(tmp_path: Path):
    path = tmp_path / "record.h5"
    path.write_text("precious")
    with pytest.raises(RecordError, match=r"exists already.*another path"):
        Recorder(path, {})
    assert path.read_text() == "precious"


def test_a_recording_in_progress_can_be_read_and_is_left_alone(tmp_path: Path):
    path = tmp_path / "record.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(make_frame(0), decide(0))
        with open_record(path) as early:
            assert early.n_frames == 1
        recorder.add(make_frame(1), decide(1))
        with open_record(path) as later:
            assert same(later.frame(1), make_frame(1))
    with open_record(path) as recording:
        assert recording.n_frames == 2


@pytest.mark.parametrize("moment", ["sync", "put_pixels", "put_rest"])
@pytest.mark.parametrize("summary", [None, {"done": True}])
def test_an_add_interrupted_at_the_end_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, summary: dict[str, bool] | None
):
    path, whole = tmp_path / "record.h5", getattr(Store, moment)

    def interrupt(*arguments: object) -> None:
        whole(*arguments)
        raise KeyboardInterrupt

    recorder = Recorder(path, {})
    recorder.add(make_frame(0), decide(0))
    with monkeypatch.context() as patch:
        patch.setattr(Store, moment, interrupt)
        with pytest.raises(KeyboardInterrupt):
            recorder.add_all([make_frame(5), make_frame(6)])
    recorder.close() if summary is None else recorder.finish(summary)
    assert verify_record(path).faults == ()
    with open_record(path) as recording:
        assert (recording.n_frames, recording.summary) == (1, summary or {})


@pytest.mark.parametrize("moment", ["sync", "put_rest"])
def test_an_interrupted_add_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str):
    """Ctrl-C before or after the journal has the frames: the next one takes their place, also when a kill follows."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path, copy = tmp_path / "record.h5", tmp_path / "copy.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(make_frame(0))
        with monkeypatch.context() as patch:
            patch.setattr(Store, moment, interrupt)
            with pytest.raises(KeyboardInterrupt):
                recorder.add_all([make_frame(5), make_frame(6)], [decide(5), decide(6)])
        assert recorder.add(make_frame(1), decide(1)) == 1
        for suffix in ("", ".journal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    for each in (path, copy):
        with open_record(each) as recording:
            assert recording.n_frames == 2
            assert same(recording.frame(1), make_frame(1))
            assert recording.decision(1) == decide(1)


def test_a_failed_write_keeps_the_frames_before_it(tmp_path: Path):
    """The system refuses to write, as on a full disk: an error, the file stays good, and the process lives."""
    path = tmp_path / "record.h5"
    recorder = Recorder(path, {})
    for index in range(5):
        recorder.add(make_frame(index), decide(index))
    with path.open("rb") as read_only:
        os.dup2(read_only.fileno(), recorder._store._file.id.get_vfd_handle())
    with pytest.raises(RecordError, match="first 5 frames are safe"):
        recorder.add(make_frame(5))
    with pytest.raises(RecordError, match="closed"):
        recorder.add(make_frame(5))
    recorder.close()
    with open_record(path) as recording:
        assert recording.n_frames == 5
        assert all(same(frame, make_frame(index)) for index, frame in enumerate(recording.frames()))


def test_a_nearly_full_disk_refuses_the_frame_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    path = tmp_path / "record.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(make_frame(0))
        with monkeypatch.context() as patch:
            patch.setattr(hdf5.shutil, "disk_usage", lambda _: usage(2**30, 2**30, 2**20))
            with pytest.raises(RecordError, match="1 MiB left"):
                recorder.add(make_frame(1))
        assert recorder.add(make_frame(1)) == 1


@pytest.mark.parametrize("decision", [{"score": float("nan")}, {"what": object()}])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path, decision: dict[str, object]):
    with Recorder(tmp_path / "record.h5", {}) as recorder:
        with pytest.raises(RecordError, match="JSON"):
            recorder.add(make_frame(0), decision)
        assert recorder.n_frames == 0


def test_a_frame_of_another_shape_is_refused(tmp_path: Path):
    with Recorder(tmp_path / "record.h5", {}) as recorder:
        recorder.add(make_frame(0))
        with pytest.raises(RecordError, match=r"\(32, 32\).*\(64, 48\)"):
            recorder.add(make_frame(1, shape=(32, 32)))
        assert recorder.add(make_frame(1)) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(RecordError, match="cannot be created"):
        Recorder(tmp_path / "nowhere" / "record.h5", {})


def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path):
    text = tmp_path / "text.h5"
    text.write_text("no HDF5 at all")
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(RecordError, match="cannot be opened"):
        open_record(text)
    with pytest.raises(RecordError, match="not a recording"):
        open_record(other)
    with pytest.raises(FileMissing):
        open_record(tmp_path / "missing.h5")


def test_a_cut_file_is_refused_or_read_but_never_a_traceback(tmp_path: Path):
    whole = write(tmp_path / "record.h5", 6, done=True).read_bytes()
    cut = tmp_path / "cut.h5"
    for size in np.linspace(1, len(whole) - 1, 25).astype(int):
        cut.write_bytes(whole[:size])
        with pytest.raises(RecordError) as refusal, open_record(cut) as recording:
            list(recording.frames())
        assert "\n" not in str(refusal.value)


def test_a_frame_outside_the_recording_is_refused(tmp_path: Path):
    with open_record(write(tmp_path / "record.h5", 2)) as recording, pytest.raises(RecordError, match="0 to 1"):
        recording.frame(2)
