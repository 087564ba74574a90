"""`lsm bench optics` measures everything it promises to, and its contenders compute the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lsm.bench.cases import Case, grid_board, square_system
from lsm.bench.contenders import kernel
from lsm.bench.promises import Promise
from lsm.bench.scaling import fit
from lsm.bench.timing import Effort, Job, in_turns
from lsm.cli.app import app
from lsm.optics import _native


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """What `lsm bench optics --quick` prints and writes."""
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    done = CliRunner().invoke(app, ["bench", "optics", "--quick", "--json", str(file)])
    assert done.exit_code == 0, done.output
    return done.output, json.loads(file.read_text(encoding="utf-8"))


def test_figures_name_machine_and_programs(written: tuple[str, dict[str, Any]]):
    machine = written[1]["machine"]
    assert {"cpu", "cores", "commit", "date", "instruction_set", "fft", "versions", "memory_gib"} <= set(machine)
    assert machine["versions"]["torch"]
    assert all(limit["sgemm_gflops"] > 0 and limit["copy_gb_s"] > 0 for limit in written[1]["limits"])


def test_contenders_compute_the_same(written: tuple[str, dict[str, Any]]):
    rows = written[1]["agreements"]
    assert {(row["contender"], row["what"]) for row in rows} >= {
        ("lsm, point pixels", "images"),
        ("lsm, point pixels", "gradient"),
        ("torch, memory reused", "gradient"),
        ("lsm", "images"),
    }
    # relative to the bright field: float32 transforms of 256 x 256, and the phase of a written-out tilt,
    # up to 730 rad and so known to 4e-5 rad, which tells in the darker LEDs
    assert all(row["largest_difference"] < 2e-5 for row in rows)


def test_every_contender_runs_in_both_directions(written: tuple[str, dict[str, Any]]):
    rates = written[1]["rates"]
    for direction in ("forward", "forward+backward"):
        of_direction = [rate for rate in rates if rate["direction"] == direction and rate["threads"] == 1]
        assert {rate["leds"] for rate in of_direction} == {64, 256}
        assert {"lsm", "lsm, torch program", "torch, full size", "torch, short tilts"} <= {
            rate["contender"] for rate in of_direction
        }
    assert all(0 < rate["lowest"] <= rate["images_per_s"] <= rate["highest"] for rate in rates)
    assert "inverse FFT alone" in {rate["contender"] for rate in rates}


def test_every_promise_is_beside_what_was_measured(written: tuple[str, dict[str, Any]]):
    rows = written[1]["promises"]
    # 4 speeds for each of 2 cases, one memory, three ways to grow
    assert len(rows) == 12
    assert all((row["kept"] is None) == (row["measured"] is None) for row in rows)
    assert "Promises" in written[0]


def test_the_output_fits_100_columns(written: tuple[str, dict[str, Any]]):
    assert max(len(line) for line in written[0].splitlines() if not line.startswith("Written")) <= 100


def test_a_folder_that_is_missing_is_told_before_anything_is_measured(tmp_path: Path):
    done = CliRunner().invoke(app, ["bench", "optics", "--json", str(tmp_path / "none" / "bench.json")])
    assert "no folder" in str(done.exception)


def test_jobs_take_turns():
    order: list[str] = []
    jobs = [Job(name, lambda name=name: order.append(name), 1) for name in "ab"]
    seconds = in_turns(jobs, Effort(repetitions=3, least_s=0.0))
    assert order[-6:] == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_the_kernel_is_switched_off_and_on_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LSM_NATIVE", raising=False)
    before = _native.instruction_set()
    with kernel(on=False):
        assert _native.instruction_set() == "none"
    assert _native.instruction_set() == before


def test_a_line_with_an_offset_is_linear_but_not_proportional():
    growth = fit("LEDs", (50, 100, 200), (150.0, 200.0, 300.0))
    assert growth.ms_per_unit == pytest.approx(1.0)
    assert growth.offset_ms == pytest.approx(100.0)
    # exact up to the rounding of the fit
    assert growth.off_line_percent < 1e-6 < 20.0 < growth.off_proportion_percent


@pytest.mark.parametrize(("measured", "kept"), [(49.0, False), (50.0, True), (None, None)])
def test_a_promise_is_kept_at_its_limit(measured: float | None, kept: bool | None):
    assert Promise("faster", "x", 50.0, True, measured).kept is kept


def test_some_leds_are_spread_over_the_board():
    case = Case("", grid_board(8), square_system(256))
    few = case.some_leds(8 * 256**2)
    assert len(few) == len(set(few.tolist())) == 8
    assert 0.0 < case.board.na[few.numpy()].min() < 0.2 < case.board.na[few.numpy()].max()
    assert len(case.some_leds(1)) == 1
    assert case.some_leds(2**30).tolist() == list(range(64))


def test_boards_reach_na_0_4():
    # the pitch is not rounded: sin(atan(sqrt(2) * 21 / 68)) = 0.400
    assert grid_board(8).na.max() == pytest.approx(0.4, abs=5e-4)
    assert np.isclose(grid_board(16).na.max(), grid_board(8).na.max())
