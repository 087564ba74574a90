"""All jobs of an experiment, or the sentence that says which one failed."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lsm.commit import source_commit
from lsm.errors import LsmError
from lsm.experiments.jobs.call import Row
from lsm.experiments.jobs.executor import Job, Progress, Serial
from lsm.experiments.jobs.processes import Processes
from lsm.experiments.jobs.table import JobTable

_HEARD: ContextVar[set[str] | None] = ContextVar("_HEARD", default=None)


@contextmanager
def commits_used() -> Iterator[set[str]]:
    """The commits of all rows that `finish` gives in this context, as they come."""
    heard: set[str] = set()
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        _HEARD.reset(token)


def finish(
    jobs: Sequence[Job], table: Path, *, workers: int, progress: Progress | None
) -> dict[str, Mapping[str, Any]]:
    """The result of every job by its key; what the table holds is not run again.

    workers: processes, or 1 for this one. Where the table holds results of another commit, they are taken, and one
    line on standard error says so. Raises LsmError naming the first job that failed, when all others are done.
    """
    executor = Serial() if workers == 1 else Processes(workers)
    with JobTable(table) as kept:
        before = [kept.rows[job.key] for job in jobs if job.key in kept.rows]
        _tell_others([row for row in before if row.result is not None], table)
        rows = executor.run(jobs, kept, progress)
    results: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row.result is None:
            raise LsmError(f"{row.key}: {row.error}", hint="mend the cause and run again: the rest is kept")
        results[row.key] = row.result
    if (heard := _HEARD.get()) is not None:
        heard.update(row.source for row in rows)
    return results


def _tell_others(rows: Sequence[Row], table: Path) -> None:
    """Say of which other commits rows are; what an earlier table of the same experiment said is not said again."""
    others = Counter(row.source for row in rows if row.source != source_commit())
    if others.keys() - (_HEARD.get() or set()):
        told = ", ".join(f"{number} of {source}" for source, number in sorted(others.items()))
        print(
            f"Warning: {table} holds results of other commits than {source_commit()}: {told}. They are used again; "
            "name another folder to compute all anew.",
            file=sys.stderr,
        )
