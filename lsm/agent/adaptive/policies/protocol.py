"""What decides at one cell: the Protocol that every policy answers, and what the simple ones share."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsm.agent.adaptive.batch import View
from lsm.agent.adaptive.rules import AdaptiveRules

Memory = Float[Tensor, "episode unit"]
Kinds = Int[Tensor, " episode"]
Belief = Float[Tensor, " episode"]
Allowed = Bool[Tensor, "episode kind"]


class Choice(NamedTuple):
    """What a policy answers, per episode.

    action: as the environment takes it; a number, or a row of numbers where weights are free. probabilities: of
    every kind of action. value: the policy's own value of the situation in units of one missed infection, 0 where
    it has none. memory: to hand back at the next step.
    """

    action: Kinds | Float[Tensor, "episode number"]
    probabilities: Float[Tensor, "episode kind"]
    value: Float[Tensor, " episode"]
    memory: Memory


@runtime_checkable
class Policy(Protocol):
    """Anything that chooses light for one cell and stops: trained or fixed, for one episode or many at once."""

    @property
    def name(self) -> str: ...

    def start(self, n: int) -> Memory:
        """Memory of n episodes that begin."""
        ...

    def act(self, view: View, memory: Memory) -> Choice:
        """Choose one action per episode; never mixes episodes of one call. Of an episode that is over, anything."""
        ...


def evidence_nats(belief: Belief, rules: AdaptiveRules) -> Float[Tensor, " episode"]:
    """What the reader found so far: log-odds of the belief without those of the share of infected cells, nats."""
    share = torch.tensor(rules.infected_share, dtype=torch.float64)
    return torch.logit(belief.double()) - torch.logit(share).item()


def stopping_costs(belief: Belief, rules: AdaptiveRules) -> Float[Tensor, "episode declaration"]:
    """Expected cost of each declaration, in the order of DECLARATIONS, in units of one missed infection."""
    worth = rules.reward
    refer = torch.full_like(belief, worth.referred)
    return torch.stack([worth.false_alarm * (1 - belief), worth.missed * belief, refer], 1)


def best_declaration(belief: Belief, rules: AdaptiveRules) -> Kinds:
    """The kind of action that declares at the lowest expected cost."""
    return rules.first_declaration + stopping_costs(belief, rules).argmin(1)


def capture_prices(rules: AdaptiveRules) -> Float[Tensor, " pattern"]:
    """Price of one capture with each pattern, in units of one missed infection; 1 for all where captures are free."""
    costs = rules.costs
    light = torch.tensor(rules.lights_led_s, dtype=torch.float64)
    time_s = torch.tensor(rules.exposures_ms, dtype=torch.float64) / 1000 + costs.overhead_s
    prices = costs.per_capture + costs.per_led_s * light + costs.per_s * time_s
    return prices if bool((prices > 0).all()) else torch.ones_like(prices)


def settled(capture: Kinds, stop: Bool[Tensor, " episode"], declaration: Kinds, view: View) -> Kinds:
    """Capture, or declare where a policy stops or may not capture; the first allowed kind where neither is allowed."""
    may_capture = view.allowed.gather(1, capture[:, None])[:, 0]
    may_declare = view.allowed.gather(1, declaration[:, None])[:, 0]
    wanted = torch.where((stop & may_declare) | ~may_capture, declaration, capture)
    possible = view.allowed.gather(1, wanted[:, None])[:, 0]
    return torch.where(possible, wanted, view.allowed.float().argmax(1))


def certain(kind: Kinds, view: View, memory: Memory) -> Choice:
    """A choice made without chance and without a value."""
    probabilities = torch.nn.functional.one_hot(kind, view.allowed.shape[1]).float()
    return Choice(kind, probabilities, torch.zeros(len(kind), device=kind.device), memory)
