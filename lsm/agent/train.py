"""Training a search policy on slide tables, and what it is worth against policies that nobody trained."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from lsm.agent.baselines import FixedScan, RandomSearch
from lsm.agent.evaluate import Outcome, Score, Trial, best_fixed_set, score, try_policy
from lsm.agent.policy import Policy, TrainedPolicy
from lsm.agent.ppo import Ppo, PpoConfig, Progress
from lsm.agent.rules import SearchConfig
from lsm.agent.table_build import TableConfig
from lsm.config import Config
from lsm.errors import ConfigError
from lsm.sensing.clock import Clock


class TrainPolicyConfig(Config):
    """Everything that determines a policy but the model it works with.

    train, held_out: slides to learn from and slides to judge by.
    checkpoint_every: updates between checkpoints.
    """

    seed: int = 0
    search: SearchConfig = SearchConfig()
    train: TableConfig = TableConfig(slides=10)
    held_out: TableConfig = TableConfig(slides=8)
    ppo: PpoConfig = PpoConfig()
    checkpoint_every: Annotated[int, Ge(1)] = 20


@dataclass(frozen=True)
class TrainedSearch:
    """A trained policy's tensors and the scores on held-out slides, the trained policy's first.

    Every other score's gain is against the trained policy, so negative means that the trained one is better.
    """

    tensors: dict[str, Tensor]
    scores: tuple[Score, ...]
    steps: int
    config: TrainPolicyConfig = field(default_factory=TrainPolicyConfig)

    def figures(self) -> dict[str, Any]:
        """The held-out figures as a JSON object, for a model's card."""
        return {
            "policy_config": self.config.digest(),
            "steps": self.steps,
            "held_out": [one.plain() for one in self.scores],
        }


def run_train_policy(
    config: TrainPolicyConfig,
    train: Trial,
    held_out: Trial,
    *,
    bright_field: Trial | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: Path | None = None,
    clock: Clock | None = None,
) -> TrainedSearch:
    """Learn on the slides of `train`, judge on those of `held_out`.

    bright_field: the held-out slides as the reader sees them that was trained on bright field alone, with
    its own calibration and one-pattern rules; without it the common reader scans in bright field.
    checkpoint: file to save to, and to go on from where it exists. clock: told of the time before it.
    Raises ConfigError when slides of both are the same.
    """
    if train.tables.digest == held_out.tables.digest:
        raise ConfigError("Training and held-out slides are the same.", hint="give slides of another split")
    ppo = Ppo(train.env(), config.ppo, seed=config.seed, clock=clock)
    if checkpoint is not None and checkpoint.is_file():
        ppo.load(checkpoint)
    while ppo.update < config.ppo.updates:
        report = ppo.train_once()
        if progress is not None:
            progress(report)
        if checkpoint is not None and (ppo.update % config.checkpoint_every == 0 or ppo.update == config.ppo.updates):
            ppo.save(checkpoint)
    tensors = {key: value.detach().clone() for key, value in ppo.network.state_dict().items()}
    scores = judge_policies(TrainedPolicy(ppo.network), train, held_out, bright_field, seed=config.seed)
    return TrainedSearch(tensors, scores, ppo.steps, config)


def judge_policies(
    trained: Policy, train: Trial, held_out: Trial, bright_field: Trial | None, *, seed: int
) -> tuple[Score, ...]:
    """Scores of the trained policy and of the baselines on held-out slides, at the same budget of captures."""
    ours = try_policy(trained, held_out)
    outcomes = [try_policy(policy, held_out) for policy in _baselines(train, seed)]
    bright = bright_field or held_out
    outcomes.insert(0, try_policy(FixedScan(bright.rules, (0,), name="fixed scan, bright field"), bright))
    return (score(ours, seed=seed), *(_against(outcome, ours, seed) for outcome in outcomes))


def _against(outcome: Outcome, reference: Outcome, seed: int) -> Score:
    return score(outcome, reference, seed=seed)


def _baselines(train: Trial, seed: int) -> list[Policy]:
    rules = train.rules
    learned = list(range(1, rules.n_patterns)) or [0]
    sets = [chosen for n in range(1, rules.n_patterns + 1) for chosen in combinations(range(rules.n_patterns), n)]
    best = best_fixed_set(train, [(pattern,) for pattern in learned])
    best_set = best_fixed_set(train, sets)
    return [
        FixedScan(rules, best, name=f"fixed scan, best learned pattern ({best[0]})"),
        FixedScan(rules, best_set, name=f"fixed scan, best set ({'+'.join(map(str, best_set))})"),
        FixedScan(rules, tuple(range(rules.n_patterns)), name="fixed scan, all patterns"),
        RandomSearch(rules, torch.Generator().manual_seed(seed)),
    ]
