"""Policies that choose their light without looking: at random, one pattern, a sequence, a sequence with a test.

All declare what costs least under the shared reader's belief, unless said otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.adaptive.batch import View
from lsm.agent.adaptive.policies.protocol import (
    Choice,
    Kinds,
    Memory,
    best_declaration,
    certain,
    evidence_nats,
    settled,
)
from lsm.agent.adaptive.rules import HEALTHY, INFECTED, AdaptiveRules
from lsm.errors import ConfigError


@dataclass(frozen=True)
class Thresholds:
    """Evidence in nats at which a test stops: at `low` or below it declares healthy, at `high` or above infected."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < 0 < self.high:
            raise ConfigError(
                f"Thresholds of {self.low:g} and {self.high:g} nats stop before anything was seen.",
                hint="give one below and one above 0",
            )

    @classmethod
    def wald(cls, *, false_alarms: float, misses: float) -> "Thresholds":
        """Thresholds of the sequential probability ratio test (Wald, Ann. Math. Stat. 16, 117, 1945, eq. 3.30).

        With independent captures and true likelihoods, the share of healthy cells that are called infected is at
        most false_alarms / (1 - misses), and of infected ones called healthy at most misses / (1 - false_alarms).
        Raises ConfigError unless both are positive and sum to less than 1.
        """
        if not (false_alarms > 0 and misses > 0 and false_alarms + misses < 1):
            raise ConfigError(
                f"A test with {false_alarms:g} false alarms and {misses:g} misses is impossible.",
                hint="give shares above 0 that sum to less than 1",
            )
        return cls(math.log(misses / (1 - false_alarms)), math.log((1 - misses) / false_alarms))


class RandomLight:
    """Any allowed pattern alike, `captures` times or until the budget is used up."""

    def __init__(self, rules: AdaptiveRules, captures: int, generator: torch.Generator) -> None:
        _check_patterns(rules, range(rules.n_patterns), captures)
        self.name = f"random, {captures} captures"
        self._rules, self._captures, self._generator = rules, captures, generator

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 1)

    def act(self, view: View, memory: Memory) -> Choice:
        memory = memory.to(view.facts.device)
        weights = view.allowed[:, : self._rules.n_patterns].float()
        stop = (memory[:, 0] >= self._captures) | ~weights.bool().any(1)
        # where nothing may be captured any pattern is drawn, and not used
        drawn = torch.multinomial(weights + stop[:, None], 1, generator=self._generator)[:, 0]
        declaration = best_declaration(view.belief, self._rules)
        kind = settled(drawn, stop, declaration, view)
        share = weights / weights.sum(1, keepdim=True).clamp_min(1)
        ending = torch.nn.functional.one_hot(declaration, view.allowed.shape[1]).float()
        looking = torch.nn.functional.pad(share, (0, view.allowed.shape[1] - share.shape[1]))
        probabilities = torch.where((kind >= self._rules.n_patterns)[:, None], ending, looking)
        return Choice(kind, probabilities, torch.zeros(len(kind), device=kind.device), memory + 1)


class FixedSequence:
    """The same patterns in the same order at every cell; one pattern once is the fixed single pattern."""

    def __init__(self, rules: AdaptiveRules, patterns: Sequence[int], *, name: str = "") -> None:
        _check_patterns(rules, patterns, len(patterns))
        self.name = name or f"fixed {'-'.join(map(str, patterns))}"
        self.patterns = tuple(patterns)
        self._rules = rules
        self._order = torch.tensor(self.patterns)

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 1)

    def act(self, view: View, memory: Memory) -> Choice:
        memory = memory.to(view.facts.device)
        position = memory[:, 0].long()
        capture = self._order.to(position.device)[position.clamp_max(len(self.patterns) - 1)]
        crossed, declaration = self._end(view, position)
        stop = crossed | (position >= len(self.patterns))
        return certain(settled(capture, stop, declaration, view), view, memory + 1)

    def _end(self, view: View, position: Kinds) -> tuple[Bool[Tensor, " episode"], Kinds]:
        """Whether to stop early, and what to declare if the policy stops."""
        return torch.zeros_like(position, dtype=torch.bool), best_declaration(view.belief, self._rules)


class SequentialTest(FixedSequence):
    """A sequence that stops as soon as the reader's evidence crosses a threshold, and declares by which it was.

    A single pattern repeated is the sequential probability ratio test. Without a crossing until the end of the
    sequence it declares what costs least.
    """

    def __init__(
        self, rules: AdaptiveRules, patterns: Sequence[int], thresholds: Thresholds, *, name: str = ""
    ) -> None:
        limits = f"{thresholds.low:+.2f} {thresholds.high:+.2f}"
        super().__init__(rules, patterns, name=name or f"test {'-'.join(map(str, patterns))} ({limits} nats)")
        self.thresholds = thresholds

    def _end(self, view: View, position: Kinds) -> tuple[Bool[Tensor, " episode"], Kinds]:
        evidence = evidence_nats(view.belief, self._rules)
        high, low = evidence >= self.thresholds.high, evidence <= self.thresholds.low
        declaration = best_declaration(view.belief, self._rules)
        declaration = torch.where(high, self._rules.first_declaration + INFECTED, declaration)
        return high | low, torch.where(low, self._rules.first_declaration + HEALTHY, declaration)


class AdaptiveStop(FixedSequence):
    """A sequence with a table that says after each capture, for each bin of evidence, to go on or what to declare.

    decisions: -1 to go on, else an index into DECLARATIONS [captures so far, bin]; made by `fit_stops`.
    width_nats: of a bin; the middle bins meet at no evidence.
    """

    def __init__(
        self,
        rules: AdaptiveRules,
        patterns: Sequence[int],
        decisions: Int[Tensor, "captures bin"],
        width_nats: float,
        *,
        name: str = "",
    ) -> None:
        super().__init__(rules, patterns, name=name or f"stop on {'-'.join(map(str, patterns))}")
        self._decisions, self._width_nats = decisions, width_nats

    def _end(self, view: View, position: Kinds) -> tuple[Bool[Tensor, " episode"], Kinds]:
        table = self._decisions.to(position.device)
        place = evidence_bin(evidence_nats(view.belief, self._rules), self._width_nats, table.shape[1])
        found = table[position.clamp_max(len(table) - 1), place]
        declaration = best_declaration(view.belief, self._rules)
        return found >= 0, torch.where(found >= 0, self._rules.first_declaration + found, declaration)


def evidence_bin(evidence: Float[Tensor, " episode"], width_nats: float, bins: int) -> Kinds:
    """The bin of each evidence, of `bins` bins around 0; what lies outside is in the first or last."""
    return ((evidence / width_nats).floor().long() + bins // 2).clamp(0, bins - 1)


def _check_patterns(rules: AdaptiveRules, patterns: Sequence[int], captures: int) -> None:
    if rules.free or captures < 1 or not patterns or not set(patterns) <= set(range(rules.n_patterns)):
        raise ConfigError(
            f"{captures} captures with the patterns {tuple(patterns)} are impossible.",
            hint=f"give at least one capture, with patterns from 0 to {rules.n_patterns - 1}",
        )
