"""Recurrent proximal policy optimisation with action masks, over whole searches.

Schulman et al., arXiv 1707.06347 (2017), with generalised advantage estimation (arXiv 1506.02438).
A rollout is one complete search per batch row from its first step, so the memory always begins at
zero, back-propagation runs through whole searches, and no value has to stand in for a cut-off end.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lsm.agent.policy import ActorCritic, NetworkConfig, SearchNetwork
from lsm.agent.trainable import Trainable
from lsm.config import Config
from lsm.errors import WrongFormat
from lsm.sensing.bundle import tensors_digest
from lsm.sensing.clock import KEY, Clock
from lsm.tensorfile import read_tensors, under, write_tensors

_OPTIMISER = "optimiser."

Fraction = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]


class PpoConfig(Config):
    """How the policy learns.

    updates: rollouts, each of `searches` complete searches. minibatches: parts of a rollout, by search.
    learning_rate falls linearly to `final_rate` of itself, the entropy bonus (nats per nat) likewise to 0.
    """

    updates: Annotated[int, Ge(1)] = 240
    searches: Annotated[int, Ge(1)] = 256
    epochs: Annotated[int, Ge(1)] = 4
    minibatches: Annotated[int, Ge(1)] = 4
    learning_rate: Positive = 2e-3
    final_rate: Fraction = 0.05
    discount: Fraction = 1.0
    trace: Fraction = 0.95
    clip: Positive = 0.2
    entropy: Annotated[float, Ge(0)] = 0.01
    value_weight: Positive = 0.5
    max_gradient: Positive = 0.5
    network: NetworkConfig = NetworkConfig()


class Progress(NamedTuple):
    """State of training after one update: means over the rollout's searches, and steps taken since the start."""

    update: int
    updates: int
    steps: int
    reward: float
    error: float
    captures: float
    entropy: float


class Rollout(NamedTuple):
    """Complete searches, padded after their ends where `valid` is False."""

    observation: Float[Tensor, "step search entry"]
    allowed: Bool[Tensor, "step search action"]
    action: Int[Tensor, "step search"]
    log_probability: Float[Tensor, "step search"]
    value: Float[Tensor, "step search"]
    reward: Float[Tensor, "step search"]
    valid: Bool[Tensor, "step search"]


class Ppo:
    """A training run: network, optimiser, generator and the number of updates done.

    network: what is trained; without one a SearchNetwork of the configuration, for an environment with SearchRules.
    The same environment, configuration and seed give the same weights, also across `save` and `load`.
    clock: kept in checkpoints, and told of the time before one.
    """

    def __init__(
        self,
        env: Trainable,
        config: PpoConfig,
        *,
        seed: int,
        network: ActorCritic | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.env, self.config, self.clock = env, config, clock or Clock()
        self.generator = torch.Generator().manual_seed(seed)
        self.network: ActorCritic = network or SearchNetwork(env.rules, config.network, self.generator)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5)
        self.update, self.steps = 0, 0

    def train(self, progress: Callable[[Progress], None] | None = None) -> ActorCritic:
        """Do the updates that are left and return the network."""
        while self.update < self.config.updates:
            report = self.train_once()
            if progress is not None:
                progress(report)
        return self.network.eval()

    def train_once(self) -> Progress:
        """One rollout and the epochs over it."""
        left = 1 - self.update / self.config.updates
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * (left + (1 - left) * self.config.final_rate)
        rollout = self.collect()
        entropy = self._learn(rollout, self.config.entropy * left)
        self.update += 1
        self.steps += int(rollout.valid.sum())
        return Progress(
            self.update,
            self.config.updates,
            self.steps,
            float(rollout.reward.sum(0).mean()),
            float(self.env.error.mean()),
            float(self.env.state.captures.double().mean()),
            entropy,
        )

    @torch.no_grad()
    def collect(self) -> Rollout:
        """Complete searches under the present policy."""
        seen = self.env.reset(self.config.searches, self.generator)
        memory = torch.zeros(self.config.searches, self.network.units)
        steps: list[tuple[Tensor, ...]] = []
        while not bool(self.env.done.all()):
            valid = ~self.env.done
            scores, value, memory = self.network(seen.observation[None], seen.allowed[None], memory)
            action = torch.multinomial(scores[0].exp(), 1, generator=self.generator)
            before = seen
            seen, reward, _ = self.env.step(action[:, 0])
            chosen = scores[0].gather(1, action)[:, 0]
            steps.append((before.observation, before.allowed, action[:, 0], chosen, value[0], reward, valid))
        return Rollout(*(torch.stack(parts) for parts in zip(*steps, strict=True)))

    def _learn(self, rollout: Rollout, entropy_weight: float) -> float:
        raw = advantages(
            rollout.reward, rollout.value, rollout.valid, discount=self.config.discount, trace=self.config.trace
        )
        target, advantage = raw + rollout.value, normalised(raw, rollout.valid)
        entropies = []
        for _ in range(self.config.epochs):
            order = torch.randperm(self.config.searches, generator=self.generator)
            for part in order.chunk(self.config.minibatches):
                piece = Rollout(*(values[:, part] for values in rollout))
                loss, entropy = self._loss(piece, advantage[:, part], target[:, part], entropy_weight)
                descend(self.optimiser, loss, max_gradient=self.config.max_gradient)
                entropies.append(float(entropy.detach()))
        return sum(entropies) / len(entropies)

    def _loss(
        self,
        rollout: Rollout,
        advantage: Float[Tensor, "step search"],
        target: Float[Tensor, "step search"],
        entropy_weight: float,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        valid = rollout.valid
        memory = torch.zeros(valid.shape[1], self.network.units)
        scores, value, _ = self.network(rollout.observation, rollout.allowed, memory)
        ratio = (scores.gather(2, rollout.action[..., None])[..., 0] - rollout.log_probability)[valid].exp()
        policy_loss = clipped_loss(ratio, advantage[valid], clip=self.config.clip)
        value_loss = nn.functional.smooth_l1_loss(value[valid], target[valid])
        entropy = -(scores.exp() * scores.masked_fill(~rollout.allowed, 0.0)).sum(2)[valid].mean()
        return policy_loss + self.config.value_weight * value_loss - entropy_weight * entropy, entropy

    def save(self, path: Path) -> None:
        """Everything needed to go on, as safetensors."""
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors["generator"] = self.generator.get_state()
        tensors["progress"] = torch.tensor([self.update, self.steps])
        tensors[KEY] = self.clock.seconds()
        write_tensors(path, tensors, self._identity(tensors))

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises FileMissing, or WrongFormat for another configuration's file."""
        identity, tensors = read_tensors(path, hint="delete it, or start without resuming", what="checkpoint")
        if identity != self._identity(tensors):
            raise WrongFormat(
                f"{path} is damaged or of another training.", hint="delete it, or restore its configuration"
            )
        try:
            self.network.load_state_dict(under(tensors, "network."))
            restore_optimiser(self.optimiser, tensors)
            self.generator.set_state(tensors["generator"])
            self.update, self.steps = (int(number) for number in tensors["progress"])
            self.clock.go_on(tensors.get(KEY))
        except (KeyError, RuntimeError, ValueError) as error:
            raise WrongFormat(f"{path} is not a checkpoint of this training: {error}.", hint="delete it") from error

    def _identity(self, tensors: Mapping[str, Tensor]) -> dict[str, str]:
        contents = tensors_digest(tensors)
        return {"config": self.config.digest(), "rules": self.env.rules.digest(), "contents": contents}


def normalised(advantage: Float[Tensor, "step row"], valid: Bool[Tensor, "step row"]) -> Float[Tensor, "step row"]:
    """Advantages with the mean 0 and the spread 1 over the steps that were taken."""
    held = advantage[valid]
    # steps that were all as good have no spread
    return (advantage - held.mean()) / (held.std() + 1e-8)


def clipped_loss(ratio: Float[Tensor, " step"], gain: Float[Tensor, " step"], *, clip: float) -> Float[Tensor, ""]:
    """The clipped surrogate of arXiv 1707.06347, equation 7, as a loss.

    ratio: probability of each action taken, now over then. gain: its normalised advantage.
    """
    return -torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain).mean()


def descend(optimiser: torch.optim.Optimizer, loss: Float[Tensor, ""], *, max_gradient: float) -> None:
    """One step down the loss, its gradient over all weights no longer than max_gradient."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([weight for group in optimiser.param_groups for weight in group["params"]], max_gradient)
    optimiser.step()


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each weight, by names for a file."""
    states = optimiser.state_dict()["state"].items()
    return {f"{_OPTIMISER}{index}.{key}": value for index, slots in states for key, value in slots.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give back what `optimiser_tensors` gave. Raises ValueError, KeyError or RuntimeError where it does not fit."""
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in under(tensors, _OPTIMISER).items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def advantages(
    reward: Float[Tensor, "step row"],
    value: Float[Tensor, "step row"],
    valid: Bool[Tensor, "step row"],
    *,
    discount: float,
    trace: float,
) -> Float[Tensor, "step row"]:
    """Generalised advantage estimates of whole searches or episodes, one a row; the value after the last step is 0.

    valid: False after a row's end. discount, trace: gamma and lambda of arXiv 1506.02438.
    """
    result = torch.zeros_like(reward)
    running = torch.zeros_like(reward[0])
    following = torch.zeros_like(running)
    for step in range(len(reward) - 1, -1, -1):
        surprise = reward[step] + discount * following - value[step]
        running = (surprise + discount * trace * running) * valid[step]
        following = value[step] * valid[step]
        result[step] = running
    return result
