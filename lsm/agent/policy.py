"""What decides: the Protocol that every policy answers, and the recurrent network that learns to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lsm.agent.rules import SearchRules
from lsm.agent.state import observation_size
from lsm.config import Config
from lsm.errors import ModelMismatch

Observation = Float[Tensor, "search entry"]
Allowed = Bool[Tensor, "search action"]
Memory = Float[Tensor, "search unit"]


class Choice(NamedTuple):
    """What a policy answers, per search.

    action: an allowed one. probabilities: of every action. value: the policy's own value of the situation in
    nats, 0 where it has none. memory: to hand back at the next step.
    """

    action: Int[Tensor, " search"]
    probabilities: Float[Tensor, "search action"]
    value: Float[Tensor, " search"]
    memory: Memory


@runtime_checkable
class Policy(Protocol):
    """Anything that searches: trained or fixed, for one search or many at once."""

    @property
    def name(self) -> str: ...

    def start(self, n: int) -> Memory:
        """Memory of n searches that begin."""
        ...

    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        """Choose one allowed action per search; never mixes searches of one call."""
        ...


class NetworkConfig(Config):
    """Size of the network and how its weights begin.

    stop_bias: added to the logit of the stop, so that a new policy looks before it declares.
    """

    units: Annotated[int, Ge(4), Le(128)] = 64
    stop_bias: float = -5.0
    head_gain: Annotated[float, Gt(0)] = 0.01


class ActorCritic(nn.Module, ABC):
    """A network that `lsm.agent.ppo` trains and `TrainedPolicy` follows. units: size of its memory."""

    @property
    @abstractmethod
    def units(self) -> int: ...

    @abstractmethod
    def forward(
        self,
        observation: Float[Tensor, "step search entry"],
        allowed: Bool[Tensor, "step search action"],
        memory: Memory,
    ) -> tuple[Float[Tensor, "step search action"], Float[Tensor, "step search"], Memory]:
        """Log-probabilities (-inf where not allowed), values and the last memory of whole sequences."""


class SearchNetwork(ActorCritic):
    """A recurrent masked actor-critic: encoder, GRU (Cho et al., EMNLP 2014), one head each for policy and value."""

    def __init__(self, rules: SearchRules, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        units = config.units
        self.encoder = nn.Linear(observation_size(rules), units)
        self.memory = nn.GRU(units, units)
        self.policy = nn.Linear(units, rules.n_actions)
        self.value = nn.Linear(units, 1)
        _initialise(self, config, rules.stop, generator)

    @property
    def units(self) -> int:
        return self.memory.hidden_size

    def forward(
        self,
        observation: Float[Tensor, "step search entry"],
        allowed: Bool[Tensor, "step search action"],
        memory: Memory,
    ) -> tuple[Float[Tensor, "step search action"], Float[Tensor, "step search"], Memory]:
        """Log-probabilities (-inf where not allowed), values and the last memory of whole sequences."""
        hidden, last = self.memory(torch.tanh(self.encoder(observation)), memory[None])
        logits = self.policy(hidden).masked_fill(~allowed, -torch.inf)
        return torch.log_softmax(logits, -1), self.value(hidden)[..., 0], last[0]


class TrainedPolicy:
    """The network as a Policy.

    generator: draws the actions; without one the likeliest action is taken.
    """

    def __init__(
        self, network: ActorCritic, *, generator: torch.Generator | None = None, name: str = "trained"
    ) -> None:
        self.network, self.generator, self.name = network.eval(), generator, name

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Tensor],
        rules: SearchRules,
        config: NetworkConfig | None = None,
        *,
        generator: torch.Generator | None = None,
        name: str = "trained",
    ) -> "TrainedPolicy":
        """A policy from the tensors that training gave. Raises ModelMismatch when they do not fit the rules."""
        network = SearchNetwork(rules, config or NetworkConfig(units=_units(tensors)))
        wanted = {key: value.shape for key, value in network.state_dict().items()}
        if {key: value.shape for key, value in tensors.items()} != wanted:
            raise ModelMismatch(
                f"The policy's tensors do not fit a search with {rules.n_patterns} patterns and {rules.n_bins} bins.",
                hint="train it for this codebook with 'lsm train-policy'",
            )
        network.load_state_dict(dict(tensors))
        return cls(network, generator=generator, name=name)

    def start(self, n: int) -> Memory:
        return torch.zeros(n, self.network.units)

    @torch.no_grad()
    def act(self, observation: Observation, allowed: Allowed, memory: Memory) -> Choice:
        log_probabilities, value, memory = self.network(observation[None], allowed[None], memory)
        probabilities = log_probabilities[0].exp()
        if self.generator is None:
            action = log_probabilities[0].argmax(1)
        else:
            action = torch.multinomial(probabilities, 1, generator=self.generator)[:, 0]
        return Choice(action, probabilities, value[0], memory)


def _units(tensors: Mapping[str, Tensor]) -> int:
    weight = tensors.get("encoder.weight")
    return 64 if weight is None else len(weight)


def _initialise(network: SearchNetwork, config: NetworkConfig, stop: int, generator: torch.Generator | None) -> None:
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        elif name == "policy.weight":
            nn.init.orthogonal_(parameter, config.head_gain, generator=generator)
        else:
            nn.init.orthogonal_(parameter, generator=generator)
    with torch.no_grad():
        network.policy.bias[stop] = config.stop_bias
