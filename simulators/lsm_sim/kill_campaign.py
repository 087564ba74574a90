"""Kills a recording process at random moments and looks whether anything that it acknowledged is lost.

    python -m lsm_sim.kill_campaign --kills 200 --seed 1 --json kills.json

A process records and says over a pipe, after every frame, how many are acknowledged. It is killed (SIGKILL) after a
random time. Then the file must open, hold at least what was acknowledged, with every pixel, level and decision as in a
recording that nobody interrupted, and pass `verify`. Another process resumes it, and is killed too in half of the
cases. In the end the recording must equal the uninterrupted one.

What is recorded is a Job: invented frames at full speed, or a whole `lsm diagnose` (`--job diagnosis --frames 24`).
"""

import argparse
import multiprocessing
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lsm.devices import Frame, Observe, Shown
from lsm.errors import LsmError
from lsm.illum import LedBoard, Pattern
from lsm.record import Recorder, Recording, open_record
from lsm.record.verify import verify_record
from lsm_sim._figures import tell

PATIENCE_S = 300.0
LATE = 1.05
"""Kills come until this many times the duration of a run; those that find no process any more do not count."""

FORK = multiprocessing.get_context("fork")
"""A copy of a process that has imported everything begins in milliseconds."""

COMPARED = (
    "exposure_ms",
    "requested_x_um",
    "requested_y_um",
    "requested_z_um",
    "x_um",
    "y_um",
    "z_um",
    "limited",
    "latch",
    "text_start",
    "text_end",
)
"""Columns of a frame's row in which two runs agree; the others hold times and where a run was interrupted."""


@runtime_checkable
class Job(Protocol):
    """What the processes do that are killed."""

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        """Record to the end; where `folder` holds an interrupted recording, go on with it.

        acknowledge: to be told the number of frames acknowledged so far, each time it has grown.
        """
        ...

    def record(self, folder: Path) -> Path:
        """Where in the folder the recording is."""
        ...

    def differences(self, recording: Recording, reference: Recording) -> list[str]:
        """Where the frames of a recording differ from those of the uninterrupted one in what must be alike."""
        ...


@dataclass(frozen=True)
class InventedFrames:
    """A job: `frames` frames that follow from their index, one by one and in bursts of three, as fast as can be."""

    frames: int = 40
    rows: int = 64
    columns: int = 48

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        path = self.record(folder)
        recorder = Recorder.resume(path) if path.exists() else Recorder(path, {"job": "invented frames"})
        with recorder:
            while (index := recorder.n_frames) < self.frames:
                if index % 5 == 2 and index + 3 <= self.frames:
                    burst = range(index, index + 3)
                    recorder.add_all([self.frame(each) for each in burst], [self.decision(each) for each in burst])
                else:
                    recorder.add(self.frame(index), self.decision(index))
                acknowledge(recorder.n_frames)
            recorder.finish({"frames": self.frames})

    def record(self, folder: Path) -> Path:
        return folder / "record.h5"

    def differences(self, recording: Recording, reference: Recording) -> list[str]:
        return differences(recording, reference)

    def frame(self, index: int) -> Frame:
        rng = np.random.default_rng(index)
        board = LedBoard.grid(rows=13, columns=13, pitch_mm=3.0, distance_mm=50.0)
        levels = rng.integers(0, 256, (board.n_leds, 3), dtype=np.uint8)
        now_ns = time.monotonic_ns()
        return Frame(
            image=rng.integers(0, 4096, (self.rows, self.columns), dtype=np.uint16),
            request=Observe(Pattern.of(board, levels / 255, name=f"light {index}"), 1.0 + index, (3.0 * index, -0.1)),
            shown=Shown(levels // 2, limited=True, latch=index),
            xy_um=(3.0 * index + 0.25, -0.3),
            z_um=0.125 * index,
            started_ns=now_ns,
            ended_ns=now_ns,
            metadata={"camera": "invented"},
        )

    def decision(self, index: int) -> dict[str, Any]:
        return {"action": index % 7, "why": "x" * (index * 37 % 300)}


@dataclass
class KillTally:
    """What came of the kills.

    kills: of a living process. late: it had ended before. before_first, in_resumed: kills before a frame was
    acknowledged, and of a process that resumed. in_flight: recordings that held frames whose acknowledgement had not
    come yet. mended: what putting in order found to do, and how often. faults: what was wrong, in words.
    """

    kills: int = 0
    late: int = 0
    before_first: int = 0
    in_resumed: int = 0
    in_flight: int = 0
    acknowledged: int = 0
    mended: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "mended": dict(self.mended)}


def kill_campaign(
    job: Job,
    kills: int,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[KillTally], None] = lambda tally: None,
) -> KillTally:
    """Kill `kills` living processes that do the job, in an empty folder. on_step: told after each recording."""
    rng = np.random.default_rng(seed)
    tally = KillTally()
    whole = folder / "uninterrupted"
    _Trial(job, whole).run(None)
    began = time.monotonic()
    _Trial(job, folder / "timed").run(None)
    duration_s = time.monotonic() - began
    with open_record(job.record(whole)) as reference:
        number = 0
        while tally.kills < kills:
            trial = _Trial(job, folder / f"{number}")
            number += 1
            _one_recording(trial, reference, tally, kills, rng, duration_s)
            on_step(tally)
            _remove(trial.folder, keep=bool(tally.faults))
    return tally


def _one_recording(
    trial: "_Trial", reference: Recording, tally: KillTally, kills: int, rng: np.random.Generator, duration_s: float
) -> None:
    resumed = False
    while True:
        last = tally.kills >= kills or (resumed and rng.random() < 0.5)
        killed, acknowledged = trial.run(None if last else float(rng.uniform(0, LATE * duration_s)))
        if killed:
            tally.kills += 1
            tally.in_resumed += resumed
            tally.before_first += acknowledged == 0
            tally.acknowledged += acknowledged
            tally.faults += trial.check(reference, tally)
        else:
            tally.late += not last
        if not killed or trial.complete:
            break
        resumed = True
    tally.faults += trial.check_end(reference)


class _Trial:
    """One recording, in a folder of its own."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.folder = folder
        self._job = job
        self._path = job.record(folder)
        self._acknowledged = 0
        self._error = ""
        self.complete = False
        folder.mkdir()

    def run(self, kill_after_s: float | None) -> tuple[bool, int]:
        """Whether a process that begins or goes on was killed, and how many frames are acknowledged by now."""
        heard, said = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_work, args=(self._job, self.folder, said), daemon=True)
        with warnings.catch_warnings():
            # Python warns of threads in the parent; those of the numerical libraries do nothing meanwhile
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        said.close()
        heard.recv()
        self._error = ""
        if kill_after_s is not None:
            process.join(kill_after_s)
            process.kill()
        self._listen(heard)
        process.join(PATIENCE_S)
        killed = process.exitcode is not None and process.exitcode < 0
        if not killed and process.exitcode != 0:
            self._error = self._error or f"ended with status {process.exitcode}"
        return killed, self._acknowledged

    def _listen(self, heard: Connection) -> None:
        # the last message may be cut where the process was killed while it spoke
        with suppress(EOFError, OSError), heard:
            while heard.poll(PATIENCE_S):
                said = heard.recv()
                if isinstance(said, str):
                    self._error = said
                else:
                    self._acknowledged = max(self._acknowledged, said)

    def check(self, reference: Recording, tally: KillTally) -> list[str]:
        """What is wrong with the recording after a kill."""
        where = f"{self.folder.name}, killed with {self._acknowledged} acknowledged"
        if not self._path.exists():
            return [f"{where}: there is no file"] if self._acknowledged else []
        try:
            with open_record(self._path) as recording:
                found = self._job.differences(recording, reference)
                count, self.complete = recording.n_frames, recording.complete
                tally.mended[_kind(recording.mended)] += 1
        except LsmError as error:
            return [f"{where}: {error}"]
        if count < self._acknowledged:
            found.append(f"only {count} frames are there")
        tally.in_flight += count > self._acknowledged
        # a frame that is durable counts as acknowledged for whoever resumes
        self._acknowledged = max(self._acknowledged, count)
        found += verify_record(self._path).faults
        return [f"{where}: {fault}" for fault in found]

    def check_end(self, reference: Recording) -> list[str]:
        """What distinguishes the recording, when it is finished, from the one that nobody interrupted."""
        if self._error:
            return [f"{self.folder.name}: the job failed: {self._error}"]
        try:
            with open_record(self._path) as recording:
                found = self._job.differences(recording, reference)
                if (recording.n_frames, recording.complete) != (reference.n_frames, reference.complete):
                    found.append(f"it ends with {recording.n_frames} frames, complete: {recording.complete}")
                if recording.summary != reference.summary:
                    found.append("its summary is another")
                if recording.mended:
                    found.append("its writer ended in order and yet left a journal")
        except LsmError as error:
            return [f"{self.folder.name}: {error}"]
        return [f"{self.folder.name}, finished: {fault}" for fault in (*found, *verify_record(self._path).faults)]


def differences(recording: Recording, reference: Recording) -> list[str]:
    """Where the frames of a recording differ from those of another in anything but times."""
    found = []
    for index in range(recording.n_frames):
        if index >= reference.n_frames:
            found.append(f"frame {index} is one too many")
            break
        one, other = recording.frame(index), reference.frame(index)
        parts = {
            "image": np.array_equal(one.image, other.image),
            "light": np.array_equal(one.shown.levels, other.shown.levels) and one.request == other.request,
            "row": all(np.array_equal(*pair, equal_nan=True) for pair in _columns(recording, reference, index)),
            "text": recording.text(index) == reference.text(index),
        }
        found += [f"frame {index} has another {name}" for name, same in parts.items() if not same]
    return found


def _columns(recording: Recording, reference: Recording, index: int) -> list[tuple[Any, Any]]:
    one, other = recording.row(index), reference.row(index)
    return [(one[name], other[name]) for name in COMPARED]


def _work(job: Job, folder: Path, said: Connection) -> None:
    """In the process that is killed: 0 when it is there, then every count of acknowledged frames, or what failed."""
    said.send(0)
    try:
        job.run(folder, said.send)
    except LsmError as error:
        said.send(str(error))
        sys.exit(1)


def _kind(mended: str) -> str:
    """The sentence without its numbers."""
    return re.sub(r"\d+", "N", mended) or "nothing to do"


def _remove(folder: Path, *, keep: bool) -> None:
    if keep:
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _diagnosis(captures: int, folder: Path) -> Job:
    from lsm_sim.diagnosis_job import Diagnosis

    return Diagnosis.prepared(captures, folder / "first")


def main(arguments: list[str]) -> int:
    """0 when every kill left what it must."""
    parser = argparse.ArgumentParser(description="SIGKILL at random moments of a recording.")
    parser.add_argument("--kills", type=int, default=200, help="of a living process (default 200)")
    parser.add_argument("--frames", type=int, default=40, help="frames of a recording (default 40)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--job", choices=("frames", "diagnosis"), default="frames", help="what is killed")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lsm-kills-") as folder:
        job = _diagnosis(options.frames, Path(folder)) if options.job == "diagnosis" else InventedFrames(options.frames)
        tally = kill_campaign(job, options.kills, seed=options.seed, folder=Path(folder))
    result = {
        "settings": {key: value for key, value in vars(options).items() if key != "json"},
        "minutes": round((time.monotonic() - began) / 60, 2),
        **tally.plain(),
        "promise_kept": not tally.faults,
    }
    tell(result, options.json)
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
