"""`verify` says in words what is wrong with a recording, and passes what is right."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import google_crc32c
import h5py
import numpy as np
import pytest

from lsm.cli import main
from lsm.errors import FileMissing
from lsm.record import Recorder, open_record, verify_record
from lsm.record._chunks import pack, unpack
from lsm.record._prepare import content_crc
from record.frames import decide, make_frame

DIGESTS = {"rig_digest": "a", "config_digest": "b", "model_digest": "c"}


def write(path: Path, n_frames: int = 6, **summary: object) -> Path:
    with Recorder(path, DIGESTS) as recorder:
        recorder.add(make_frame(0), decide(0))
        recorder.add_all([make_frame(index) for index in range(1, n_frames)])
        if summary:
            recorder.finish(summary)
    return path


def dose(n_frames: int) -> float:
    return sum(make_frame(index).light_dose for index in range(n_frames))


def test_a_good_recording_passes(tmp_path: Path):
    found = verify_record(write(tmp_path / "r.h5", runs={"one": {"light_dose_led_ms": dose(6)}}))
    assert found.good
    assert (found.frames, found.complete, found.limited, found.other_light) == (6, True, 3, 3)
    assert found.light_dose_led_ms == pytest.approx(dose(6))


def change_image(file: h5py.File) -> None:
    image = file["images"][3]
    image[5, 7] ^= 1
    file["images"][3] = image


def change_light(file: h5py.File) -> None:
    file["shown"][2, 11, 1] ^= 4


def change_place(file: h5py.File) -> None:
    rows = file["frames"][:]
    rows["x_um"][4] += 1e-9
    file["frames"][:] = rows


def change_decision(file: h5py.File) -> None:
    end = int(file["frames"][0]["text_end"])
    text = file["text"][:end].tobytes()
    file["text"][:end] = np.frombuffer(text.replace(b'"action": 0', b'"action": 1'), dtype=np.uint8)


def turn_clock_back(file: h5py.File) -> None:
    rows = file["frames"][:]
    rows["started_ns"][5] = 3
    file["frames"][:] = rows


def lose_an_image(file: h5py.File) -> None:
    file["images"].resize(5, axis=0)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (change_image, "frame 3 does not match"),
        (change_light, "Frame 2 does not match"),
        (change_place, "Frame 4 does not match"),
        (change_decision, "Frame 0 does not match"),
        (turn_clock_back, "Frame 5 began before frame 4"),
        (lose_an_image, "lacks images"),
        (lambda file: file["images"].resize(9, axis=0), "'images' has 9 entries, the rows name 6"),
        (lambda file: file.attrs.__setitem__("schema", "lsm-record/77"), "not a recording"),
    ],
)
def test_every_damage_is_named(tmp_path: Path, damage: Callable[[h5py.File], None], told: str):
    path = write(tmp_path / "r.h5")
    with h5py.File(path, "r+") as file:
        damage(file)
    found = verify_record(path)
    assert not found.good
    assert any(told in fault for fault in found.faults), found.faults


def test_a_flipped_bit_of_any_stored_image_is_found(tmp_path: Path):
    whole = write(tmp_path / "r.h5").read_bytes()
    with open_record(tmp_path / "r.h5") as recording:
        places = [recording.place(index) for index in range(6)]
    rng = np.random.default_rng(1)
    path = tmp_path / "flipped.h5"
    for index, (offset, size) in enumerate(places):
        flipped = bytearray(whole)
        flipped[offset + int(rng.integers(size))] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        assert any(f"rame {index} " in fault or "damaged" in fault for fault in verify_record(path).faults)


def test_a_dose_that_the_frames_do_not_add_up_to_is_a_fault(tmp_path: Path):
    found = verify_record(write(tmp_path / "r.h5", light_dose_led_ms=dose(6) * 1.001))
    assert any("light dose" in fault for fault in found.faults)


def test_what_a_header_lacks_is_noted_and_no_fault(tmp_path: Path):
    path = tmp_path / "r.h5"
    with Recorder(path, {"rig_digest": "a"}) as recorder:
        recorder.add(make_frame(0))
    found = verify_record(path)
    assert found.good
    assert any("config_digest, model_digest" in note for note in found.notes)


def test_a_growing_recording_is_compared_with_its_journal(tmp_path: Path):
    path = tmp_path / "r.h5"
    with Recorder(path, DIGESTS) as recorder:
        recorder.add(make_frame(0))
        found = verify_record(path)
        assert found.good
        assert any("A writer has it open" in note for note in found.notes)
        journal = path.with_name("r.h5.journal")
        journal.write_bytes(journal.read_bytes()[:20])
        assert any("journal" in fault for fault in verify_record(path).faults)


def test_many_faults_are_summed_up(tmp_path: Path):
    path = write(tmp_path / "r.h5", 40)
    with h5py.File(path, "r+") as file:
        file["shown"][:] = 7
    found = verify_record(path)
    assert len(found.faults) == 21
    assert "20 more faults; 40 of 40 frames" in found.faults[-1]


def test_the_command_prints_and_exits_as_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good, bad = write(tmp_path / "good.h5", done=True), write(tmp_path / "bad.h5")
    with h5py.File(bad, "r+") as file:
        change_light(file)
    for words, status in (((str(good),), 0), ((str(bad),), 1), ((str(bad), "--json"), 1), (("none.h5",), 2)):
        with pytest.raises(SystemExit) as stop:
            main(["record", "verify", *words])
        told = capsys.readouterr()
        assert (stop.value.code or 0) == status
        if words[-1] == "--json":
            assert json.loads(told.out)["good"] is False
        elif status < 2:
            assert ("Good:" in told.out, "Damaged:" in told.out) == (status == 0, status == 1)


def test_a_missing_file_is_the_callers_mistake(tmp_path: Path):
    with pytest.raises(FileMissing):
        verify_record(tmp_path / "none.h5")


def test_packed_images_are_what_the_filter_of_hdf5_reads(tmp_path: Path):
    """numcodecs writes, HDF5's own filter reads; and the other way round."""
    rng = np.random.default_rng(4)
    shapes = ((1, 1), (3, 5), (64, 48), (129, 257))
    for shape in shapes:
        frame = replace(make_frame(0), image=rng.integers(0, 4096, shape, dtype=np.uint16))
        path = tmp_path / f"{shape[0]}.h5"
        with Recorder(path, {}) as recorder:
            recorder.add(frame)
        with h5py.File(path) as file:
            assert np.array_equal(file["images"][0], frame.image)
            assert file["images"].id.read_direct_chunk((0, 0, 0))[1] == pack(frame.image)
        with h5py.File(path, "r+") as file:
            file["images"][0] = frame.image[::-1]
            left_out, stored = file["images"].id.read_direct_chunk((0, 0, 0))
        # the library leaves the filter out where it would not make the chunk smaller
        assert left_out or np.array_equal(unpack(stored, shape), frame.image[::-1])
        assert not (left_out and shape == (64, 48))


def test_the_checksum_is_the_documented_one(tmp_path: Path):
    """By hand, as the schema says it: another program can check a recording."""
    frame = make_frame(2)
    path = tmp_path / "r.h5"
    with Recorder(path, {}) as recorder:
        recorder.add(frame, decide(2))
    with h5py.File(path) as file:
        row, text = file["frames"][0:1], file["text"][:].tobytes()
        parts = [file[name][0].tobytes() for name in ("images", "requested", "shown")]
    told = int(row["crc"][0])
    row["crc"] = 0
    assert google_crc32c.value(b"".join([*parts, text, row.tobytes()])) == told
    assert google_crc32c.value(b"".join([*parts, text])) == content_crc(
        frame.image, frame.request.pattern.levels, frame.shown.levels, text
    )


def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(tmp_path: Path):
    """Bits in unused space and in the library's spare pages are not found; what is read is the same then."""
    path = tmp_path / "flipped.h5"
    whole = write(tmp_path / "r.h5", why="x" * 2000).read_bytes()
    truth = told_by(tmp_path / "r.h5")
    rng = np.random.default_rng(3)
    found = 0
    for at in [*rng.integers(len(whole), size=60), whole.index(b"x" * 2000) + 900]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        if verify_record(path).faults:
            found += 1
        else:
            assert told_by(path) == truth, at
    assert found > 10


def told_by(path: Path) -> list[object]:
    """All that a reader learns from a recording."""
    with open_record(path) as recording:
        frames = [
            (frame.image.tobytes(), frame.shown.levels.tobytes(), recording.row(index).tobytes(), recording.text(index))
            for index, frame in enumerate(recording.frames())
        ]
        return [recording.header, recording.summary, recording.complete, frames]


def claim(file: h5py.File, name: str, shape: tuple[int, ...], **more: object) -> None:
    kind = file[name].dtype
    del file[name]
    file.create_dataset(name, shape=shape, dtype=kind, **more)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda file: claim(file, "images", (6, 10**6, 10**6)), "'images' would take more than 1024 MiB"),
        (lambda file: claim(file, "images", (6, 64, 48), chunks=(6 * 10**5, 64, 48), maxshape=(None, 64, 48)), "MiB"),
        (lambda file: claim(file, "shown", (6, 10**9, 3)), "'shown' would take more than 16 MiB"),
        (lambda file: claim(file, "frames", (10**12,), chunks=(64,)), "claims 1000000000000 entries"),
        (lambda file: claim(file, "text", (10**13,), chunks=(64,)), "claims 10000000000000 entries"),
        (lambda file: claim(file, "summary", (10**13,), chunks=(64,)), "claims 10000000000000 entries"),
        (lambda file: claim(file, "images", (6, 64)), "2 axes, not 3"),
        (lambda file: file.attrs.__setitem__("schema", np.bytes_(b"lsm-record/77")), "layout lsm-record/77"),
    ],
)
def test_what_a_file_claims_is_checked_before_memory_is_taken(
    tmp_path: Path, damage: Callable[[h5py.File], None], told: str
):
    path = write(tmp_path / "r.h5")
    with h5py.File(path, "r+") as file:
        damage(file)
    tracemalloc.start()
    faults = verify_record(path).faults
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert any(told in fault for fault in faults), faults
    assert peak < 2**24


def test_a_journal_that_lacks_frames_is_noticed_while_it_grows(tmp_path: Path):
    path = tmp_path / "r.h5"
    with Recorder(path, DIGESTS) as recorder:
        for index in range(4):
            recorder.add(make_frame(index))
        journal = path.with_name("r.h5.journal")
        journal.write_bytes(journal.read_bytes()[:-10])
        assert any("first 3 frames only" in fault for fault in verify_record(path).faults)
