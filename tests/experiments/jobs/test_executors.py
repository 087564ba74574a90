"""Serial and several processes: the same rows, whatever fails, dies or is interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from job_functions import (
    counted,
    deadly,
    killed_once_done,
    leaves,
    no_dict,
    not_finite,
    numpy_figures,
    prints,
    square,
    threads,
    traces,
)

from lsm.errors import InputError
from lsm.experiments.jobs import Executor, Job, JobTable, Processes, Ray, Row, Serial
from lsm.sensing.progress import RichReporter, Silent

HERE = Path(__file__).parent
BOTH = pytest.mark.parametrize("executor", [Serial(), Processes(2)], ids=["serial", "processes"])


def jobs(function: Callable[..., Any], folder: Path, count: int, **more: object) -> list[Job]:
    return [Job(f"x={x}", function, {"x": x, "folder": str(folder), **more}) for x in range(count)]


def run(executor: Executor, work: list[Job], folder: Path) -> list[Row]:
    with JobTable(folder / "table.jsonl") as table:
        return executor.run(work, table)


def test_each_executor_is_one():
    assert all(isinstance(each, Executor) for each in (Serial(), Processes(1), Ray()))


@BOTH
def test_rows_come_in_the_order_of_the_jobs(executor: Executor, tmp_path: Path):
    rows = run(executor, jobs(counted, tmp_path, 5), tmp_path)
    assert [row.result for row in rows] == [{"square": x**2} for x in range(5)]
    assert [row.key for row in rows] == [f"x={x}" for x in range(5)]
    here = os.getpid()
    assert all((row.pid == here) == isinstance(executor, Serial) and row.attempts == 1 for row in rows)


@BOTH
def test_only_what_is_missing_or_failed_runs_again(executor: Executor, tmp_path: Path):
    first = run(executor, jobs(counted, tmp_path, 3, fails=1), tmp_path)
    assert [row.result for row in first] == [{"square": 0}, None, {"square": 4}]
    assert first[1].error is not None
    assert "ValueError: not this one (job_functions.py, line " in first[1].error
    again = run(executor, jobs(counted, tmp_path, 4, fails=1), tmp_path)
    assert (again[0], again[2]) == (first[0], first[2])
    assert {x: len(pids) for x, pids in traces(tmp_path).items()} == {0: 1, 1: 2, 2: 1, 3: 1}


@BOTH
def test_results_are_plain_values_or_a_reason(executor: Executor, tmp_path: Path):
    work = [
        Job("numpy", numpy_figures, {"pair": (1, 2)}),
        Job("nan", not_finite, {"x": 1}),
        Job("list", no_dict, {"x": 1}),
        Job("exit", leaves, {"x": 3}),
    ]
    numpy, nan, listed, left = run(executor, work, tmp_path)
    assert numpy.result == {"mean": 0.5, "count": 3, "curve": [0, 1, 2], "given": {"pair": [1, 2]}}
    assert nan.error is not None
    assert "not plain JSON" in nan.error
    assert listed.error is not None
    assert "returned a list" in listed.error
    assert left.error is not None
    assert "SystemExit: 3" in left.error


def test_each_worker_has_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    rows = run(Processes(1), [Job("a", threads, {})], tmp_path)
    assert rows[0].result == {"torch": 1, "variable": "1", "pid": rows[0].pid}
    assert os.environ["OPENBLAS_NUM_THREADS"] == "7"
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_job_whose_worker_dies_gets_one_more_and_then_fails_with_the_reason(tmp_path: Path):
    rows = run(Processes(2), jobs(deadly, tmp_path, 4), tmp_path)
    assert [row.result for row in rows] == [{"square": 0}, None, {"square": 4}, {"square": 9}]
    assert rows[1].error == "The worker ended by signal SIGKILL before the job was done."
    assert rows[1].attempts == 2
    assert {x: len(pids) for x, pids in traces(tmp_path).items()} == {0: 1, 1: 2, 2: 1, 3: 1}


def test_work_that_was_done_but_not_told_counts_once(tmp_path: Path):
    rows = run(Processes(2), jobs(killed_once_done, tmp_path, 4), tmp_path)
    assert [row.result for row in rows] == [{"square": x**2} for x in range(4)]
    assert [row.attempts for row in rows] == [1, 1, 2, 1]
    assert len(traces(tmp_path)[2]) == 2
    # the head and four rows
    assert (tmp_path / "table.jsonl").read_bytes().count(b"\n") == 5


class StopsAfter(Silent):
    """Progress during which Ctrl-C is pressed."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, loss: float | None = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@BOTH
def test_an_interruption_keeps_finished_rows_and_leaves_no_worker(executor: Executor, tmp_path: Path):
    before = set(psutil.Process().children(recursive=True))
    with JobTable(tmp_path / "table.jsonl") as table:
        with pytest.raises(KeyboardInterrupt):
            executor.run(jobs(counted, tmp_path, 6, sleep_s=0.05), table, StopsAfter(2))
        assert len(table.rows) == 2
        left = set(psutil.Process().children(recursive=True)) - before
        assert [child for child in left if "resource_tracker" not in " ".join(child.cmdline())] == []
        assert len(executor.run(jobs(counted, tmp_path, 6, sleep_s=0.05), table)) == 6


def test_workers_end_with_a_program_that_is_killed(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from lsm.experiments.jobs import *; from job_functions import counted\n"
        "if __name__ == '__main__':\n"
        "    folder = Path(sys.argv[1])\n"
        "    jobs = [Job(str(x), counted, {'x': x, 'folder': str(folder), 'sleep_s': 60}) for x in range(2)]\n"
        "    Processes(2).run(jobs, JobTable(folder / 'table.jsonl'))\n"
    )
    (tmp_path / "program.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    program = subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path], env=environment)
    deadline = time.monotonic() + 60
    while len(traces(tmp_path)) < 2:
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [psutil.Process(pid) for pids in traces(tmp_path).values() for pid in pids]
    program.send_signal(signal.SIGKILL)
    program.wait()
    # they would sleep for a minute
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_what_a_job_prints_does_not_mix_with_the_output_of_the_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    run(Serial(), [Job("a", prints, {"x": 1})], tmp_path)
    run(Processes(1), [Job("b", prints, {"x": 1})], tmp_path)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("the job talks") == 2


def test_progress_counts_the_jobs_that_run(tmp_path: Path):
    with JobTable(tmp_path / "table.jsonl") as table:
        Serial().run(jobs(counted, tmp_path, 1), table)
        reporter = RichReporter()
        Serial().run(jobs(counted, tmp_path, 4), table, reporter)
    task = reporter._progress.tasks[0]
    assert (task.total, task.completed) == (3, 3)


def test_wrong_numbers_and_names_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="number of workers is 0"):
        Processes(0)
    with pytest.raises(InputError, match="number of workers is 0"):
        Ray(workers=0)
    with pytest.raises(InputError, match="Two jobs have the key 'a'"):
        run(Serial(), [Job("a", square, {"x": 1}), Job("a", square, {"x": 1})], tmp_path)
