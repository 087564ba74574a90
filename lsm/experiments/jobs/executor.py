"""Jobs, and the one calling contract of everything that runs them."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from lsm.errors import InputError
from lsm.experiments.jobs.call import Call, Function, Row, attempt, canonical
from lsm.experiments.jobs.table import JobTable


@dataclass(frozen=True)
class Job:
    """A function of a module and the arguments it is called with.

    key: names the job in its table. function: is called with one dict and returns one; what is large it writes to
    files itself, in a way that a second attempt may repeat. arguments: plain values that JSON holds.
    places: names of the arguments that are folders; a table of results is good wherever they lie.
    Raises InputError for a function without a name, arguments that JSON does not hold, or a place that is none of them.
    """

    key: str
    function: Function
    arguments: Mapping[str, Any]
    places: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.key:
            raise InputError("A job has an empty key.", hint="the key names the job in its table")
        module, name = (getattr(self.function, part, "") for part in ("__module__", "__qualname__"))
        if getattr(sys.modules.get(module), name, None) is not self.function:
            raise InputError(
                f"The function of the job '{self.key}' is not one of a module: {self.function!r}.",
                hint="other processes find functions by name: define it at the top of a module",
            )
        unknown = set(self.places) - set(self.arguments)
        if unknown:
            raise InputError(
                f"The job '{self.key}' has no argument '{min(unknown)}'.", hint="places are names of its arguments"
            )
        self.call()

    def call(self) -> Call:
        """The job as it travels."""
        name = f"{self.function.__module__}:{self.function.__qualname__}"
        try:
            text = canonical(self.arguments)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The arguments of the job '{self.key}' are not plain JSON: {error}.",
                hint="give numbers, words, lists and tables; name files by their path",
            ) from error
        return Call(self.key, name, text, self.places)


@runtime_checkable
class Step(Protocol):
    """A stage of work with a known number of steps."""

    def advance(self) -> None:
        """One step is done."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Hears how far the jobs are; any lsm.sensing.progress.Reporter is one."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Step]:
        """A stage of `total` steps, used as a context manager."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs jobs and keeps their rows."""

    def run(self, jobs: Sequence[Job], table: JobTable, progress: Progress | None = None) -> list[Row]:
        """The row of every job, in order; returns when each is in the table, failed ones with their error.

        Runs only what has no result in the table. A job counts once, however many workers died over it. When the
        call is interrupted, the rows of finished jobs are in the table and no worker is left.
        Raises InputError where two jobs share a key, ModelMismatch where the table has other arguments for one,
        RecordError where the table cannot be written.
        """
        ...


class Serial:
    """Runs jobs one after the other in this process."""

    def run(self, jobs: Sequence[Job], table: JobTable, progress: Progress | None = None) -> list[Row]:
        return collect(jobs, table, progress, lambda calls: (attempt(call) for call in calls))


def collect(
    jobs: Sequence[Job],
    table: JobTable,
    progress: Progress | None,
    work: Callable[[Sequence[Call]], Iterator[Row]],
) -> list[Row]:
    """The row of every job, once `work` has given those that the table lacks; each is kept as soon as it comes."""
    calls = [job.call() for job in jobs]
    if len({call.key for call in calls}) < len(calls):
        keys = [call.key for call in calls]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"Two jobs have the key '{twice}'.", hint="give each its own")
    missing = table.missing(calls)
    if missing:
        stage = progress.stage("Jobs", len(missing)) if progress else nullcontext()
        # an interruption between two rows must end the workers now, not when the generator is collected
        with stage as steps, closing(work(missing)) as rows:  # type: ignore[type-var]
            for row in rows:
                table.add(row)
                if steps is not None:
                    steps.advance()
    return [table.rows[call.key] for call in calls]
