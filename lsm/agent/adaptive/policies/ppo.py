"""Recurrent proximal policy optimisation with action masks, over whole episodes at single cells.

Schulman et al., arXiv 1707.06347 (2017), with generalised advantage estimation (arXiv 1506.02438).
A rollout is one complete episode per place of the batch: the memory begins at zero, back-propagation runs through
whole episodes, and no value stands in for a cut-off end, since a masked policy always comes to declare. Episodes
are kept sorted by length, so that nothing is computed for steps that nobody took.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, Float32, Int, Int32
from pydantic import model_validator
from torch import Tensor, nn

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.policies.checkpoint import CHOOSING, NETWORK, identity, read_checked
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig
from lsm.agent.adaptive.policies.rollouts import Collected, Collector, Here, Rollout, drawn, joined, shared_out
from lsm.agent.ppo import advantages, clipped_loss, descend, normalised, optimiser_tensors, restore_optimiser
from lsm.config import Config
from lsm.errors import ConfigError, WrongFormat
from lsm.sensing.clock import KEY, Clock
from lsm.tensorfile import under, write_tensors

Fraction = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]


class CellPpoConfig(Config):
    """How the policy learns.

    updates: rollouts, each of `episodes` complete episodes. parts: in which a rollout is collected, each with random
    numbers of its own, so that they may be collected side by side. minibatches: parts of a rollout to learn from, by
    episode.
    learning_rate falls linearly to `final_rate` of itself, the entropy bonus (cost units per nat) to `final_entropy`
    of itself.
    """

    updates: Annotated[int, Ge(1)] = 200
    episodes: Annotated[int, Ge(1)] = 1024
    parts: Annotated[int, Ge(1)] = 1
    epochs: Annotated[int, Ge(1)] = 4
    minibatches: Annotated[int, Ge(1)] = 4
    learning_rate: Positive = 2e-3
    final_rate: Fraction = 0.05
    discount: Fraction = 1.0
    trace: Fraction = 0.95
    clip: Positive = 0.2
    entropy: Annotated[float, Ge(0)] = 0.02
    final_entropy: Fraction = 0.0
    value_weight: Positive = 0.5
    max_gradient: Positive = 0.5
    network: CellNetworkConfig = CellNetworkConfig()

    @model_validator(mode="after")
    def _parts_have_episodes(self) -> "CellPpoConfig":
        if self.parts > self.episodes:
            raise ConfigError(
                f"{self.episodes} episodes cannot be collected in {self.parts} parts.", hint="lower parts"
            )
        return self


class Progress(NamedTuple):
    """State of training after one update: means over the rollout's episodes, and steps taken since the start.

    correct: share of episodes that declared what the cell is.
    """

    update: int
    updates: int
    steps: int
    reward: float
    correct: float
    captures: float
    entropy: float


class Steps(NamedTuple):
    """The steps of some episodes that were taken, moment after moment, episodes by falling length."""

    facts: Float32[Tensor, "step fact"]
    allowed: Bool[Tensor, "step kind"]
    action: Int[Tensor, " step"]
    log_probability: Float32[Tensor, " step"]
    advantage: Float32[Tensor, " step"]
    target: Float32[Tensor, " step"]
    alive: Int[Tensor, " moment"]
    frame: Int32[Tensor, "step y x"] | None


class CellPpo:
    """A training run: network, optimiser, generator and the number of updates done.

    The same world, configuration and seed give the same weights, also across `save` and `load`, and wherever its
    episodes are collected. collector: in place of this process, such as `OnCluster`. clock: kept in checkpoints, and
    told of the time before one.
    Raises ConfigError where weights are free.
    """

    def __init__(
        self,
        env: BatchAdaptiveEnv,
        config: CellPpoConfig,
        *,
        seed: int,
        collector: Collector | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.env, self.config, self.clock = env, config, clock or Clock()
        self.collector = collector or Here(env)
        device = env.world.source.device
        first = torch.Generator().manual_seed(seed)
        self.network = CellNetwork(env.world, config.network, first).to(device)
        self.generator = torch.Generator(device).manual_seed(drawn(first))
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5)
        self.update, self.steps = 0, 0

    def train(self, progress: Callable[[Progress], None] | None = None) -> CellNetwork:
        """Do the updates that are left and return the network."""
        while self.update < self.config.updates:
            report = self.train_once()
            if progress is not None:
                progress(report)
        return self.network.eval()

    def train_once(self) -> Progress:
        """One rollout and the epochs over it."""
        config = self.config
        left = 1 - self.update / config.updates
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * (left + (1 - left) * config.final_rate)
        collected = self.collect()
        rollout = collected.rollout
        entropy = self._learn(rollout, config.entropy * (left + (1 - left) * config.final_entropy))
        self.update += 1
        self.steps += int(rollout.valid.sum())
        return Progress(
            self.update,
            config.updates,
            self.steps,
            float(rollout.reward.sum(0).mean()),
            float(collected.correct.double().mean()),
            float(collected.captures.double().mean()),
            entropy,
        )

    def collect(self) -> Collected:
        """Complete episodes under the present policy."""
        parts = shared_out(self.config.episodes, self.config.parts, self.generator)
        return joined(self.collector.collect(self.network, parts))

    def _learn(self, rollout: Rollout, entropy_weight: float) -> float:
        raw = advantages(
            rollout.reward, rollout.value, rollout.valid, discount=self.config.discount, trace=self.config.trace
        )
        target, advantage = raw + rollout.value, normalised(raw, rollout.valid)
        entropies = []
        for _ in range(self.config.epochs):
            order = torch.randperm(self.config.episodes, generator=self.generator, device=advantage.device)
            for part in order.chunk(self.config.minibatches):
                loss, entropy = self._loss(taken_steps(rollout, advantage, target, part), entropy_weight)
                descend(self.optimiser, loss, max_gradient=self.config.max_gradient)
                entropies.append(entropy.detach())
        return float(torch.stack(entropies).mean())

    def _loss(self, steps: Steps, entropy_weight: float) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        scores, value = self.network.whole(steps.facts, steps.frame, steps.allowed, steps.alive)
        ratio = (scores.gather(1, steps.action[:, None])[:, 0] - steps.log_probability).exp()
        policy_loss = clipped_loss(ratio, steps.advantage, clip=self.config.clip)
        value_loss = nn.functional.smooth_l1_loss(value, steps.target)
        entropy = -(scores.exp() * scores.masked_fill(~steps.allowed, 0.0)).sum(1).mean()
        return policy_loss + self.config.value_weight * value_loss - entropy_weight * entropy, entropy

    def save(self, path: Path) -> None:
        """Everything needed to go on, as safetensors; `load_policy` reads it too."""
        tensors = {f"{NETWORK}{key}": value for key, value in self.network.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors["generator"] = self.generator.get_state()
        tensors["progress"] = torch.tensor([self.update, self.steps])
        tensors[KEY] = self.clock.seconds()
        network = self.config.network.model_dump_json()
        words = ("config", self.config.digest()), ("kind", CHOOSING), ("network", network)
        write_tensors(path, tensors, identity(self.env.world, tensors, *words))

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises FileMissing, WrongFormat for a damaged file or one of another configuration, ModelMismatch for one of
        another rig or environment.
        """
        words, tensors = read_checked(path, self.env.world)
        if words.get("config") != self.config.digest():
            raise WrongFormat(f"{path} is of another training.", hint="delete it, or restore its configuration")
        try:
            self.network.load_state_dict(under(tensors, NETWORK))
            restore_optimiser(self.optimiser, tensors)
            self.generator.set_state(tensors["generator"])
            self.update, self.steps = (int(number) for number in tensors["progress"])
            self.clock.go_on(tensors.get(KEY))
        except (KeyError, RuntimeError, ValueError) as error:
            raise WrongFormat(f"{path} is not a checkpoint of this training: {error}.", hint="delete it") from error


def taken_steps(
    rollout: Rollout,
    advantage: Float32[Tensor, "moment episode"],
    target: Float32[Tensor, "moment episode"],
    part: Int[Tensor, " some"],
) -> Steps:
    """The steps that these episodes took, in the order that the network wants."""
    lengths = rollout.valid[:, part].sum(0)
    # stable, so that the same weights come out wherever it runs
    sorted_part = part[lengths.argsort(descending=True, stable=True)]
    valid = rollout.valid[:, sorted_part]
    moment, place = valid.nonzero(as_tuple=True)
    episode = sorted_part[place]
    columns = (rollout.facts, rollout.allowed, rollout.action, rollout.log_probability, advantage, target)
    frame = None if rollout.frame is None else rollout.frame[moment, episode]
    alive = valid.sum(1)
    facts, allowed, action, log_probability, gain, wanted = (column[moment, episode] for column in columns)
    return Steps(facts, allowed, action, log_probability, gain, wanted, alive[alive > 0].cpu(), frame)
