"""Jobs on a Ray cluster, one of this machine or one that is there."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lsm.cluster import ONE_THREAD, connect, lines, ray_module
from lsm.errors import InputError
from lsm.experiments.jobs.call import Call, Row, attempt, lost
from lsm.experiments.jobs.executor import Job, Progress, collect
from lsm.experiments.jobs.table import JobTable


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
        ray = ray_module()
        ours = not ray.is_initialized()
        running: dict[Any, _Given] = {}
        try:
            if ours:
                connect(ray, self.address, workers=self.workers)
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


def _row(ray: Any, reference: Any, given: _Given, *, last: bool) -> Row | None:
    """The row of a task that is over; None where its worker died and the job may have another."""
    try:
        row: Row = ray.get(reference)
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.RayTaskError):
            # the job's own errors are rows; this is a worker without lsm, or with another one
            reason = f"The worker could not begin: {lines(error)[-1]}"
        elif last:
            reason = f"The worker was lost {given.attempts} times: {type(error).__name__}: {lines(error)[0]}"
        else:
            return None
        seconds = time.monotonic() - given.since
        return lost(given.call, reason, seconds=seconds, pid=os.getpid(), attempts=given.attempts)
    return row.model_copy(update={"attempts": given.attempts})
