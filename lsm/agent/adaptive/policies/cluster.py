"""Rollouts in parts on the machines of a Ray cluster."""

import itertools
import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final

import torch

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig
from lsm.agent.adaptive.policies.rollouts import Collected, Here, Part, Weights
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.cluster import ONE_THREAD, connect, lines, ray_module
from lsm.errors import InputError

ATTEMPTS: Final = 3
"""How often a part is begun anew where its worker or machine died."""
STORE_BYTES: Final = 500_000_000
"""For the cells, which every worker on a machine reads from one place, and for episodes on their way."""


class OnCluster:
    """A Collector on a Ray cluster, one worker to a core; the world travels once, weights with every rollout.

    address: "host:port", where lsm is installed on every machine; without one a cluster of `workers` cores is started
    here. A connection that the program already has is used and kept. Parts whose worker or machine died are collected
    by another, and come out the same. Closing lets go of all workers. workers: Ray's actors.
    Raises ToolMissing without Ray, InputError where no cluster answers.
    """

    def __init__(self, world: AdaptiveWorld, *, workers: int, address: str | None = None) -> None:
        if workers < 1:
            raise InputError(f"{workers} workers collect nothing.", hint="give at least 1")
        self._ray = ray_module()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            connect(self._ray, address, workers=workers, store_bytes=STORE_BYTES)
        remote = self._ray.remote(_Worker).options(
            num_cpus=1, max_restarts=ATTEMPTS, max_task_retries=ATTEMPTS, scheduling_strategy="SPREAD"
        )
        if not self._ours:
            remote = remote.options(runtime_env={"env_vars": ONE_THREAD})
        # held as long as workers are: one that begins anew needs it again
        self._world = self._ray.put(world)
        self.workers = [remote.remote(self._world) for _ in range(workers)]

    def collect(self, network: CellNetwork, parts: Sequence[Part]) -> list[Collected]:
        """Raises InputError where workers were lost too often, or failed."""
        weights = self._ray.put({name: value.detach().cpu() for name, value in network.state_dict().items()})
        turns = zip(parts, itertools.cycle(self.workers), strict=False)
        running = [worker.collect.remote(network.config, weights, part) for part, worker in turns]
        try:
            made: list[Collected] = self._ray.get(running)
        except self._ray.exceptions.RayTaskError as error:
            raise InputError(
                f"A worker of the cluster could not collect episodes: {lines(error)[-1]}",
                hint="install the same version of lsm on every machine",
            ) from error
        except self._ray.exceptions.RayError as error:
            raise InputError(
                f"The cluster lost a part of a rollout: {lines(error)[-1]}",
                hint="go on from the checkpoint with machines that stay",
            ) from error
        return made

    def close(self) -> None:
        """Let go of the workers, and of a cluster that was started here."""
        for worker in self.workers:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(worker)
        if self._ours:
            self._ray.shutdown()

    def __enter__(self) -> "OnCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    def __init__(self, world: AdaptiveWorld) -> None:
        torch.set_num_threads(1)
        self._here = Here(BatchAdaptiveEnv(world))

    def collect(self, config: CellNetworkConfig, weights: Weights, part: Part) -> Collected:
        network = CellNetwork(self._here.env.world, config)
        network.load_state_dict(dict(weights))
        return self._here.collect(network.eval(), [part])[0]

    def process(self) -> int:
        """Number of its process."""
        return os.getpid()
