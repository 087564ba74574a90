"""Jobs in several processes of this machine, each with one thread."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from lsm.cluster import ONE_THREAD
from lsm.errors import InputError
from lsm.experiments.jobs.call import Call, Row, attempt, lost
from lsm.experiments.jobs.executor import Job, Progress, collect
from lsm.experiments.jobs.table import JobTable

ATTEMPTS = 2
_PATIENCE_S = 5.0
"""A worker that was asked to end has this long before it is killed."""


class Processes:
    """Runs jobs in `workers` fresh processes; a job whose worker dies gets one more. Raises InputError below 1."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"The number of workers is {workers}; it must be at least 1.", hint="one per core")
        self.workers = workers

    def run(self, jobs: Sequence[Job], table: JobTable, progress: Progress | None = None) -> list[Row]:
        return collect(jobs, table, progress, self._rows)

    def _rows(self, calls: Sequence[Call]) -> Iterator[Row]:
        waiting = deque((call, 1) for call in calls)
        crew: list[_Worker] = []
        try:
            while waiting or crew:
                while waiting and len(crew) < self.workers:
                    worker = _Worker()
                    crew.append(worker)
                    worker.give(*waiting.popleft())
                for worker in _ready(crew):
                    row = worker.take()
                    if row is None:
                        crew.remove(worker)
                        reason = worker.end()
                        if worker.attempts < ATTEMPTS:
                            waiting.appendleft((worker.call, worker.attempts + 1))
                        else:
                            yield worker.lost(reason)
                    elif waiting:
                        worker.give(*waiting.popleft())
                        yield row
                    else:
                        yield row
                        crew.remove(worker)
                        worker.end()
        finally:
            _end_all(crew)


class _Worker:
    """A process that takes one job at a time, and the job it has."""

    def __init__(self) -> None:
        here, there = multiprocessing.Pipe()
        self._connection = here
        self._process = SpawnProcess(target=serve, args=(there,), name="lsm job worker")
        with _quiet_start():
            self._process.start()
        there.close()
        self.call = Call("", "", "")
        self.attempts = 0
        self._since = 0.0

    @property
    def signs(self) -> list[Connection | int]:
        """What becomes ready when the worker has answered or died."""
        return [self._connection, self._process.sentinel]

    def give(self, call: Call, attempts: int) -> None:
        self.call, self.attempts, self._since = call, attempts, time.monotonic()
        try:
            self._connection.send(call)
        except OSError:
            return  # it died meanwhile: `signs` tell

    def take(self) -> Row | None:
        """The row of the job; None where the worker died over it."""
        try:
            # what it sent before it died counts: the job was done
            row: Row | None = self._connection.recv() if self._connection.poll() else None
        except (EOFError, OSError):
            return None
        return row.model_copy(update={"attempts": self.attempts}) if row else None

    def lost(self, reason: str) -> Row:
        seconds = time.monotonic() - self._since
        pid = self._process.pid or 0
        return lost(self.call, reason, seconds=seconds, pid=pid, attempts=self.attempts)

    def ask_to_end(self) -> None:
        self._connection.close()
        self._process.terminate()

    def end(self) -> str:
        """How the process ended, after it has."""
        self._connection.close()
        # a dead one is only waited for; an idle one ends by itself with its pipe
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        return f"The worker ended {how} before the job was done."


def _ready(crew: Sequence[_Worker]) -> list[_Worker]:
    """Workers that answered or died; waits for the first."""
    ready = set(wait([sign for worker in crew for sign in worker.signs]))
    return [worker for worker in crew if ready.intersection(worker.signs)]


def _end_all(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        worker.ask_to_end()
    for worker in crew:
        worker.end()


@contextmanager
def _quiet_start() -> Iterator[None]:
    """What is started in here has one thread, and hears no Ctrl-C: that goes to every process of a terminal."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    deaf = hasattr(signal, "pthread_sigmask")
    if deaf:
        resource_tracker.ensure_running()  # starting it later would lift the mask
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if deaf:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def serve(connection: Connection) -> None:
    """Answer each call with its row until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            connection.send(attempt(connection.recv()))
        except (EOFError, OSError):
            return


def _end_with_parent() -> None:
    """A program that is killed cannot stop its workers; they see it go."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
