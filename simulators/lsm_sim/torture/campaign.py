"""Faults of every class, shared among processes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from lsm.devices import Microscope
from lsm.errors import ConfigError
from lsm.scope import RigConfig
from lsm_sim.torture.bench import Bench
from lsm_sim.torture.deaths import KIND as HOST_KILLED
from lsm_sim.torture.deaths import host_killed
from lsm_sim.torture.devices import DEVICES
from lsm_sim.torture.host import host_trials
from lsm_sim.torture.tally import Outcome, TortureReport, Trial
from lsm_sim.torture.wire import WIRE

BENCH_CLASSES = {**WIRE, **DEVICES}
HOST_CLASSES = (
    "damaged recording",
    "damaged model",
    "damaged checkpoint",
    "damaged tables",
    "configuration: NaN or out of range",
    "process killed at a write",
    "disk full",
)
SHARE = 60
"""Faults that a process does; then another begins, as one that has driven Micro-Manager's core is not to be forked."""

WORKER = "worker process of this campaign"

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class _Share:
    rig: RigConfig
    names: tuple[str, ...]
    seed: tuple[int, int]


def torture(
    rig: RigConfig,
    *,
    faults: int,
    seed: int,
    workers: int = 2,
    requests: int = 0,
    on_step: OnStep = lambda done, of: None,
) -> TortureReport:
    """What came of `faults` faults, each class as often as the others or once less, in random order.

    On a rig that is not simulated only the classes are run that need no microscope. requests: how many fuzzed requests
    are put to the interlock besides. The same seed injects the same faults; what comes of them also depends on time.
    """
    if faults < 1:
        raise ConfigError(f"{faults} faults cannot be injected.", hint="ask for at least one")
    began_s = time.monotonic()
    simulated = rig.simulator is not None and rig.cfg is None
    bench_names = (*BENCH_CLASSES, HOST_KILLED) if simulated else ()
    names = draw((*HOST_CLASSES, *bench_names), faults, np.random.default_rng([seed, 0]))
    size = min(SHARE, -(-faults // workers))
    shares = [
        _Share(rig, tuple(names[start : start + size]), (seed, 1 + start)) for start in range(0, len(names), size)
    ]
    trials: list[Trial] = []
    with _workers(workers) as pool:
        fuzz = pool.submit(_fuzz, requests, seed) if requests else None
        for done in _shared(pool, shares):
            trials += done
            on_step(len(trials), len(names))
        limits = fuzz.result() if fuzz else None
    left_out = dict.fromkeys({*HOST_CLASSES, *bench_names} - set(names), "more faults are needed to reach them")
    if not simulated:
        left_out |= dict.fromkeys((*BENCH_CLASSES, HOST_KILLED), "a simulated rig must know what really happened")
    return TortureReport(
        rig=rig.name,
        seed=seed,
        trials=tuple(sorted(trials, key=lambda trial: (*HOST_CLASSES, *bench_names, WORKER).index(trial.kind))),
        dark_after_death_s=tuple(trial.took_s for trial in trials if trial.kind == HOST_KILLED),
        left_out=dict(sorted(left_out.items())),
        limits=limits,
        minutes=(time.monotonic() - began_s) / 60,
    )


def draw(names: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` names in random order, each as often as the others or once less."""
    rounds = [rng.permutation(len(names)) for _ in range(-(-count // len(names)))]
    return [names[index] for order in rounds for index in order][:count]


def run_trials(
    rig: RigConfig,
    names: Sequence[str],
    seed: Sequence[int],
    *,
    wrap: Callable[[Microscope], Microscope] = lambda scope: scope,
) -> list[Trial]:
    """The trials of these classes, in this process; those first that need a process which drives no devices."""
    rng = np.random.default_rng(list(seed))
    needing = [name for name in names if name in BENCH_CLASSES]
    hosts = host_trials()
    trials = [
        host_killed(rig, rng) if name == HOST_KILLED else hosts[name](rng)
        for name in names
        if name not in BENCH_CLASSES
    ]
    if needing:
        with Bench(rig, rng, wrap=wrap) as bench:
            trials += [BENCH_CLASSES[name](bench) for name in needing]
    return trials


def _workers(count: int) -> ProcessPoolExecutor:
    """Processes that begin in milliseconds: all are forked from one that has imported everything and done nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(
        count, mp_context=context, initializer=torch.set_num_threads, initargs=(1,), max_tasks_per_child=1
    )


def _shared(pool: ProcessPoolExecutor, shares: Sequence[_Share]) -> Iterator[list[Trial]]:
    for job in as_completed([pool.submit(_run_share, share) for share in shares]):
        try:
            yield job.result()
        except BrokenProcessPool as error:
            yield [Trial(WORKER, Outcome.CRASHED, 0.0, 0.0, note=str(error))]


def _run_share(share: _Share) -> list[Trial]:
    return run_trials(share.rig, share.names, share.seed)


def _fuzz(requests: int, seed: int) -> dict[str, Any]:
    from lsm_sim.limit_fuzz import fuzz_limits

    return asdict(fuzz_limits(requests, seed))
