"""The learned search, one training for each seed, each kept in a file of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsm.agent import Ppo, TrainedPolicy
from lsm.agent.find_first import FieldScorer, FilmTables, FindFirstEnv, draw_films
from lsm.commit import source_commit
from lsm.config import Config
from lsm.experiments.find_first.config import FindFirstConfig
from lsm.experiments.jobs import Job, finish
from lsm.sensing.progress import Reporter
from lsm.tensorfile import read_tensors, write_tensors

LEARN_STREAM = 1
"""Random stream of the films that are learned on; those that are judged on have another."""


class LearnJob(Config):
    """One training."""

    config: FindFirstConfig
    seed: int
    cache: Path


def learn_all(
    config: FindFirstConfig, cache: Path, *, workers: int, progress: Reporter
) -> tuple[list[TrainedPolicy], list[Mapping[str, Any]]]:
    """The search of every seed, and what its training took; what `cache` holds is not trained again."""
    apart = config.model_copy(update={"seeds": 1, "films": 1, "imagined": 1})
    jobs = [
        Job(
            f"seed {seed} / {apart.digest()}",
            learn,
            LearnJob(config=apart, seed=seed, cache=cache.resolve()).model_dump(mode="json"),
            ("cache",),
        )
        for seed in range(config.seed, config.seed + config.seeds)
    ]
    rows = finish(jobs, cache / "table.jsonl", workers=workers, progress=progress)
    told = [rows[job.key] for job in jobs]
    return [_load(cache / row["file"], config) for row in told], told


def learn(arguments: dict[str, Any]) -> dict[str, Any]:
    """The work of one LearnJob: the file of the weights and how the training ended."""
    job = LearnJob.from_table(arguments, source="a job of find_first")
    torch.set_num_threads(1)
    config, learning = job.config, job.config.learning
    rng = np.random.default_rng([config.seed, LEARN_STREAM])
    pool = FilmTables.join([draw_films(film, config.rates, learning.films, rng) for film in config.believed()])
    budget = min(learning.field_budget, config.rules.field_budget)
    env = FindFirstEnv(pool, config.rules.model_copy(update={"field_budget": budget}), in_vain=True)
    network = FieldScorer(learning.width, torch.Generator().manual_seed(job.seed))
    ppo = Ppo(env, learning.ppo, seed=job.seed, network=network)
    first = last = ppo.train_once()
    while ppo.update < learning.ppo.updates:
        last = ppo.train_once()
    name = f"{config.digest()}-{job.seed}.safetensors"
    write_tensors(job.cache / name, dict(ppo.network.state_dict()), {"config": config.digest()})
    return {
        "file": name,
        "steps": ppo.steps,
        "fields_first": round(-first.reward / config.rules.reward_per_field, 3),
        "fields_last": round(-last.reward / config.rules.reward_per_field, 3),
        "commit": source_commit(),
    }


def _load(path: Path, config: FindFirstConfig) -> TrainedPolicy:
    _, tensors = read_tensors(path, hint="remove the table beside it and run again", what="learned search")
    network = FieldScorer(config.learning.width)
    network.load_state_dict(dict(tensors))
    return TrainedPolicy(network, name="learned")
