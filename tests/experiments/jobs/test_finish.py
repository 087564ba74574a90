"""Results of a table that another commit of the source began: they are used, and that is told."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from job_functions import square

from lsm.experiments import registry
from lsm.experiments.jobs import Job, call, commits_used, finish, read_rows


def jobs(count: int) -> list[Job]:
    return [Job(f"x={x}", square, {"x": x}) for x in range(count)]


def as_commit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in ("call", "finish"):
        monkeypatch.setattr(importlib.import_module(f"lsm.experiments.jobs.{module}"), "source_commit", lambda: name)


def test_rows_of_another_commit_are_used_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    table = tmp_path / "table.jsonl"
    as_commit(monkeypatch, "old")
    finish(jobs(2), table, workers=1, progress=None)
    finish(jobs(2), table, workers=1, progress=None)
    assert capfd.readouterr() == ("", "")
    as_commit(monkeypatch, "new")
    with commits_used() as commits:
        found = finish(jobs(3), table, workers=1, progress=None)
        finish(jobs(3), table, workers=1, progress=None)
    assert [row["square"] for row in found.values()] == [0, 1, 4]
    assert commits == {"old", "new"}
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "holds results of other commits than new: 2 of old." in said[0]
    assert [row.commit for row in read_rows(table).values()] == ["old", "old", "new"]


def test_rows_without_a_commit_have_that_of_their_result_or_none():
    row = call.attempt(jobs(1)[0].call()).model_copy(update={"commit": None})
    assert row.source == "unknown"
    assert row.model_copy(update={"result": {"commit": "older"}}).source == "older"
    assert call.Row.model_validate({key: row.model_dump()[key] for key in row.model_dump() if key != "commit"}) == row


def test_results_of_an_experiment_name_the_commits_of_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(config: Path, out: Path, *, workers: int, **options: Any) -> Mapping[str, Any]:
        del config, options
        return {"found": len(finish(asked, out / "table.jsonl", workers=workers, progress=None))}

    made_up = registry.Experiment("squares", "Numbers and their squares", "jobs:run", 0.0, ())
    monkeypatch.setattr(registry, "EXPERIMENTS", (made_up,))
    monkeypatch.setattr(importlib.import_module("lsm.experiments.jobs"), "run", run, raising=False)
    asked = jobs(1)
    as_commit(monkeypatch, "old")
    registry.run_experiment("squares", tmp_path)
    asked += jobs(2)[1:]
    as_commit(monkeypatch, "new")
    registry.run_experiment("squares", tmp_path)
    held = json.loads((tmp_path / "results.json").read_text())
    assert (held["found"], held["commits"]) == (2, ["new", "old"])
    assert [path.name for path in tmp_path.glob(".*")] == []
