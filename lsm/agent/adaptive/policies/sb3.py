"""Stable-Baselines3 at single cells: our environment in its vector form, its trained models as our policies.

Needs the optional packages of the extra `sb3` (MIT licence). Import this module by its own name; nothing else
imports it. Tried with PPO, and with MaskablePPO and RecurrentPPO of sb3-contrib.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv, View
from lsm.agent.adaptive.outside import action_space, observation_space, observations
from lsm.agent.adaptive.policies.protocol import Choice, Memory
from lsm.agent.adaptive.state import n_facts
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import ConfigError, InputError

Entries = Float32[np.ndarray, "episode entry"]


class CellVecEnv(VecEnv):
    """`num_envs` episodes computed together, as Stable-Baselines3 wants them.

    frames: whether the last frame's pixels follow the facts in an observation, as in Gymnasium's form; the facts
    alone hold the reader's features of it. An episode that ends is followed by the next one in the same step, and
    the last observation is in its info as "terminal_observation". `action_masks` answers MaskablePPO.
    """

    def __init__(self, world: AdaptiveWorld, num_envs: int, *, seed: int = 0, frames: bool = True) -> None:
        if num_envs < 1:
            raise InputError(f"{num_envs} environments are none.", hint="give num_envs of 1 or more")
        self.world, self.batch = world, BatchAdaptiveEnv(world)
        self.entries = n_entries(world, frames=frames)
        self.render_mode = None
        self._seed = seed
        self._actions: np.ndarray = np.zeros(0)
        super().__init__(num_envs, self._space(), action_space(world.rules))

    def reset(self) -> Entries:
        """The first episode of each place; environment i has the seed s + i."""
        self.batch.reset(self.num_envs, self._seed)
        return self._seen()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Entries, Float32[np.ndarray, " episode"], np.ndarray, list[dict[str, Any]]]:
        step = self.batch.step(torch.from_numpy(np.asarray(self._actions)))
        done = self.batch.done
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        seen = self._seen()
        if bool(done.any()):
            truncated = step.truncated.cpu().numpy()
            for index in done.nonzero()[:, 0].tolist():
                infos[index] = {
                    "terminal_observation": seen[index],
                    "TimeLimit.truncated": bool(truncated[index]),
                }
            self.batch.renew(done)
            seen = self._seen()
        return seen, step.reward.cpu().numpy(), done.cpu().numpy(), infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds of the next reset."""
        self._seed = self._seed if seed is None else seed
        return [self._seed + index for index in range(self.num_envs)]

    def action_masks(self) -> Bool[np.ndarray, "episode kind"]:
        """True for every kind of action that is allowed now."""
        allowed: Bool[np.ndarray, "episode kind"] = self.batch.view.allowed.cpu().numpy()
        return allowed

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self, attr_name)
        return [value for _ in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        answer = getattr(self, method_name)(*method_args, **method_kwargs)
        return [answer[index] for index in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        return [False for _ in self._chosen(indices)]

    def _space(self) -> gym.spaces.Box:
        whole = observation_space(self.world)
        return gym.spaces.Box(whole.low[: self.entries], whole.high[: self.entries], dtype=np.float32)

    def _seen(self) -> Entries:
        return observations(self.batch.view, self.world)[:, : self.entries]

    def _chosen(self, indices: Any) -> list[int]:
        return list(self._get_indices(indices))


class StableBaselinesPolicy:
    """A model of Stable-Baselines3 (PPO, MaskablePPO or RecurrentPPO) as one of our policies.

    It takes the likeliest action among those allowed, so that a model which was trained without masks is not
    refused. frames: as the model's environment had it. value: 0 for recurrent models.
    Raises ConfigError for a model of another observation or of continuous actions.
    """

    def __init__(self, model: Any, world: AdaptiveWorld, *, frames: bool = True, name: str = "") -> None:
        self.entries = n_entries(world, frames=frames)
        found = model.observation_space.shape, getattr(model.action_space, "n", None)
        if found != ((self.entries,), world.rules.n_kinds):
            raise ConfigError(
                f"The model takes observations of {found[0]} and {found[1]} actions, this environment has "
                f"({self.entries},) and {world.rules.n_kinds}.",
                hint="train it in CellVecEnv with the same world, and give the same `frames`",
            )
        self.name = name or f"Stable-Baselines3 {type(model).__name__}"
        self._policy, self._world = model.policy, world
        self._policy.set_training_mode(False)
        shape: tuple[int, int, int] = getattr(self._policy, "lstm_hidden_state_shape", (0, 1, 0))
        self._layers, _, self._units = shape

    def start(self, n: int) -> Memory:
        return torch.zeros(n, 2 * self._layers * self._units)

    @torch.no_grad()
    def act(self, view: View, memory: Memory) -> Choice:
        entries = torch.from_numpy(observations(view, self._world)[:, : self.entries]).to(self._policy.device)
        if self._layers:
            logits, memory = self._recurrent(entries, memory.to(entries.device))
            value = torch.zeros(len(entries))
        else:
            logits = self._policy.get_distribution(entries).distribution.logits
            value = self._policy.predict_values(entries)[:, 0]
        scores = logits.to(view.facts.device).masked_fill(~view.allowed, -torch.inf)
        return Choice(scores.argmax(1), torch.softmax(scores, 1), value.to(scores.device), memory)

    def _recurrent(self, entries: Tensor, memory: Memory) -> tuple[Float[Tensor, "episode kind"], Memory]:
        parts = memory.reshape(len(memory), 2, self._layers, self._units).permute(1, 2, 0, 3).contiguous()
        # zeros are how an episode begins, so that no start has to be announced
        begins = torch.zeros(len(memory), device=memory.device)
        distribution, states = self._policy.get_distribution(entries, (parts[0], parts[1]), begins)
        held = torch.stack(list(states)).permute(2, 0, 1, 3).reshape(len(memory), -1)
        return distribution.distribution.logits, held


def n_entries(world: AdaptiveWorld, *, frames: bool) -> int:
    """Numbers in an observation, with or without the frame's pixels."""
    facts = n_facts(world.rules, world.reader.n_features)
    return int(observation_space(world).shape[0]) if frames else facts
