"""All jobs of an experiment, or the sentence that says which one failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsm.errors import LsmError
from lsm.experiments.jobs.executor import Job, Progress, Serial
from lsm.experiments.jobs.processes import Processes
from lsm.experiments.jobs.table import JobTable


def finish(
    jobs: Sequence[Job], table: Path, *, workers: int, progress: Progress | None
) -> dict[str, Mapping[str, Any]]:
    """The result of every job by its key; what the table holds is not run again.

    workers: processes, or 1 for this one. Raises LsmError naming the first job that failed, when all others are done.
    """
    executor = Serial() if workers == 1 else Processes(workers)
    with JobTable(table) as kept:
        rows = executor.run(jobs, kept, progress)
    results: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row.result is None:
            raise LsmError(f"{row.key}: {row.error}", hint="mend the cause and run again: the rest is kept")
        results[row.key] = row.result
    return results
