"""Jobs on a real Ray cluster of two nodes on this machine, one of which is killed in mid-run."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from job_functions import counted, deadly, killed_once_done, threads, traces

from lsm.errors import InputError, ToolMissing
from lsm.experiments.jobs import Job, JobTable, Ray, Row
from lsm.sensing.progress import Silent

ray = pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
STORE_BYTES = 80_000_000
# Ray leaves the logs of the processes that it starts open
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@dataclass
class TwoNodes:
    """Where the cluster answers, and the process of its second node."""

    address: str
    second: psutil.Process

    def kill_second_while_it_works(self, folder: Path) -> set[int]:
        """The x of the jobs over which the second node and all its workers died at once."""
        while True:
            node = self.second.children(recursive=True)
            numbers = {process.pid for process in node}
            working = {x for x, pids in traces(folder).items() if numbers.intersection(pids)}
            if working:
                for process in [self.second, *node]:
                    os.kill(process.pid, signal.SIGKILL)
                return working
            time.sleep(0.02)


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """Two nodes of one core each."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # as on any cluster, its nodes must have the modules of the jobs
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        from ray.cluster_utils import Cluster

        sizes = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        cluster = Cluster(initialize_head=True, head_node_args=sizes | {"include_dashboard": False})
        second = cluster.add_node(**sizes)
        cluster.wait_for_nodes()
        yield TwoNodes(cluster.address, psutil.Process(second.all_processes["raylet"][0].process.pid))
        cluster.shutdown()


def jobs(function: Any, folder: Path, count: int, **more: object) -> list[Job]:
    return [Job(f"x={x}", function, {"x": x, "folder": str(folder), **more}) for x in range(count)]


def run(executor: Ray, work: list[Job], folder: Path) -> list[Row]:
    with JobTable(folder / "table.jsonl") as table:
        return executor.run(work, table)


def test_a_node_that_is_killed_loses_nothing_and_no_job_counts_twice(nodes: TwoNodes, tmp_path: Path):
    victims: set[int] = set()
    killer = threading.Thread(target=lambda: victims.update(nodes.kill_second_while_it_works(tmp_path)), daemon=True)
    killer.start()
    handler = signal.getsignal(signal.SIGTERM)
    rows = run(Ray(nodes.address), jobs(counted, tmp_path, 6, sleep_s=0.7), tmp_path)
    killer.join(1)
    assert victims, "the second node never had a job"
    assert not _lives(nodes.second)
    assert [row.result for row in rows] == [{"square": x**2} for x in range(6)]
    ran = {x: len(pids) for x, pids in traces(tmp_path).items()}
    assert all(ran[x] == rows[x].attempts == 2 for x in victims)
    # the head and six rows
    assert (tmp_path / "table.jsonl").read_bytes().count(b"\n") == 7
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not ray.is_initialized()


def test_workers_that_die(nodes: TwoNodes, tmp_path: Path):
    done_but_not_told = jobs(killed_once_done, tmp_path, 3)[2]
    given_up = jobs(deadly, tmp_path, 2)[1]
    rows = run(Ray(nodes.address, attempts=2), [done_but_not_told, given_up, Job("threads", threads, {})], tmp_path)
    assert rows[0].result == {"square": 4}
    assert rows[1].error is not None
    assert rows[1].error.startswith("The worker was lost 2 times: WorkerCrashedError: ")
    assert {x: len(pids) for x, pids in traces(tmp_path).items()} == {1: 2, 2: 2}
    assert rows[0].attempts == rows[1].attempts == 2
    assert rows[2].result == {"torch": 1, "variable": "1", "pid": rows[2].pid}
    assert (tmp_path / "table.jsonl").read_bytes().count(b"\n") == 4


def test_a_cluster_of_this_machine_lasts_for_the_run(tmp_path: Path):
    before = set(psutil.Process().children(recursive=True))
    rows = run(Ray(workers=1), jobs(counted, tmp_path, 2), tmp_path)
    assert [row.result for row in rows] == [{"square": 0}, {"square": 1}]
    left = [child for child in set(psutil.Process().children(recursive=True)) - before if _lives(child)]
    assert left == []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_interruption_keeps_finished_rows_and_lets_go_of_ray(nodes: TwoNodes, tmp_path: Path):
    class Stops(Silent):
        def advance(self, loss: float | None = None) -> None:
            raise KeyboardInterrupt

    with JobTable(tmp_path / "table.jsonl") as table:
        with pytest.raises(KeyboardInterrupt):
            Ray(nodes.address).run(jobs(counted, tmp_path, 3, sleep_s=0.2), table, Stops())
        assert len(table.rows) == 1
    assert not ray.is_initialized()


def test_a_place_without_a_cluster_is_a_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="No Ray cluster answers at nowhere"):
        run(Ray("nowhere"), jobs(counted, tmp_path, 1), tmp_path)


def test_without_ray_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ToolMissing, match="is not installed"):
        run(Ray(), jobs(counted, tmp_path, 1), tmp_path)
