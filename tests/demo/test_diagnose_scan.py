"""`lsm diagnose --slide` on the simulated rig: in one go, stopped and resumed, and killed and resumed."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.cli import main
from lsm.diagnose.scan import RegionConfig, ScanConfig, read_cells
from lsm.diagnose.scan_report import ScanReport
from lsm.diagnose.slide import RESUMED, DiagnoseConfig, DiagnoseResult, diagnose, resume
from lsm.record import open_record

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(240)]

CUT = 3
CONFIG = DiagnoseConfig(
    slide="A-17",
    search="scan",
    seed=4,
    scan=ScanConfig(light="agent", decide=False, region=RegionConfig(columns=3, rows=1, overlap=0.1)),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DiagnoseResult:
    return diagnose(CONFIG, tmp_path_factory.mktemp("whole") / "run")


def be_killed_at_a_field(folder: Path, fields: int) -> None:
    def kill(done: int, most: int, known: dict[str, Any]) -> None:
        if done == fields:
            os.kill(os.getpid(), signal.SIGKILL)

    diagnose(CONFIG, folder, on_step=kill)


def same(one: DiagnoseResult, other: DiagnoseResult) -> None:
    assert one.verdict == other.verdict
    assert one.run.visits == other.run.visits
    assert np.array_equal(one.run.counts, other.run.counts)
    assert one.cells is not None
    assert other.cells is not None
    assert one.cells.read_bytes() == other.cells.read_bytes()
    with open_record(one.record) as a, open_record(other.record) as b:
        assert a.n_frames == b.n_frames
        for index in range(a.n_frames):
            assert np.array_equal(a.frame(index).image, b.frame(index).image)
            assert a.decision(index) == {key: value for key, value in b.decision(index).items() if key != RESUMED}


def test_the_scan_is_recorded_reported_and_named(whole: DiagnoseResult):
    assert "A-17" in whole.report.read_text(encoding="utf-8")
    with open_record(whole.record) as recording:
        assert recording.complete
        assert recording.header["config"]["slide"] == "A-17"
        assert recording.n_frames == whole.run.captures
    assert whole.cells is not None
    assert sum(map(len, read_cells(whole.cells))) == whole.run.red_cells


def test_a_killed_scan_goes_on_to_the_same_verdict(whole: DiagnoseResult, tmp_path: Path):
    folder = tmp_path / "run"
    killed = multiprocessing.get_context("spawn").Process(target=be_killed_at_a_field, args=(folder, 2))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    resumed = resume(folder)
    assert 0 < resumed.resumed_after < whole.run.captures
    same(whole, resumed)


def test_a_stopped_scan_goes_on_to_the_same_verdict(whole: DiagnoseResult, tmp_path: Path):
    def stop(done: int, most: int, known: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(CONFIG, tmp_path / "run", on_step=stop)
    same(whole, resume(tmp_path / "run"))


def test_the_report_is_made_again_from_the_recording(whole: DiagnoseResult, tmp_path: Path):
    folder = Path(shutil.copytree(whole.record.parent, tmp_path / "run"))
    (folder / "report.html").unlink()
    again = resume(folder)
    assert again.report.read_bytes() == whole.report.read_bytes()


def test_the_command_tells_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["diagnose", "simulated", "--slide", "B-2", "--size", "2", "1", "--seed", "4", "--json"]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--out", str(tmp_path / "run")])
    assert stopped.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told["slide"] == "B-2"
    reported = ScanReport.read(tmp_path / "run" / "report.json").verdict
    assert told["fields"] == reported.fields > 0
    assert told["verdict"] == reported.outcome
    assert told["interval"] == [reported.estimate.low, reported.estimate.high]
    assert Path(told["cells_file"]).is_file()


def test_options_of_a_scan_need_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", "simulated", "--overlap", "0.2"])
    assert stopped.value.code == 2
    assert "--slide" in capsys.readouterr().err
