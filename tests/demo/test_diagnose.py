"""`lsm diagnose` on the simulated rig: one run in one go, and the same run interrupted and resumed."""

import json
import multiprocessing
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.cli import main
from lsm.diagnose.slide import RESUMED, DiagnoseConfig, DiagnoseResult, diagnose, resume
from lsm.errors import ConfigError, InputError, ModelMismatch, RecordError
from lsm.record import Recorder, open_record
from lsm.safety import Interlock
from record.frames import be_killed_before_the_file_has_its_name

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(180)]

CAPTURES, CUT = 5, 3
CONFIG = DiagnoseConfig(seed=4, captures=CAPTURES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DiagnoseResult:
    return diagnose(CONFIG, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that ended after CUT frames."""
    folder = tmp_path_factory.mktemp("cut") / "run"

    def interrupt(taken: int, most: int, decision: dict[str, Any]) -> None:
        if taken == CUT:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(CONFIG, folder, on_step=interrupt)
    return folder


@pytest.fixture
def interrupted(cut_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut_off, tmp_path / "run"))


def test_the_run_is_recorded_and_reported(whole: DiagnoseResult):
    assert whole.report.is_file()
    with open_record(whole.record) as recording:
        assert recording.complete
        assert recording.n_frames == whole.run.captures == CAPTURES
        assert recording.summary["run"]["prevalence"] == whole.run.estimate.prevalence
        assert recording.header["camera_pixel_um"] == pytest.approx(1.2)


def test_a_resumed_run_equals_the_uninterrupted_one(whole: DiagnoseResult, interrupted: Path):
    resumed = resume(interrupted)
    assert resumed.resumed_after == CUT
    assert resumed.run.estimate == whole.run.estimate
    assert resumed.verdict == whole.verdict
    with open_record(whole.record) as one, open_record(resumed.record) as other:
        assert other.complete
        assert one.n_frames == other.n_frames
        for index in range(one.n_frames):
            a, b = one.frame(index), other.frame(index)
            assert np.array_equal(a.image, b.image), index
            assert np.array_equal(a.shown.levels, b.shown.levels)
            assert (a.xy_um, a.z_um) == (b.xy_um, b.z_um)
            mark = {RESUMED: True} if index == CUT else {}
            assert other.decision(index) == one.decision(index) | mark
    assert resumed.report.is_file()


def test_the_light_of_the_recorded_frames_counts_on(interrupted: Path, monkeypatch: pytest.MonkeyPatch):
    charged = []
    charge = Interlock.charge
    monkeypatch.setattr(Interlock, "charge", lambda self, frame: (charged.append(frame), charge(self, frame))[1])
    resume(interrupted)
    assert len(charged) == CUT


def test_a_complete_run_is_not_resumed(whole: DiagnoseResult):
    with pytest.raises(InputError, match="complete"):
        resume(whole.record.parent)


def test_what_still_runs_or_never_began_is_not_resumed(interrupted: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no recording to go on with"):
        resume(tmp_path)
    with open_record(interrupted / "record.h5") as recording:
        frame = recording.frame(0)
    with Recorder.resume(interrupted / "record.h5") as writer:
        with pytest.raises(InputError, match="still being written"):
            resume(interrupted)
        assert writer.add(frame) == CUT


def test_a_run_killed_before_its_recording_began_starts_again(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    killed = multiprocessing.get_context("spawn").Process(
        target=be_killed_before_the_file_has_its_name, args=(folder / "record.h5",)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert [left.suffix for left in folder.iterdir()] == [".part"]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(CONFIG, folder, on_step=interrupt)
    assert [left.name for left in folder.iterdir()] == ["record.h5"]
    with pytest.raises(InputError, match="not empty"):
        diagnose(CONFIG, folder)


def test_a_report_that_is_missing_is_made_from_the_recording(whole: DiagnoseResult, tmp_path: Path):
    folder = Path(shutil.copytree(whole.record.parent, tmp_path / "run"))
    (folder / "report.html").unlink()
    again = resume(folder)
    assert again.run.estimate == whole.run.estimate
    assert again.report.read_bytes() == whole.report.read_bytes()


def test_another_rig_is_refused(interrupted: Path, tmp_path: Path):
    from lsm.scope import find_rig

    other = tmp_path / "other.toml"
    other.write_text(find_rig("simulated").read_text().replace("repeatability_um = 0.5", "repeatability_um = 0.4"))
    with pytest.raises(ConfigError, match="not as it was"):
        resume(interrupted, rig=str(other))


def test_another_model_is_refused(interrupted: Path, monkeypatch: pytest.MonkeyPatch):
    from lsm.sensing import Bundle

    named = Bundle.named
    monkeypatch.setattr(Bundle, "named", lambda name: named("procedural").with_card(weights_digest="0" * 64))
    with pytest.raises(ModelMismatch):
        resume(interrupted)


def test_a_recording_that_was_changed_is_refused(interrupted: Path, monkeypatch: pytest.MonkeyPatch):
    """Frames that lead to other decisions than the recorded ones do not become one run with them."""
    from lsm.record import Recording

    decision = Recording.decision
    monkeypatch.setattr(Recording, "decision", lambda self, index: decision(self, index) | {"field": 59})
    with pytest.raises(RecordError, match="field"):
        resume(interrupted)


def test_the_command_says_what_was_found_and_resumes(
    interrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", "--resume", str(interrupted), "--json"])
    assert stopped.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told["resumed_after"] == CUT
    assert told["captures"] == CAPTURES
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", "--resume", str(interrupted), "--captures", "9"])
    assert stopped.value.code == 2
    assert "--captures" in capsys.readouterr().err
