"""The recurrent network that learns to choose light, and the Policy made of it."""

from typing import Annotated, Final

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float32, Int, Int32
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lsm.agent.adaptive.batch import View
from lsm.agent.adaptive.policies.protocol import Choice, Memory
from lsm.agent.adaptive.rules import DECLARATIONS
from lsm.agent.adaptive.state import n_facts
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.config import Config
from lsm.errors import ConfigError

FLOOR_ADU: Final = 12.0
"""Spread of a frame below which it is noise, not to be scaled up."""


class CellNetworkConfig(Config):
    """Size of the network and how its weights begin.

    units: of encoder and memory. frame_units: numbers that a small convolution makes of the last frame beside the
    facts; with 0 the reader's features are all that is known of frames. stop_bias: added to the logits of the
    declarations, so that a new policy looks before it declares. head_gain: of the policy's first weights.
    """

    units: Annotated[int, Ge(4), Le(512)] = 64
    frame_units: Annotated[int, Ge(0), Le(256)] = 0
    stop_bias: float = -1.0
    head_gain: Annotated[float, Gt(0)] = 0.01


class CellNetwork(nn.Module):
    """A recurrent masked actor-critic: encoders, GRU (Cho et al., EMNLP 2014), one head each for policy and value.

    The heads see the memory and the encoded present beside it. Raises ConfigError where weights are free.
    """

    def __init__(
        self, world: AdaptiveWorld, config: CellNetworkConfig, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        rules = world.rules
        if rules.free:
            raise ConfigError(
                "This network chooses patterns of a book, and the weights are free.",
                hint="use a book of lights, or the differentiable policy",
            )
        self.config = config
        size = config.units + config.frame_units
        self.facts = nn.Linear(n_facts(rules, world.reader.n_features), config.units)
        self.frame = FrameEncoder(rules.side_px, config.frame_units) if config.frame_units else None
        self.memory = nn.GRU(size, config.units)
        self.policy = nn.Linear(config.units + size, rules.n_kinds)
        self.value = nn.Linear(config.units + size, 1)
        _initialise(self, config, rules.n_kinds - len(DECLARATIONS), generator)

    def encoded(
        self, facts: Float32[Tensor, "episode fact"], frame: Int32[Tensor, "episode y x"] | None
    ) -> Float32[Tensor, "episode code"]:
        """What the network makes of the present alone; the frame is asked for only where it has an encoder."""
        code = torch.tanh(self.facts(facts))
        if self.frame is None or frame is None:
            return code
        return torch.cat([code, self.frame(frame)], 1)

    def heads(
        self,
        hidden: Float32[Tensor, "episode unit"],
        code: Float32[Tensor, "episode code"],
        allowed: Bool[Tensor, "episode kind"],
    ) -> tuple[Float32[Tensor, "episode kind"], Float32[Tensor, " episode"]]:
        """Log-probabilities (-inf where not allowed) and values."""
        known = torch.cat([hidden, code], 1)
        logits = self.policy(known).masked_fill(~allowed, -torch.inf)
        return torch.log_softmax(logits, 1), self.value(known)[:, 0]

    def forward(
        self, view: View, memory: Memory
    ) -> tuple[Float32[Tensor, "episode kind"], Float32[Tensor, " episode"], Memory]:
        """Log-probabilities, values and memory after one step."""
        code = self.encoded(view.facts, view.frame)
        _, last = self.memory(code[None], memory[None])
        scores, value = self.heads(last[0], code, view.allowed)
        return scores, value, last[0]

    def whole(
        self,
        facts: Float32[Tensor, "step fact"],
        frame: Int32[Tensor, "step y x"] | None,
        allowed: Bool[Tensor, "step kind"],
        alive: Int[Tensor, " moment"],
    ) -> tuple[Float32[Tensor, "step kind"], Float32[Tensor, " step"]]:
        """The same for whole episodes, from their first steps, sorted by falling length.

        Steps lie moment after moment: first the first ones of all episodes, then the second ones of those that have
        one, in the same order. alive: how many episodes have a step at each moment, on the CPU.
        """
        code = self.encoded(facts, frame)
        hidden = self.memory(PackedSequence(code, alive))[0].data
        return self.heads(hidden, code, allowed)


class FrameEncoder(nn.Module):
    """A frame in units of its own spread, through two convolutions, to a few numbers."""

    def __init__(self, side_px: tuple[int, int], units: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()
        )
        # each convolution halves a side and rounds up
        height, width = ((side + 3) // 4 for side in side_px)
        self.last = nn.Linear(16 * height * width, units)

    def forward(self, frame: Int32[Tensor, "episode y x"]) -> Float32[Tensor, "episode unit"]:
        return torch.tanh(self.last(self.layers(in_own_spread(frame.float())[:, None]).flatten(1)))


class TrainedPolicy:
    """The network as a Policy.

    generator: draws the actions; without one the likeliest action is taken.
    """

    def __init__(
        self, network: CellNetwork, *, generator: torch.Generator | None = None, name: str = "trained"
    ) -> None:
        self.network, self.generator, self.name = network.eval(), generator, name

    def start(self, n: int) -> Memory:
        return torch.zeros(n, self.network.config.units)

    @torch.no_grad()
    def act(self, view: View, memory: Memory) -> Choice:
        scores, value, memory = self.network(view, memory.to(view.facts.device))
        probabilities = scores.exp()
        if self.generator is None:
            action = scores.argmax(1)
        else:
            action = torch.multinomial(probabilities, 1, generator=self.generator)[:, 0]
        return Choice(action, probabilities, value, memory)


def in_own_spread(frame: Float32[Tensor, "episode y x"]) -> Float32[Tensor, "episode y x"]:
    """Frames less their mean, in units of their own spread."""
    flat = frame.flatten(1)
    spread = flat.std(1, unbiased=False, keepdim=True)
    return ((flat - flat.mean(1, keepdim=True)) / (spread + FLOOR_ADU)).reshape(frame.shape)


def _initialise(
    network: CellNetwork, config: CellNetworkConfig, captures: int, generator: torch.Generator | None
) -> None:
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            nn.init.zeros_(parameter)
        else:
            gain = config.head_gain if name == "policy.weight" else 1.0
            nn.init.orthogonal_(parameter, gain, generator=generator)
    with torch.no_grad():
        network.policy.bias[captures:] = config.stop_bias
