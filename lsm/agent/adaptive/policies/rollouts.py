"""Whole episodes under a policy that learns: collected here, or in parts on other machines."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float32, Int, Int32
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.policies.network import CellNetwork

Weights = Mapping[str, Tensor]
SEED_BITS: Final = 62


class Rollout(NamedTuple):
    """Complete episodes, padded after their ends where `valid` is False. frame: None where nobody looks at it."""

    facts: Float32[Tensor, "moment episode fact"]
    allowed: Bool[Tensor, "moment episode kind"]
    action: Int[Tensor, "moment episode"]
    log_probability: Float32[Tensor, "moment episode"]
    value: Float32[Tensor, "moment episode"]
    reward: Float32[Tensor, "moment episode"]
    valid: Bool[Tensor, "moment episode"]
    frame: Int32[Tensor, "moment episode y x"] | None = None


class Part(NamedTuple):
    """Which episodes to collect. seed: of the first one's cell and noise, the others have the following ones.

    choices: seed of what the policy chooses.
    """

    episodes: int
    seed: int
    choices: int


class Collected(NamedTuple):
    """Episodes, whether each declared what the cell is, and how often it was captured."""

    rollout: Rollout
    correct: Bool[Tensor, " episode"]
    captures: Int[Tensor, " episode"]


@runtime_checkable
class Collector(Protocol):
    """Collects parts of a rollout under given weights. The same part and weights give the same episodes anywhere on
    processors of one kind.
    """

    def collect(self, network: CellNetwork, parts: Sequence[Part]) -> list[Collected]:
        """Each part's episodes, in order."""
        ...


class Here:
    """Collects one part after the other in this process."""

    def __init__(self, env: BatchAdaptiveEnv) -> None:
        self.env = env

    def collect(self, network: CellNetwork, parts: Sequence[Part]) -> list[Collected]:
        device = self.env.world.source.device
        made = []
        for part in parts:
            generator = torch.Generator(device).manual_seed(part.choices)
            made.append(episodes(self.env, network, part.episodes, part.seed, generator))
        return made


@torch.no_grad()
def episodes(env: BatchAdaptiveEnv, network: CellNetwork, n: int, seed: int, choices: torch.Generator) -> Collected:
    """Collect n complete episodes. seed: see Part. choices: draws the actions."""
    looks = network.frame is not None
    view = env.reset(n, seed)
    memory = torch.zeros(n, network.config.units, device=view.facts.device)
    steps: list[tuple[Tensor, ...]] = []
    frames: list[Tensor] = []
    while not bool((done := env.done).all()):
        scores, value, memory = network(view, memory)
        action = torch.multinomial(scores.exp(), 1, generator=choices)
        before, step = view, env.step(action[:, 0])
        chosen = scores.gather(1, action)[:, 0]
        steps.append((before.facts, before.allowed, action[:, 0], chosen, value, step.reward, ~done))
        if looks:
            frames.append(before.frame)
        view = step.view
    parts = [torch.stack(column) for column in zip(*steps, strict=True)]
    rollout = Rollout(*parts)._replace(frame=torch.stack(frames) if looks else None)
    return Collected(rollout, env.state.declared == (~env.infected).long(), env.state.captures)


def joined(parts: Sequence[Collected]) -> Collected:
    """All episodes side by side, padded to the longest."""
    if len(parts) == 1:
        return parts[0]
    longest = max(len(part.rollout.valid) for part in parts)
    *columns, frames = zip(*(part.rollout for part in parts), strict=True)
    rollout = Rollout(*(_beside(column, longest) for column in columns))
    if frames[0] is not None:
        rollout = rollout._replace(frame=_beside(frames, longest))
    correct, captures = (torch.cat([getattr(part, name) for part in parts]) for name in ("correct", "captures"))
    return Collected(rollout, correct, captures)


def shared_out(n: int, parts: int, draw: torch.Generator) -> list[Part]:
    """Divide n episodes into so many parts of as equal a size as can be, each with seeds of its own."""
    sizes = [n // parts + (number < n % parts) for number in range(parts)]
    return [Part(size, drawn(draw), drawn(draw)) for size in sizes]


def drawn(generator: torch.Generator) -> int:
    """A seed."""
    return int(torch.randint(1 << SEED_BITS, (1,), generator=generator, device=generator.device))


def _beside(parts: Sequence[Tensor], longest: int) -> Tensor:
    padded = [torch.cat([part, part.new_zeros(longest - len(part), *part.shape[1:])]) for part in parts]
    return torch.cat(padded, 1)
