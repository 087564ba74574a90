"""What no policy can do: an oracle that sees the truth and the cell, for a bound on what a choice of light can win."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, View
from lsm.agent.adaptive.policies.fixed import Thresholds
from lsm.agent.adaptive.policies.protocol import (
    Choice,
    Memory,
    best_declaration,
    certain,
    evidence_nats,
    settled,
)
from lsm.errors import ConfigError


class OracleBound:
    """A bound, not a policy: the next pattern that moves the belief furthest towards the truth, per cell.

    It reads the truth and tries every allowed pattern on the cell before it chooses, so it belongs into an
    experiment only as the bound that no policy exceeds. What it declares follows from the belief alone.
    env: the environment in which it acts, and no other. noise: whether it also knows the noise of the coming frame;
    without, it knows the mean of `draws` other frames of the same cell. captures: at most so many. thresholds: it
    also stops where the evidence crosses them.
    It looks one capture ahead. With a reader that adds evidence, and with the noise known, that is the best order
    of captures as far as their noise depends on the pattern and not on the place in the order.
    """

    def __init__(
        self,
        env: BatchAdaptiveEnv,
        captures: int,
        *,
        noise: bool = False,
        draws: int = 4,
        thresholds: Thresholds | None = None,
    ) -> None:
        if env.rules.free:
            raise ConfigError("Free weights have no patterns to try.", hint="use a book of lights")
        known = "cell and noise" if noise else "cell"
        self.name = f"oracle bound ({known} known), {captures} captures"
        self._env, self._captures, self._thresholds = env, captures, thresholds
        self._noise, self._draws = noise, draws

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 1)

    def act(self, view: View, memory: Memory) -> Choice:
        rules = self._env.rules
        memory = memory.to(view.facts.device)
        towards = self._odds_of_truth().masked_fill(~view.allowed[:, : rules.n_patterns], -torch.inf)
        stop = memory[:, 0] >= self._captures
        if self._thresholds is not None:
            evidence = evidence_nats(view.belief, rules)
            stop |= (evidence <= self._thresholds.low) | (evidence >= self._thresholds.high)
        kind = settled(towards.argmax(1), stop, best_declaration(view.belief, rules), view)
        return certain(kind, view, memory + 1)

    def _odds_of_truth(self) -> Float[Tensor, "episode pattern"]:
        """Log-odds of the truth after a capture with each pattern."""
        env = self._env
        sign = env.infected.double() * 2 - 1
        columns = []
        for pattern in range(env.rules.n_patterns):
            if self._noise:
                belief = _next_belief(env, pattern)
            else:
                belief = sum((_next_belief(other, pattern) for other in self._others()), torch.zeros_like(sign))
            columns.append(sign * belief)
        return torch.stack(columns, 1)

    def _others(self) -> list[BatchAdaptiveEnv]:
        """The same cells in the same state, with the noise of other episodes."""
        env = self._env
        found = []
        for draw in range(self._draws):
            other = BatchAdaptiveEnv(env.world)
            # seeds of places are at most 2^62, so that these are no place's
            other.reset(len(env.row), (1 << 62) + draw * len(env.row), rows=env.row, budgets=env.state.budgets)
            other.state, other.truncated = env.state, env.truncated
            found.append(other)
        return found


def _next_belief(env: BatchAdaptiveEnv, pattern: int) -> Float[Tensor, " episode"]:
    """Log-odds of infection after one more capture; the environment stays as it is."""
    # a step puts new tensors in place of the old ones, so that a shallow copy can be stepped alone
    ahead = copy.copy(env)
    view = ahead.step(torch.full((len(env.row),), pattern, device=env.row.device)).view
    return torch.logit(view.belief)
