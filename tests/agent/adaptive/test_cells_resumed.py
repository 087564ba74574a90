"""A policy's run that is interrupted anywhere goes on: nothing is lost, taken twice or decided otherwise."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsm.agent.adaptive._record_logs import RESUMED, STOPPED
from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.cells_run import CellsRunConfig, resume_cells, run_cells
from lsm.agent.adaptive.policies import CellPpo
from lsm.agent.adaptive.record import DECISIONS, RECORD
from lsm.agent.adaptive.recorded import read_cells_record
from lsm.agent.adaptive.rigs import FIRST_SMEAR, TWIN, require_still_there
from lsm.agent.adaptive.run import CellRun
from lsm.agent.adaptive.training import CellTrainingConfig, CellTrials, labelled_cells, save_trained
from lsm.devices import Frame, Observe, Shown
from lsm.errors import CameraError, ConfigError, InputError, ModelMismatch, RecordError
from lsm.illum import dark
from lsm.record import Recorder, Recording, open_record
from lsm.safety import Interlock
from lsm.samples import ProceduralSmear
from lsm.scope import RigConfig, find_rig
from lsm.twin import FieldRenderer, TwinConfig
from lsm_sim.kill_campaign import kill_campaign

CONFIG = CellTrainingConfig.from_table(
    {
        "kind": "cells",
        "lights": ["centre", "bright field", "off-axis"],
        "cells": {
            "smears": 4,
            "cells_per_smear": 8,
            "smear": {"width_um": 140.0, "height_um": 110.0, "parasitaemia": 0.4, "monolayer_per_mm2": 4000.0},
        },
        "photons": {"electrons": 200.0, "exposure_max_ms": 400.0},
        "episode": {"repeats": 3},
        # untrained, with strong opinions, so that every situation has its own decision
        "ppo": {"episodes": 8, "minibatches": 1, "network": {"units": 8, "head_gain": 6.0}},
    },
    source="test",
)
PLACE_UM = (70.0, 50.0)
FRAMES_MOST = 40


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


class Interrupting(FieldRenderer):
    """Raises at a given exposure; keeps its images, so that runs after the first take no time."""

    def __init__(self) -> None:
        twin = TwinConfig(cached_positions=8)
        super().__init__(ProceduralSmear(CONFIG.cells.smear, FIRST_SMEAR + 1), twin.led_board.board(), twin)
        self.at, self.error, self.exposures = -1, KeyboardInterrupt(), 0

    def image_along(self, *arguments: Any) -> np.ndarray:
        self.exposures += 1
        if self.exposures - 1 == self.at:
            raise self.error
        return super().image_along(*arguments)

    def arm(self, at: int, error: BaseException | None = None) -> "Interrupting":
        self.at, self.error, self.exposures = at, error or KeyboardInterrupt(), 0
        return self


@dataclass
class Case:
    """A policy, images, and what a run that nobody interrupted has left."""

    config: CellsRunConfig
    renderer: Interrupting
    whole: Path
    runs: Sequence[CellRun] = field(default_factory=tuple)

    @property
    def frames(self) -> int:
        with open_record(self.whole / RECORD) as recording:
            return recording.n_frames


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    home = tmp_path_factory.mktemp("resumed")
    trials = CellTrials.of(labelled_cells(CONFIG, home / "cache"), CONFIG)
    ppo = CellPpo(BatchAdaptiveEnv(trials.learn), CONFIG.ppo, seed=3)
    save_trained(home / "policy", ppo, trials, {}, home / "no curve")
    config = CellsRunConfig(rig=TWIN, policy=home / "policy", places_um=(PLACE_UM, (60.0, 60.0)), cells=2)
    renderer = Interrupting()
    done = run_cells(config, home / "whole", renderer=renderer)
    return Case(config, renderer, home / "whole", done.runs)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """What was decided, without what became of the program."""
    lines = [json.loads(line) for line in (folder / DECISIONS).read_text().split("\n")[:-1]]
    return [line for line in lines if RESUMED not in line and STOPPED not in line]


def interrupted(case: Case, folder: Path, at: int) -> Path:
    with pytest.raises(KeyboardInterrupt):
        run_cells(case.config, folder, renderer=case.renderer.arm(at))
    return folder


def assert_as_whole(case: Case, folder: Path) -> None:
    assert lines_of(folder) == lines_of(case.whole)
    with open_record(folder / RECORD) as ours, open_record(case.whole / RECORD) as theirs:
        assert ours.complete
        assert differences(ours, theirs) == []
        assert ours.n_frames == theirs.n_frames
        assert ours.summary == theirs.summary


def differences(recording: Recording, reference: Recording) -> list[str]:
    found = []
    for index in range(min(recording.n_frames, reference.n_frames)):
        one, other = recording.frame(index), reference.frame(index)
        same = {
            "image": np.array_equal(one.image, other.image),
            "light": np.array_equal(one.shown.levels, other.shown.levels) and one.request == other.request,
            "place": (one.xy_um, one.z_um) == (other.xy_um, other.z_um),
            "decision": recording.decision(index) == reference.decision(index),
        }
        found += [f"frame {index} has another {name}" for name, alike in same.items() if not alike]
    return found


def test_the_case_has_searches_and_several_lights_at_a_cell(case: Case):
    held = read_cells_record(case.whole)
    assert [len(search.cells_px) for search in held.searches] == [2, 2]
    assert max(run.captures for run in case.runs) > 1
    assert 6 < case.frames < FRAMES_MOST


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_run_stopped_before_any_frame_goes_on_to_the_same_end(case: Case, share: float, tmp_path: Path):
    at = int(share * case.frames)
    folder = interrupted(case, tmp_path / "run", at)
    seen: list[int] = []
    done = resume_cells(folder, renderer=case.renderer.arm(-1), on_cell=lambda runs, total: seen.append(len(runs)))
    # recorded frames are not taken again
    assert case.renderer.exposures == case.frames - at
    assert done.resumed_after == at
    assert seen == list(range(1, len(case.runs) + 1))
    assert [run.declared for run in done.runs] == [run.declared for run in case.runs]
    assert [[d.odds_after for d in run.decisions] for run in done.runs] == [
        [d.odds_after for d in run.decisions] for run in case.runs
    ]
    assert_as_whole(case, folder)


def test_a_run_can_be_interrupted_again_and_again(case: Case, tmp_path: Path):
    folder = interrupted(case, tmp_path / "run", 2)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            resume_cells(folder, renderer=case.renderer.arm(2))
    resume_cells(folder, renderer=case.renderer.arm(-1))
    assert_as_whole(case, folder)
    notes = [json.loads(line) for line in (folder / DECISIONS).read_text().splitlines()]
    assert [note[RESUMED] for note in notes if RESUMED in note] == [2, 4, 6]


def test_a_failure_is_told_until_the_run_has_gone_on(case: Case, tmp_path: Path):
    folder = tmp_path / "run"
    with pytest.raises(CameraError):
        run_cells(case.config, folder, renderer=case.renderer.arm(3, CameraError("No image came.")))
    assert any("No image came" in cell.stopped_by for cell in read_cells_record(folder).cells)
    resume_cells(folder, renderer=case.renderer.arm(-1))
    assert_as_whole(case, folder)
    assert not any(cell.stopped_by for cell in read_cells_record(folder).cells)


@pytest.mark.parametrize("left", ["nothing", "half a line", "one line less", "no file"])
def test_decisions_that_were_not_written_whole_are_written_again(case: Case, left: str, tmp_path: Path):
    """Frames are on the disk before their lines; what of the lines is missing follows from them."""
    folder = interrupted(case, tmp_path / "run", 5)
    path = folder / DECISIONS
    held = path.read_bytes()
    last = held[:-1].rfind(b"\n") + 1
    kept = {"nothing": b"", "half a line": held[: last + 9], "one line less": held[:last]}
    path.unlink()
    if left in kept:
        path.write_bytes(kept[left])
    resume_cells(folder, renderer=case.renderer.arm(-1))
    assert_as_whole(case, folder)


@dataclass(frozen=True)
class CellsJob:
    """The run on the twin as a job that is killed."""

    case: Case

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        def on_cell(runs: Sequence[CellRun], total: int) -> None:
            acknowledge(sum(run.captures for run in runs))

        if self.record(folder).exists():
            resume_cells(folder, renderer=self.case.renderer.arm(-1), on_cell=on_cell)
        else:
            run_cells(self.case.config, folder, renderer=self.case.renderer.arm(-1), on_cell=on_cell)

    def record(self, folder: Path) -> Path:
        return folder / RECORD

    def differences(self, recording: Recording, reference: Recording) -> list[str]:
        found, path = differences(recording, reference), recording.path.parent / DECISIONS
        lines = lines_of(path.parent) if path.exists() else []
        whole = lines_of(reference.path.parent)
        if lines != whole[: len(lines)] or (recording.complete and lines != whole):
            found.append("its decisions are others")
        if any(line.get("frame", -1) >= recording.n_frames for line in lines):
            found.append("it speaks of frames that are not there")
        return found


@pytest.mark.timed
def test_killed_at_any_moment_it_loses_nothing_and_ends_the_same(case: Case, tmp_path: Path):
    tally = kill_campaign(CellsJob(case), 5, seed=11, folder=tmp_path)
    assert tally.faults == []
    assert tally.kills == 5


def test_what_is_complete_or_never_began_is_not_resumed(case: Case, tmp_path: Path):
    with pytest.raises(InputError, match="is complete"):
        resume_cells(case.whole)
    with pytest.raises(InputError, match="no recording"):
        resume_cells(tmp_path)
    with pytest.raises(InputError, match="not empty"):
        run_cells(case.config, case.whole)


def test_another_policy_is_refused_and_changes_nothing(case: Case, tmp_path: Path):
    folder = interrupted(case, tmp_path / "run", 4)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    trials = CellTrials.of(labelled_cells(CONFIG, case.whole.parent / "cache"), CONFIG)
    other = CellPpo(BatchAdaptiveEnv(trials.learn), CONFIG.ppo, seed=4)
    save_trained(tmp_path / "other", other, trials, {}, tmp_path / "no curve")
    with pytest.raises(ModelMismatch, match="policy is not the one"):
        resume_cells(folder, policy=tmp_path / "other", renderer=case.renderer.arm(-1))
    with pytest.raises(ConfigError, match="not as it was"):
        resume_cells(folder, rig="simulated")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    # the same policy somewhere else
    shutil.copytree(case.config.policy, tmp_path / "moved")
    resume_cells(folder, policy=tmp_path / "moved", renderer=case.renderer.arm(-1))
    assert_as_whole(case, folder)


def test_a_decision_that_was_not_recorded_so_is_refused(case: Case, tmp_path: Path):
    folder = interrupted(case, tmp_path / "run", 5)
    lines = [json.loads(line) for line in (folder / DECISIONS).read_text().splitlines()]
    changed = next(line for line in lines if line.get("step") == 0)
    changed["odds_after"] += 1
    (folder / DECISIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RecordError, match="recorded with the odds_after"):
        resume_cells(folder, renderer=case.renderer.arm(-1))
    assert case.renderer.exposures == 0


def test_what_a_run_left_that_was_killed_before_it_began_is_no_obstacle(case: Case, tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f".{RECORD}.77.part").touch()
    run_cells(case.config, folder, renderer=case.renderer.arm(-1))
    assert_as_whole(case, folder)


@dataclass
class Somewhere:
    """A microscope that only says where it is."""

    xy_um: tuple[float, float]
    z_um: float

    def where(self) -> tuple[tuple[float, float], float]:
        return self.xy_um, self.z_um

    def observe(self, request: Observe) -> Frame:
        raise AssertionError("nobody may look")

    board = TwinConfig().led_board.board()

    def close(self) -> None:
        """Nothing to release."""


def test_a_run_without_a_place_goes_on_only_where_it_was(tmp_path: Path):
    rig = RigConfig.from_file(find_rig("simulated"))
    request = Observe(dark(Somewhere.board), 1.0)
    levels = request.pattern.levels
    with Recorder(tmp_path / RECORD, {}) as recorder:
        recorder.add(Frame(np.zeros((4, 4), np.uint16), request, Shown(levels), (100.0, 50.0), 3.0, 0, 1))
    with open_record(tmp_path / RECORD) as past:

        def check(xy_um: tuple[float, float], z_um: float) -> None:
            require_still_there(past, Interlock(Somewhere(xy_um, z_um), rig.limits), rig)

        check((101.0, 50.0), 3.2)  # inside the tolerances of 2 and 0.5 um
        with pytest.raises(InputError, match=r"stage stands at \(104.0, 50.0\) um; .* at \(100.0, 50.0\) um"):
            check((104.0, 50.0), 3.0)
        with pytest.raises(InputError, match=r"focus stands at 9.00 um; .* at 3.00 um"):
            check((100.0, 50.0), 9.0)


@pytest.mark.firmware
def test_on_the_simulated_rig_it_comes_to_where_the_stage_was(case: Case, tmp_path: Path):
    """Its stage misses by a little, another little each time, and its board counts on."""
    config = case.config.model_copy(update={"rig": "simulated", "middle": True})
    whole = run_cells(config, tmp_path / "whole", renderer=case.renderer.arm(-1))
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_cells(config, folder, on_cell=interrupt, renderer=case.renderer)
    done = resume_cells(folder, renderer=case.renderer)
    assert 0 < done.resumed_after < sum(run.captures for run in done.runs)
    with open_record(folder / RECORD) as ours, open_record(whole.folder / RECORD) as theirs:
        assert differences(ours, theirs) == []
        assert ours.n_frames == theirs.n_frames
        assert ours.header["config"]["rig"] == "simulated"
    assert lines_of(folder) == lines_of(whole.folder)


def interrupt(runs: Sequence[CellRun], total: int) -> None:
    raise KeyboardInterrupt
