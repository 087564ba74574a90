"""Policies that nobody trained: what the learned one has to beat."""

import torch

from lsm.agent.policy import Allowed, Choice, Memory, Observation
from lsm.agent.rules import SearchRules
from lsm.errors import ConfigError


class FixedScan:
    """The serpentine from the first field, the same patterns at every field, until the budget is used up."""

    def __init__(self, rules: SearchRules, patterns: tuple[int, ...], *, name: str = "") -> None:
        if not patterns or not set(patterns) <= set(range(rules.n_patterns)):
            raise ConfigError(
                f"A fixed scan with the patterns {patterns} is impossible.",
                hint=f"name at least one pattern from 0 to {rules.n_patterns - 1}",
            )
        self.name = name or f"fixed scan {'+'.join(map(str, patterns))}"
        order = [*patterns, rules.jump, rules.stop]
        self._preference = torch.full((rules.n_actions,), -1.0)
        self._preference[order] = torch.arange(len(order), 0, -1.0)

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 0)

    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        action = torch.where(allowed, self._preference, -2.0).argmax(1)
        certain = torch.nn.functional.one_hot(action, allowed.shape[1]).float()
        return Choice(action, certain, torch.zeros(len(allowed)), memory)


class RandomSearch:
    """Every allowed action alike, except that it only stops when nothing else is left."""

    name = "random"

    def __init__(self, rules: SearchRules, generator: torch.Generator) -> None:
        self._stop, self._generator = rules.stop, generator

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 0)

    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        weights = allowed.float()
        weights[:, self._stop] = (weights.sum(1) == 1).float()
        probabilities = weights / weights.sum(1, keepdim=True)
        action = torch.multinomial(probabilities, 1, generator=self._generator)[:, 0]
        return Choice(action, probabilities, torch.zeros(len(allowed)), memory)
