"""Jobs on a real Ray cluster of two nodes on this machine, one of which is killed in mid-run."""

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from job_functions import traces

from lsm.errors import InputError, ToolMissing
from lsm.experiments.jobs import Job, JobTable, Ray, Row
from lsm.experiments.jobs.cluster import ATTEMPTS

pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
STORE_BYTES = 80_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimpleNamespace]:
    """Two nodes of one core each, and a way to find the processes of the second."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        held = Cluster(initialize_head=True, head_node_args=node)
        second = held.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        held.wait_for_nodes()
        yield SimpleNamespace(address=held.address, cluster=held, second=second)
        held.shutdown()


def run(executor: Ray, work: list[Job], folder: Path) -> list[Row]:
    with warnings.catch_warnings():
        # Ray leaves the logs of its own processes open
        warnings.simplefilter("ignore", ResourceWarning)
        with JobTable(folder / "table.jsonl") as table:
            return executor.run(work, table)
