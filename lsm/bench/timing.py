"""Times of several programs, measured in turns, so that whatever disturbs the machine disturbs all alike."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Seconds = Float[np.ndarray, " repetition"]


@dataclass(frozen=True)
class Job:
    """Something to be timed: a call of `run` does `units` of work."""

    name: str
    run: Callable[[], object]
    units: int


@dataclass(frozen=True)
class Effort:
    """repetitions: of every job, in turns. least_s: a job is called until it has taken so long, each time."""

    repetitions: int
    least_s: float


def in_turns(jobs: Sequence[Job], effort: Effort) -> dict[str, Seconds]:
    """Seconds per unit of each job, one for each repetition; all jobs run once before the first."""
    calls = {job.name: _calls(job, effort.least_s) for job in jobs}
    taken: dict[str, list[float]] = {job.name: [] for job in jobs}
    for _ in range(effort.repetitions):
        for job in jobs:
            taken[job.name].append(_seconds(job, calls[job.name]) / calls[job.name] / job.units)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def _calls(job: Job, least_s: float) -> int:
    # the first call also fills caches, so that it says little about how long another takes
    once = _seconds(job, 1)
    return 1 if once >= 3 * least_s else max(1, math.ceil(least_s / _seconds(job, 1)))


def _seconds(job: Job, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        job.run()
    return time.perf_counter() - started
