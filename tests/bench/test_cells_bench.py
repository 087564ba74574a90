"""`lsm bench cells` measures what it promises of stacks of single cells."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from lsm.bench import cells
from lsm.bench.cells import CellComparison, compare_cells
from lsm.cli.app import app


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    done = CliRunner().invoke(app, ["bench", "cells", "--quick", "--json", str(file)])
    assert done.exit_code == 0, done.output
    return done.output, json.loads(file.read_text(encoding="utf-8"))


def test_everything_is_measured_and_shown(written: tuple[str, dict[str, Any]]):
    output, figures = written
    assert (figures["cells"], figures["lamps"], figures["side_px"]) == (300, 81, 32)
    assert 0 < figures["again_s"] < figures["build_s"]
    assert 0.1 < figures["build_gib"] < 3
    assert all(read["milliseconds"] > 0 and read["gb_s"] > 0 for read in figures["reads"])
    for name in [one["name"] for one in figures["reads"] + figures["trainings"]]:
        assert name in output


def test_a_small_stack_keeps_no_promise_of_the_large_one(written: tuple[str, dict[str, Any]]):
    kept = {one["promise"]: one["kept"] for one in written[1]["promises"]}
    assert [text for text, is_kept in kept.items() if is_kept is None] == [
        "6000 cells x 81 lamps x 32^2: building",
        "6000 cells x 81 lamps x 32^2: memory",
    ]
    assert "not measured" in written[0]


def test_promises_are_judged_by_their_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cells, "CELLS_QUICK", 70)
    measured: CellComparison = compare_cells(quick=True)

    def kept(**changes: object) -> list[bool | None]:
        return [one.kept for one in replace(measured, cells=6000, **changes).promises()]

    def rates(share: float) -> tuple[cells.Training, ...]:
        return tuple(replace(one, cells_s=share if one.name == cells.TURNED else 1.0) for one in measured.trainings)

    assert kept(build_s=60.0, build_gib=3.0, trainings=rates(0.6)) == [True, True, True]
    assert kept(build_s=60.1, build_gib=3.1, trainings=rates(0.59)) == [False, False, False]
