"""A power cut keeps what was synced and any part of what was written since; no acknowledged frame may be lost.

The disk is modelled by sectors: each one that changed since the last sync of its file is old or new, as chance has it.
Moments of the cut: after every write and every sync of the recorder, so also with only half of an index written.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.errors import RecordError
from lsm.record import Recorder, Recording, _store, open_record
from lsm.record._salvage import SalvagedRecording
from lsm.record.journal import Journal, journal_of
from lsm.record.verify import verify_record
from record.frames import decide, make_frame

SECTOR = 512
FRAMES = 9
CUTS = 40


@dataclass
class Cut:
    """What is on the disk for certain and what was written, by file; and the frames acknowledged by then."""

    durable: dict[str, bytes]
    written: dict[str, bytes]
    acknowledged: int

    def happen(self, folder: Path, rng: np.random.Generator) -> Path:
        """One disk of the many that the cut may leave."""
        folder.mkdir()
        for name, old in self.durable.items():
            (folder / name).write_bytes(mixed(old, self.written[name], rng))
        return folder / "record.h5"


@dataclass
class Disk:
    """Watches the files of a recorder."""

    path: Path
    durable: dict[str, bytes] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    acknowledged: int = 0

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.path, journal_of(self.path)) if path.exists()}

    def synced(self, name: str) -> None:
        self.durable[name] = (self.path.parent / name).read_bytes()

    def may_cut(self) -> None:
        self.cuts.append(Cut(dict(self.durable), self.files(), self.acknowledged))


def mixed(old: bytes, new: bytes, rng: np.random.Generator) -> bytes:
    size = int(rng.choice([len(old), len(new)]))
    base, fresh = bytearray(old.ljust(size, b"\0")[:size]), new.ljust(size, b"\0")[:size]
    share = rng.choice([0.1, 0.5, 0.9])
    for start in range(0, size, SECTOR):
        if rng.random() < share:
            base[start : start + SECTOR] = fresh[start : start + SECTOR]
    return bytes(base)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Every moment of a recording of single frames and a burst at which the power may go."""
    disk = Disk(tmp_path / "record.h5")

    def watch(owner: Any, name: str, note: Callable[[], None]) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any) -> Any:
            result = original(*arguments)
            note()
            disk.may_cut()
            return result

        monkeypatch.setattr(owner, name, watched)

    recorder = Recorder(disk.path, {"seed": 1})
    recorder.add(make_frame(0), decide(0))
    disk.acknowledged = 1
    for name in disk.files():
        disk.synced(name)
    watch(_store.Store, "sync", lambda: disk.synced("record.h5"))
    watch(Journal, "sync", lambda: disk.synced("record.h5.journal"))
    for owner, name in ((_store.Store, "put_pixels"), (Journal, "append"), (_store, "_put")):
        watch(owner, name, lambda: None)
    while recorder.n_frames < FRAMES:
        count = 3 if recorder.n_frames == 4 else 1
        indices = range(recorder.n_frames, recorder.n_frames + count)
        recorder.add_all([make_frame(index) for index in indices], [decide(index) for index in indices])
        disk.acknowledged = recorder.n_frames
    monkeypatch.undo()
    recorder.close()
    return disk


def read_back(recording: Recording) -> int:
    for index, frame in enumerate(recording.frames()):
        assert np.array_equal(frame.image, make_frame(index).image)
        assert np.array_equal(frame.shown.levels, make_frame(index).shown.levels)
        assert recording.decision(index) == decide(index)
    return recording.n_frames


def test_every_acknowledged_frame_survives_a_power_cut(disk: Disk, tmp_path: Path):
    rng = np.random.default_rng(7)
    rebuilt = 0
    for number, chosen in enumerate(rng.integers(0, len(disk.cuts), CUTS)):
        cut = disk.cuts[chosen]
        path = cut.happen(tmp_path / f"{number}", rng)
        with SalvagedRecording(path, "nothing may be written") as salvaged:
            assert read_back(salvaged) >= cut.acknowledged
        found = verify_record(path)
        assert found.faults == ()
        rebuilt += any("rebuilt" in note for note in found.notes)
        with open_record(path) as recording:
            assert cut.acknowledged <= read_back(recording) <= cut.acknowledged + 3
        assert not journal_of(path).exists()
    # else the cuts were too gentle to show anything
    assert rebuilt > CUTS // 10


def test_a_resumed_recording_survives_the_next_cut(disk: Disk, tmp_path: Path):
    rng = np.random.default_rng(8)
    for number, chosen in enumerate(rng.integers(0, len(disk.cuts), 10)):
        path = disk.cuts[chosen].happen(tmp_path / f"{number}", rng)
        with Recorder.resume(path) as recorder:
            first = recorder.n_frames
            recorder.add(make_frame(first), decide(first))
            files = {name: (path.parent / name).read_bytes() for name in ("record.h5", "record.h5.journal")}
        # the index is lost altogether: only the journal and the pixels are left
        damaged = bytearray(files["record.h5"])
        damaged[48:300] = bytes(252)
        for name, content in (files | {"record.h5": bytes(damaged)}).items():
            (path.parent / name).write_bytes(content)
        with open_record(path) as recording:
            assert read_back(recording) == first + 1


@pytest.fixture
def killed(disk: Disk, tmp_path: Path) -> Path:
    """The files of a writer that was killed after its last frame."""
    folder = tmp_path / "killed"
    folder.mkdir()
    for name, content in disk.cuts[-1].written.items():
        (folder / name).write_bytes(content)
    return folder / "record.h5"


@pytest.mark.parametrize("index_lost", [False, True])
def test_damaged_pixels_of_an_acknowledged_frame_are_told_and_never_dropped(killed: Path, index_lost: bool):
    with Journal.peek(journal_of(killed)) as entries:
        victim = list(entries.entries())[2]
    with killed.open("r+b") as file:
        file.seek(victim.offset + 20)
        file.write(b"\xaa" * 8)
        if index_lost:
            file.seek(48)
            file.write(bytes(252))
    found = verify_record(killed)
    assert any("rame 2 " in fault for fault in found.faults)
    if index_lost:
        with pytest.raises(RecordError, match="frame 2"):
            open_record(killed)
        assert journal_of(killed).exists()
    else:
        assert found.frames == FRAMES


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("victim", [0, 3, 5, FRAMES - 1])
def test_a_damaged_entry_of_the_journal_cuts_nothing_off(killed: Path, victim: int):
    """Only the last group may be cut short; what an acknowledged frame had, is never taken for that."""
    with Journal.peek(journal_of(killed)) as entries:
        flip(journal_of(killed), entries.positions()[victim] + 40)
    before = killed.stat().st_size
    with pytest.raises(RecordError, match=f"damaged at frame {victim}, and more follows.*move the journal away"):
        open_record(killed)
    assert killed.stat().st_size == before
    journal_of(killed).rename(killed.with_name("away"))
    assert verify_record(killed).faults == ()
    with open_record(killed) as recording:
        assert read_back(recording) == FRAMES


def test_a_damaged_beginning_of_the_journal_does_not_make_it_disappear(killed: Path):
    flip(journal_of(killed), 30)
    with pytest.raises(RecordError, match="damaged at its beginning"):
        Recorder.resume(killed)
    assert journal_of(killed).exists()
    assert any("journal" in fault for fault in verify_record(killed).faults)


def test_the_last_acknowledged_frame_is_not_taken_for_an_unfinished_one(killed: Path):
    """Its row is in the file, so its pixels were on the disk: they are damaged, and the frame stays."""
    with Journal.peek(journal_of(killed)) as entries:
        flip(killed, list(entries.entries())[-1].offset + 200)
    found = verify_record(killed)
    assert found.frames == FRAMES
    assert any(f"rame {FRAMES - 1} " in fault for fault in found.faults)
