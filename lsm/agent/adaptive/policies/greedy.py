"""Greedy information gain: take the pattern that is expected to say most about the cell for its price."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, View
from lsm.agent.adaptive.policies.fixed import evidence_bin
from lsm.agent.adaptive.policies.protocol import (
    Choice,
    Memory,
    best_declaration,
    capture_prices,
    certain,
    evidence_nats,
    settled,
)
from lsm.agent.adaptive.reader import ODDS_LIMIT
from lsm.agent.adaptive.rules import AdaptiveRules
from lsm.errors import ConfigError

STEPS_PER_NAT: Final = 8
"""Of the belief, at which the gain is tabled."""

BINS: Final = 32
WIDTH_NATS: Final = 0.25
PSEUDO_COUNT: Final = 0.5
"""Added to every bin, so that none is impossible (Jeffreys)."""


@dataclass(frozen=True, eq=False)
class EvidenceModel:
    """How likely each evidence of a first capture is [pattern, kind of cell: healthy, infected; bin of WIDTH_NATS]."""

    likelihood: Float[Tensor, "pattern 2 bin"]

    def gains(self, log_odds: Float[Tensor, " belief"]) -> Float[Tensor, "belief pattern"]:
        """Expected loss of entropy by one capture with each pattern, at each belief, nats.

        The mutual information of kind and bin, with the histograms as the truth about both.
        """
        infected = torch.sigmoid(log_odds.double())
        weights = torch.stack([1 - infected, infected], 1)
        joint = weights[:, None, :, None] * self.likelihood
        after = _entropy(joint).sum((2, 3)) - _entropy(joint.sum(2)).sum(2)
        return (_entropy(weights).sum(1, keepdim=True) - after).clamp_min(0)


def fit_evidence(env: BatchAdaptiveEnv, rows: Int[Tensor, " row"], *, repeats: int = 4, seed: int = 0) -> EvidenceModel:
    """Histograms of what a first capture says, from these cells (training ones), each `repeats` times.

    Raises ConfigError where weights are free.
    """
    if env.rules.free:
        raise ConfigError("Free weights have no patterns to compare.", hint="use a book of lights")
    cells = rows.repeat(repeats)
    tables = []
    for pattern in range(env.rules.n_patterns):
        env.reset(len(cells), seed, rows=cells)
        view = env.step(torch.full((len(cells),), pattern)).view
        place = evidence_bin(evidence_nats(view.belief, env.rules), WIDTH_NATS, BINS)
        counts = [torch.bincount(place[env.infected == ill], minlength=BINS).double() for ill in (False, True)]
        tables.append(torch.stack(counts) + PSEUDO_COUNT)
    table = torch.stack(tables)
    return EvidenceModel((table / table.sum(2, keepdim=True)).cpu())


class GreedyInformation:
    """The pattern with the largest expected loss of entropy per price; stops where none is worth `least`.

    least: nats per unit of cost (one missed infection), or per capture where captures are free.
    captures: at most so many. It takes captures as independent, as the default reader does, and looks one ahead:
    a pattern that only tells which pattern to use next has no value for it.
    """

    def __init__(
        self, rules: AdaptiveRules, model: EvidenceModel, *, least: float, captures: int | None = None
    ) -> None:
        if len(model.likelihood) != rules.n_patterns:
            raise ConfigError(
                f"A model of {len(model.likelihood)} patterns does not fit {rules.n_patterns}.",
                hint="fit it in this environment",
            )
        self.name = f"greedy information (at least {least:g})"
        self._rules, self._least = rules, least
        self._captures = rules.budget.captures if captures is None else captures
        odds = torch.arange(-ODDS_LIMIT * STEPS_PER_NAT, ODDS_LIMIT * STEPS_PER_NAT + 1) / STEPS_PER_NAT
        self._worth = model.gains(odds) / capture_prices(rules)

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 1)

    def act(self, view: View, memory: Memory) -> Choice:
        memory = memory.to(view.facts.device)
        odds = (torch.logit(view.belief.double()) * STEPS_PER_NAT).round().long()
        limit = ODDS_LIMIT * STEPS_PER_NAT
        worth = self._worth.to(odds.device)[odds.clamp(-limit, limit) + limit]
        worth = worth.masked_fill(~view.allowed[:, : self._rules.n_patterns], -1.0)
        best, pattern = worth.max(1)
        stop = (best < self._least) | (memory[:, 0] >= self._captures)
        kind = settled(pattern, stop, best_declaration(view.belief, self._rules), view)
        return certain(kind, view, memory + 1)


def _entropy(probability: Tensor) -> Tensor:
    return -torch.xlogy(probability, probability)
