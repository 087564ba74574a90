"""Faults that need no microscope: damaged files, wrong configurations, a full disk, a process that is killed."""

import math
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from lsm.agent.tables import SlideTables
from lsm.errors import LsmError, RecordError
from lsm.optics import StageErrors
from lsm.record import Recorder, open_record
from lsm.record.verify import verify_record
from lsm.scope import RigConfig, find_rig
from lsm.sensing import Bundle
from lsm.sensing.checkpoint import Trainee
from lsm.twin import TwinConfig
from lsm_sim.kill_campaign import InventedFrames, differences, kill_campaign
from lsm_sim.rig import SimulatorOptions
from lsm_sim.torture.tally import GRACE_S, Outcome, Trial

READ_S = 5.0
"""For reading a small file, damaged or not."""
RECORD_S = 10.0
JOB = InventedFrames(frames=8, rows=16, columns=16)
GIVE_UP_S = 5.0
"""Beyond what a fault may take: then it hangs."""
FORK = multiprocessing.get_context("fork")

T = TypeVar("T")

HostTrial = Callable[[np.random.Generator], Trial]


class _UntrueError(Exception):
    """What was read is not what was written, and nothing said so."""


def _tried(kind: str, work: Callable[[], bool], *, allowed_s: float, note: str = "") -> Trial:
    """work: returns whether all is as it was; raises LsmError where the fault was noticed.

    It runs in a process of its own, for what hangs in a library written in C can only be killed.
    """
    began_s = time.monotonic()
    outcome, why = _apart(lambda: _came_of(work), allowed_s + GRACE_S + GIVE_UP_S) or (Outcome.CRASHED, "killed")
    took_s = time.monotonic() - began_s
    return Trial(kind, Outcome(outcome), took_s, allowed_s, note=", ".join(filter(None, (note, why))))


def _came_of(work: Callable[[], bool]) -> tuple[str, str]:
    try:
        return (Outcome.RECOVERED if work() else Outcome.WRONG), ""
    except LsmError as error:
        return Outcome.STOPPED, f"{type(error).__name__}: {error.message}"
    except Exception as error:  # noqa: BLE001 (whatever a program may die of is what is looked for)
        return Outcome.CRASHED, f"{type(error).__name__}: {error}"


def _apart(work: Callable[[], T], limit_s: float) -> T | None:
    """The result of `work()` in a copy of this process; None where the copy dies or has to be killed."""
    heard, said = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_say, args=(work, said))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of numerical libraries, idle meanwhile
        process.start()
    said.close()
    with suppress(EOFError), heard:
        result: T | None = heard.recv() if heard.poll(limit_s) else None
        process.join(GIVE_UP_S if result is not None else 0.0)
        process.kill()
        process.join()
        return result
    process.join()
    return None


def _say(work: Callable[[], object], said: Connection) -> None:
    said.send(work())
    said.close()
    # not by the ways of a program that ends: threads and handlers of the parent are none of this process's
    os._exit(0)


def damaged(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """The bytes with one thing wrong, and what: a bit, a run of zeros, the end, something in between."""
    at = int(rng.integers(len(data)))
    size = int(rng.integers(1, 4096))
    hole = data[at : at + size]
    kind = rng.integers(4)
    if kind == 0 or (kind == 1 and not any(hole)):
        bit = int(rng.integers(8))
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], f"bit {bit} of byte {at}"
    if kind == 1:
        return data[:at] + bytes(len(hole)) + data[at + size :], f"{len(hole)} zeros at byte {at}"
    if kind == 2:
        return data[:at], f"cut to {at} bytes"
    return data[:at] + data[at + size :], f"{len(hole)} bytes missing at byte {at}"


def damaged_file(kind: str, write: Callable[[Path], list[Path]], reads_the_same: Callable[[Path], bool]) -> HostTrial:
    """One fault in one file.

    write: makes sound files in a folder; reads_the_same: whether they hold what they held, or LsmError.
    """

    def run(rng: np.random.Generator) -> Trial:
        with tempfile.TemporaryDirectory(prefix="lsm-torture-") as name:
            folder = Path(name)
            files = write(folder)
            path = files[rng.integers(len(files))]
            data, what = damaged(path.read_bytes(), rng)
            path.write_bytes(data)
            return _tried(kind, lambda: reads_the_same(folder), allowed_s=READ_S, note=f"{path.name}: {what}")

    return run


def _sound_recording(folder: Path) -> Path:
    path = folder / "sound.h5"
    if not path.exists():
        with Recorder(path, {"job": "invented frames"}) as recorder:
            for index in range(JOB.frames):
                recorder.add(JOB.frame(index), JOB.decision(index))
            recorder.finish({})
    return path


class _Recordings:
    """A sound recording, made once in a process."""

    def __init__(self) -> None:
        self._made = Path(tempfile.mkdtemp(prefix="lsm-torture-sound-"))

    def write(self, folder: Path) -> list[Path]:
        return [Path(shutil.copy(_sound_recording(self._made), folder / "record.h5"))]

    def same(self, folder: Path) -> bool:
        path = folder / "record.h5"
        verified = verify_record(path)
        if not verified.good:
            raise RecordError(verified.faults[0], hint="")
        with open_record(path) as recording, open_record(_sound_recording(self._made)) as sound:
            return (
                not differences(recording, sound)
                and recording.n_frames == sound.n_frames
                and recording.header == sound.header
                and recording.complete == sound.complete
            )


class _Bundles:
    def __init__(self) -> None:
        self._sound = Bundle.shipped("procedural")

    def write(self, folder: Path) -> list[Path]:
        self._sound.save(folder)
        return sorted(folder.iterdir())

    def same(self, folder: Path) -> bool:
        bundle = Bundle.load(folder)
        return bundle.card == self._sound.card and _equal(bundle.tensors, self._sound.tensors)


class _Checkpoints:
    """The state of a small training."""

    def write(self, folder: Path) -> list[Path]:
        _trainee(steps=2).save(folder / "state.safetensors")
        return [folder / "state.safetensors"]

    def same(self, folder: Path) -> bool:
        fresh, sound = _trainee(steps=0), _trainee(steps=2)
        if not fresh.restore(folder / "state.safetensors"):
            return False
        slots = [trainee.optimizer.state_dict()["state"] for trainee in (fresh, sound)]
        return (
            fresh.step == sound.step
            and _equal(fresh.modules["model"].state_dict(), sound.modules["model"].state_dict())
            and slots[0].keys() == slots[1].keys()
            and all(_equal(slots[0][key], slots[1][key]) for key in slots[0])
            and torch.equal(fresh.generator.get_state(), sound.generator.get_state())
        )


class _Tables:
    def write(self, folder: Path) -> list[Path]:
        _tables().save(folder / "tables.npz")
        return [folder / "tables.npz"]

    def same(self, folder: Path) -> bool:
        return SlideTables.load(folder / "tables.npz").digest == _tables().digest


def _trainee(steps: int) -> Trainee:
    """As after so many steps of Adam; without making them, which costs seconds in a new process."""
    generator = torch.Generator().manual_seed(3 + steps)
    model = torch.nn.Linear(16, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
        if steps:
            moments = {name: torch.randn(parameter.shape, generator=generator) for name in ("exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {"step": torch.tensor(float(steps)), **moments}
    trainee = Trainee({"model": model}, optimizer, generator, digest="torture")
    trainee.step = steps
    return trainee


def _tables() -> SlideTables:
    rng = np.random.default_rng(5)
    return SlideTables(
        rng.integers(0, 99, (3, 6, 4, 8), dtype=np.uint16), rng.random((3, 6, 4, 2)).astype(np.float32), rng.random(3)
    )


def _equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _bad_configuration(rng: np.random.Generator) -> Trial:
    """A number of a configuration becomes one that it cannot be, or a word, or is misspelt."""
    configs = (
        RigConfig.from_file(find_rig("simulated")),
        TwinConfig(stage=StageErrors()),
        SimulatorOptions(stage=StageErrors()),
    )
    config = configs[rng.integers(len(configs))]
    table = config.model_dump(mode="json")
    places = list(_numbers(table))
    holder, key, before = places[rng.integers(len(places))]
    wrong: list[Any] = [math.nan, math.inf, -math.inf, "nan", "1e999", -1e9 if before > 0 else math.nan, None, "", []]
    value = wrong[rng.integers(len(wrong))]
    holder[key] = value

    def work() -> bool:
        made = config.from_table(table)
        numbers = [number for _, _, number in _numbers(made.model_dump(mode="json"))]
        return all(math.isfinite(number) for number in numbers)

    return _tried(
        "configuration: NaN or out of range", work, allowed_s=READ_S, note=f"{type(config).__name__} {key} = {value}"
    )


def _numbers(table: Any) -> list[tuple[Any, Any, float]]:
    """All numbers of nested tables: what holds them, under which key, and the number."""
    items = list(table.items() if isinstance(table, dict) else enumerate(table))
    found = [(table, key, value) for key, value in items if isinstance(value, int | float) and value is not True]
    for _, value in items:
        if isinstance(value, dict | list):
            found += _numbers(value)
    return found


def _killed(rng: np.random.Generator) -> Trial:
    seed = int(rng.integers(2**31))

    def work() -> bool:
        with tempfile.TemporaryDirectory(prefix="lsm-torture-") as folder:
            faults = kill_campaign(JOB, 1, seed=seed, folder=Path(folder)).faults
        if faults:
            raise _UntrueError(faults[0])
        return True

    return _tried("process killed at a write", work, allowed_s=RECORD_S, note=f"seed {seed}")


def _disk_full(rng: np.random.Generator) -> Trial:
    """Files of this process may not grow beyond a size, as on a full disk: the write itself fails."""
    limit = int(rng.integers(2_000, 60_000))

    def work() -> bool:
        with tempfile.TemporaryDirectory(prefix="lsm-torture-") as name:
            path = Path(name) / "record.h5"
            acknowledged, error = _apart(lambda: _filled(path, limit), RECORD_S) or (0, "hangs")
            if not error.startswith("RecordError"):
                raise _UntrueError(error or "it went on")
            _holds(path, acknowledged)
            raise RecordError(error, hint="")

    return _tried("disk full", work, allowed_s=RECORD_S, note=f"files end at {limit} bytes")


def _holds(path: Path, acknowledged: int) -> None:
    """Raise unless the recording opens, is sound, holds what was acknowledged, and takes more once there is room."""
    if not path.exists() and acknowledged == 0:
        return
    with open_record(path) as recording:
        held = recording.n_frames
        same = all(np.array_equal(recording.frame(index).image, JOB.frame(index).image) for index in range(held))
    faults = verify_record(path).faults
    if held < acknowledged or not same or faults:
        raise _UntrueError(f"{held} frames of {acknowledged}, the same: {same}, {faults}")
    with Recorder.resume(path) as recorder:
        recorder.add(JOB.frame(held), JOB.decision(held))


def _filled(path: Path, limit: int) -> tuple[int, str]:
    """How many frames were acknowledged until a file may not grow any more, and what ended it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged = 0
    try:
        with Recorder(path, {"job": "invented frames"}) as recorder:
            for index in range(1000):
                recorder.add(JOB.frame(index), JOB.decision(index))
                acknowledged = recorder.n_frames
    except Exception as error:  # noqa: BLE001 (judged by who asked)
        return acknowledged, f"{type(error).__name__}: {error}"
    return acknowledged, ""


def host_trials() -> dict[str, HostTrial]:
    """The classes by name; what they need is made once."""
    recordings, bundles, checkpoints, tables = _Recordings(), _Bundles(), _Checkpoints(), _Tables()
    return {
        "damaged recording": damaged_file("damaged recording", recordings.write, recordings.same),
        "damaged model": damaged_file("damaged model", bundles.write, bundles.same),
        "damaged checkpoint": damaged_file("damaged checkpoint", checkpoints.write, checkpoints.same),
        "damaged tables": damaged_file("damaged tables", tables.write, tables.same),
        "configuration: NaN or out of range": _bad_configuration,
        "process killed at a write": _killed,
        "disk full": _disk_full,
    }
