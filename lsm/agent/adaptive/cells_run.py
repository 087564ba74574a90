"""A policy at the cells of one microscope, found, looked at and recorded; and an interrupted run resumed."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from annotated_types import Ge

from lsm.agent.adaptive.record import RECORD, CellRecorder, require_room
from lsm.agent.adaptive.rigs import RIG_DIGEST, Aim, Cells, Opened, opened
from lsm.agent.adaptive.run import CellRun, run_cell
from lsm.agent.adaptive.training import PolicyFolder
from lsm.agent.adaptive.training.run import POLICY
from lsm.config import Config
from lsm.devices import Microscope
from lsm.errors import InputError, ModelMismatch
from lsm.record import ContinuedMicroscope, Recording, open_record
from lsm.sensing import Bundle
from lsm.threads import threads

MADE_BY: Final = "lsm policy run"

OnCell = Callable[[Sequence[CellRun], int], object]
"""Called after every cell, also a recorded one: cells so far, and how many there are as far as is known."""


class CellsRunConfig(Config):
    """What `lsm policy run` does.

    rig: a rig file, the name of a shipped one, 'twin', or a measured stack. policy: folder of one for single cells.
    places_um: stage positions; without any it looks where the stage is. z_um: focus; None leaves it where it is.
    cells: at most so many at each place. middle: one cell a place, in the middle of the frame; none is looked for.
    finder: model whose finder looks for cells. as_measured: a measured stack's frames get no fresh noise.
    seed: sample and noise of what is simulated, noise of a stack.
    """

    rig: str
    policy: Path
    places_um: tuple[tuple[float, float], ...] = ()
    z_um: float | None = None
    cells: Annotated[int, Ge(1)] = 5
    middle: bool = False
    finder: str = "procedural"
    as_measured: bool = False
    seed: Annotated[int, Ge(0)] = 1


@dataclass(frozen=True, eq=False)
class CellsResult:
    """All cells of a run. resumed_after: recorded frames that it went on from; 0 of one in one go."""

    folder: Path
    runs: tuple[CellRun, ...]
    resumed_after: int = 0


@dataclass(frozen=True, eq=False)
class _Job:
    config: CellsRunConfig
    policy: PolicyFolder
    aim: Aim
    folder: Path

    @property
    def digests(self) -> dict[str, str]:
        """Of what decides: the policy's network and the finder."""
        finder = self.aim.finder
        return {
            "policy_digest": _digest_of(self.policy),
            "finder_digest": "" if finder is None else finder.card.weights_digest,
        }

    def header(self, where: Opened) -> dict[str, Any]:
        """Of the recording, beside what CellRecorder says."""
        config = self.config
        return {
            "made_by": MADE_BY,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "rig": config.rig,
            "seed": config.seed,
            "policy_folder": config.policy.name,
            "config": config.model_dump(mode="json"),
            RIG_DIGEST: where.digest,
            **self.digests,
        }


def run_cells(
    config: CellsRunConfig, folder: Path, *, on_cell: OnCell = lambda *_: None, **simulation: Any
) -> CellsResult:
    """Look at all cells and record them into `folder`; each frame and decision is on the disk before the next light.

    simulation: for the twin or a simulated rig. Raises InputError where `folder` holds something or no cell is found,
    ModelMismatch for another rig than the policy's, DeviceError, LimitExceeded, RecordError; what was recorded
    before stays and can be resumed.
    """
    require_room(folder)
    job = _job(config, folder)
    with opened(config.rig, job.policy, config.seed, as_measured=config.as_measured, **simulation) as where:
        recorder = CellRecorder(folder, job.policy.world, job.policy.policy.name, job.header(where))
        return CellsResult(folder, _look(where.microscope, where.xy_um, job, recorder, on_cell))


def resume_cells(
    folder: Path,
    *,
    rig: str | None = None,
    policy: Path | None = None,
    on_cell: OnCell = lambda *_: None,
    **simulation: Any,
) -> CellsResult:
    """Go on with the interrupted run in `folder`, from its last durable frame, to the end.

    The recorded frames are read, not taken again, and lead to the decisions that they led to before; the light that
    they cost counts. rig, policy: where they are now; None takes the places they had.
    Raises InputError for a run that is complete or still being written, or whose stage has been moved, ConfigError or
    ModelMismatch for another rig, policy or finder than recorded, RecordError where a decision is not the recorded
    one, and what run_cells raises.
    """
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no recording to go on with.", hint="start a new run in a new folder")
    with ExitStack() as stack:
        recording = stack.enter_context(open_record(folder / RECORD))
        job = _recorded_job(folder, recording, rig, policy)
        config = job.config
        where = stack.enter_context(
            opened(config.rig, job.policy, config.seed, as_measured=config.as_measured, past=recording, **simulation)
        )
        recorder = CellRecorder(folder, job.policy.world, job.policy.policy.name, held=recording)
        microscope = ContinuedMicroscope(where.microscope, recording.frames(), on_end=recorder.go_on)
        frames = recording.n_frames
        return CellsResult(folder, _look(microscope, where.xy_um, job, recorder, on_cell), frames)


def _look(
    microscope: Microscope,
    begin_um: tuple[float, float] | None,
    job: _Job,
    recorder: CellRecorder,
    on_cell: OnCell,
) -> tuple[CellRun, ...]:
    runs: list[CellRun] = []
    world, policy = job.policy.world, job.policy.policy
    # with one thread sums are the same on any number of cores, here and in the run that goes on
    with recorder, threads(1):
        places = Cells(microscope, begin_um, job.policy, job.aim, recorder.searched)
        for place in places:
            recorder.begin(place)
            done = run_cell(microscope, policy, world, place, on_decision=recorder.add)
            recorder.end(done)
            runs.append(done)
            on_cell(runs, places.total)
        light_led_s = sum(one.light_led_s for one in runs)
        recorder.finish({"light_led_s": light_led_s, "finder_led_s": places.finder_led_s})
    return tuple(runs)


def _job(config: CellsRunConfig, folder: Path) -> _Job:
    finder = None if config.middle else Bundle.named(config.finder)
    aim = Aim(config.places_um, config.z_um, config.cells, finder)
    return _Job(config, PolicyFolder.load(config.policy), aim, folder)


def _recorded_job(folder: Path, recording: Recording, rig: str | None, policy: Path | None) -> _Job:
    header = recording.header
    if recording.growing:
        raise InputError(
            f"The run in {folder} is still being written.", hint="wait until that program has ended, or end it"
        )
    if header.get("made_by") != MADE_BY or "config" not in header:
        raise InputError(
            f"{recording.path} is no recording of '{MADE_BY}' that can be resumed.", hint="start a new run"
        )
    if recording.complete:
        raise InputError(f"The run in {folder} is complete.", hint=f"draw it with: lsm policy show {folder}")
    config = CellsRunConfig.from_table(header["config"], source=f"the header of {recording.path}")
    now = {name: value for name, value in (("rig", rig), ("policy", policy)) if value is not None}
    job = _job(config.model_copy(update=now), folder)
    for name, digest in job.digests.items():
        if header.get(name) != digest:
            what = name.removesuffix("_digest")
            raise ModelMismatch(
                f"The {what} is not the one that {recording.path} was begun with.",
                hint=f"resume with the unchanged {what}, or start a new run",
            )
    return job


def _digest_of(folder: PolicyFolder) -> str:
    return hashlib.sha256((folder.folder / POLICY).read_bytes()).hexdigest()[:16]
