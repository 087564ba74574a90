"""`lsm search`: a table of designs, from a file, resumable."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lsm.cli import main
from lsm.experiments.jobs import read_rows

FUNCTIONS = Path(__file__).parents[1] / "experiments" / "jobs"
SEARCH = """
name = "small"
run = "search_functions:scored"
score = "accuracy"
seeds = [0, 1]
base = {{ captures = 1, rig = {{ na = 0.1 }}, folder = '{folder}', fail_at = -1 }}
[axes]
captures = [2, 1, 3]
"""


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search whose function lies in a module of its own beside it."""
    source = (FUNCTIONS / "job_functions.py").read_text(encoding="utf-8")
    (tmp_path / "search_functions.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "search_functions", raising=False)
    path = tmp_path / "search.toml"
    path.write_text(SEARCH.format(folder=tmp_path), encoding="utf-8")
    return path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["search", *map(str, words)])
    return int(stopped.value.code or 0)


def test_a_search_prints_and_writes_its_table_and_runs_nothing_twice(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert run(search, "--out", out, "--set", "rig.na=0.25") == 0
    said = capsys.readouterr().out
    # two seeds at 0.25 + 0.01 and 0.25 - 0.01: Student's factor for one degree of freedom is 12.7
    assert "captures" in said
    assert "± 0.13" in said
    assert (out / "results.csv").read_text().splitlines()[1].startswith("1,2,0.25,")
    before = (out / "table.jsonl").read_bytes()
    assert run(search, "--out", out, "--set", "rig.na=0.25", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["runs"], found["failed"], found["designs"][0]["settings"]) == (6, 0, {"captures": 2})
    assert json.loads((out / "results.json").read_text())["designs"] == found["designs"]
    assert (out / "table.jsonl").read_bytes() == before


def test_failed_runs_are_counted_and_the_exit_status_says_so(
    search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(search, "--out", tmp_path / "out", "--set", "fail_at=1") == 1
    said = capsys.readouterr()
    assert "3 runs failed" in said.err
    assert "this seed fails" in said.err
    assert run(search, "--out", tmp_path / "out", "--set", "fail_at=1", "--json") == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 3


def test_another_base_for_the_same_table_is_refused(search: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(search, "--out", tmp_path / "out") == 0
    assert run(search, "--out", tmp_path / "out", "--set", "rig.na=0.5") == 1
    assert "has another function or other arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--executor", "magic"], ["--workers", "2"], ["--set", "captuers=1"], ["--address", "here:1"]]
)
def test_wrong_options_are_refused_before_anything_runs(search: Path, tmp_path: Path, words: list[str]):
    assert run(search, "--out", tmp_path / "out", *words) == 2
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_finished_rows_and_leaves_no_worker(search: Path, tmp_path: Path):
    """Ctrl-C of a terminal: the whole process group hears it."""
    search.write_text(search.read_text().replace(":scored", ":slow_scored"))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lsm.cli", "search", str(search), "--out", str(out)]
    program = subprocess.Popen(
        [*command, "--executor", "processes", "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while len(list(tmp_path.glob("3-*"))) < 2:
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(program.pid).children(recursive=True)
    assert len(children) >= 2
    os.killpg(program.pid, signal.SIGINT)
    _, said = program.communicate(timeout=30)
    assert program.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert psutil.wait_procs(children, timeout=10)[1] == []
    kept = read_rows(out / "table.jsonl")
    assert sorted(kept) == ["base; seed 0", "base; seed 1", "captures=2; seed 0", "captures=2; seed 1"]
    assert all(row.result is not None for row in kept.values())
