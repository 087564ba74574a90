"""Jobs on a Ray cluster, one of this machine or one that is there."""

import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lsm.errors import InputError, ToolMissing
from lsm.experiments.jobs.call import ONE_THREAD, Call, Row, attempt, lost
from lsm.experiments.jobs.executor import Job, Progress, collect
from lsm.experiments.jobs.table import JobTable

_STORE_BYTES = 100_000_000
"""Rows are small; Ray would take a third of the memory for objects."""


@dataclass(frozen=True)
class _Given:
    call: Call
    attempts: int
    since: float


class Ray:
    """Runs jobs on a Ray cluster, one core each.

    address: "host:port" of a cluster, on whose machines lsm and the jobs' modules are installed; without one, a
    cluster of `workers` cores is started here for the time of the run. A connection that the program already has is
    used and kept. A job whose worker or machine dies gets another, up to `attempts`: more than Processes gives, for
    that a machine of a cluster goes away is no fault of the job. Ray's usage reports are switched off.
    `run` raises ToolMissing without Ray, InputError where no cluster answers.
    """

    def __init__(self, address: str | None = None, *, workers: int = 1, attempts: int = 4) -> None:
        for name, value in (("workers", workers), ("attempts", attempts)):
            if value < 1:
                raise InputError(f"The number of {name} is {value}; it must be at least 1.", hint="4 is usual")
        self.address = address
        self.workers = workers
        self.attempts = attempts

    def run(self, jobs: Sequence[Job], table: JobTable, progress: Progress | None = None) -> list[Row]:
        return collect(jobs, table, progress, self._rows)

    def _rows(self, calls: Sequence[Call]) -> Iterator[Row]:
        ray = _ray()
        ours = not ray.is_initialized()
        running: dict[Any, _Given] = {}
        try:
            if ours:
                self._connect(ray)
            # Ray's own second attempts would hide how many there were
            remote = ray.remote(attempt).options(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")
            if not ours:
                remote = remote.options(runtime_env={"env_vars": ONE_THREAD})
            for call in calls:
                running[remote.remote(call)] = _Given(call, 1, time.monotonic())
            while running:
                done, _ = ray.wait(list(running))
                for reference in done:
                    given = running.pop(reference)
                    row = _row(ray, reference, given, last=given.attempts == self.attempts)
                    if row is None:
                        again = _Given(given.call, given.attempts + 1, time.monotonic())
                        running[remote.remote(given.call)] = again
                    else:
                        yield row
        finally:
            for reference in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(reference, force=True)
            if ours:
                ray.shutdown()

    def _environment(self) -> dict[str, str]:
        if self.address:
            return ONE_THREAD
        # on this machine workers find what this program finds; on others, paths of this one mean nothing
        return ONE_THREAD | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def _connect(self, ray: Any) -> None:
        # said here and not with each task, so that the workers which Ray starts ahead of the tasks fit
        options: dict[str, Any] = {"address": self.address, "runtime_env": {"env_vars": self._environment()}}
        if not self.address:
            options |= {"address": "local", "num_cpus": self.workers, "object_store_memory": _STORE_BYTES}
            options |= {"include_dashboard": False}
        main = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = f"at {self.address}" if self.address else "on this machine"
            raise InputError(
                f"No Ray cluster answers {where}: {_lines(error)[0]}",
                hint="`ray start --head` starts one and prints its address; versions of Ray and Python must agree",
            ) from error
        finally:
            if main:
                # Ray puts its own in its place, and the command would no longer end as on Ctrl-C
                signal.signal(signal.SIGTERM, before)


def _row(ray: Any, reference: Any, given: _Given, *, last: bool) -> Row | None:
    """The row of a task that is over; None where its worker died and the job may have another."""
    try:
        row: Row = ray.get(reference)
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.RayTaskError):
            # the job's own errors are rows; this is a worker without lsm, or with another one
            reason = f"The worker could not begin: {_lines(error)[-1]}"
        elif last:
            reason = f"The worker was lost {given.attempts} times: {type(error).__name__}: {_lines(error)[0]}"
        else:
            return None
        seconds = time.monotonic() - given.since
        return lost(given.call, reason, seconds=seconds, pid=os.getpid(), attempts=given.attempts)
    return row.model_copy(update={"attempts": given.attempts})


def _lines(error: Exception) -> list[str]:
    return str(error).strip().splitlines() or ["no reason given"]


def _ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise ToolMissing(
            "Ray, on which the jobs should run, is not installed.",
            hint="pip install 'learned-sensing-microscope[cluster]', or take the executor 'processes'",
        ) from error
