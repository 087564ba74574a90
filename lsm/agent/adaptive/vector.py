"""Many cells as one Gymnasium vector environment, computed together."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float32
from torch import Tensor

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.env import default_world
from lsm.agent.adaptive.outside import (
    SEED_BITS,
    action_space,
    declaration,
    information,
    observation_space,
    observations,
    start_options,
)
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError

ObservationArrays = Float32[np.ndarray, "episode entry"]
Ends = Bool[np.ndarray, " episode"]


class AdaptiveIlluminationVectorEnv(gym.vector.VectorEnv[ObservationArrays, Any, Any]):
    """`num_envs` environments `lsm/AdaptiveIllumination-v0`, byte for byte as Gymnasium's SyncVectorEnv has them.

    Spaces, options, reward and end: see AdaptiveIlluminationEnv. Environment i of reset(seed=s) has seed s + i.
    An environment whose episode is over starts the next one at the following step, whatever its action, and earns
    nothing in it (AutoresetMode.NEXT_STEP). Info holds arrays, each with its mask `_name`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own)
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [],
    }

    def __init__(self, num_envs: int = 1, world: AdaptiveWorld | None = None, *, free_weights: bool = False) -> None:
        if num_envs < 1:
            raise InputError(f"{num_envs} environments are none.", hint="give num_envs of 1 or more")
        self.world = world or default_world(free=free_weights)
        self.batch = BatchAdaptiveEnv(self.world)
        self.num_envs = num_envs
        self.single_observation_space = observation_space(self.world)
        self.single_action_space = action_space(self.world.rules)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._started = False

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObservationArrays, dict[str, Any]]:
        """The first episode of each seed; without seeds the next one everywhere."""
        meant: dict[str, Any] = start_options(options, self.world, self.num_envs)
        everywhere = torch.ones(self.num_envs, dtype=torch.bool)
        if seed is None and self._started:
            self.batch.renew(everywhere.to(self.batch.view.belief.device), **meant)
        else:
            self.batch.reset(self.num_envs, self._seeds(seed), **meant)
        self._started = True
        return observations(self.batch.view, self.world), self._info(~everywhere)

    def step(
        self, actions: Any
    ) -> tuple[ObservationArrays, Float32[np.ndarray, " episode"], Ends, Ends, dict[str, Any]]:
        if not self._started:
            raise InputError("The environments have no episodes yet.", hint="call reset() first")
        over = self.batch.done
        given = torch.from_numpy(np.asarray(actions))
        step = self.batch.step(given)
        if bool(over.any()):
            self.batch.renew(over)
        terminated, truncated = (self._now(ends & ~over) for ends in (step.terminated, step.truncated))
        seen = observations(self.batch.view, self.world)
        return seen, step.reward.cpu().numpy(), terminated, truncated, self._info(step.refused)

    def action_masks(self) -> Bool[np.ndarray, "episode kind"]:
        """True for every kind of action that is allowed now."""
        allowed: Bool[np.ndarray, "episode kind"] = self.batch.view.allowed.cpu().numpy()
        return allowed

    def _seeds(self, seed: int | list[int] | None) -> Tensor:
        if isinstance(seed, list):
            if len(seed) != self.num_envs:
                raise InputError(
                    f"{len(seed)} seeds do not fit {self.num_envs} environments.", hint="give one each, or a number"
                )
            return torch.tensor(seed, dtype=torch.int64)
        first = int(self.np_random.integers(SEED_BITS)) if seed is None else seed
        return torch.tensor([(first + k) & SEED_BITS for k in range(self.num_envs)])

    def _info(self, refused: Tensor) -> dict[str, Any]:
        arrays: dict[str, Any] = information(self.batch, refused)
        arrays["declared"] = np.array([declaration(number) for number in arrays["declared"].tolist()], dtype=object)
        everywhere = np.ones(self.num_envs, dtype=bool)
        return arrays | {f"_{name}": everywhere.copy() for name in list(arrays)}

    @staticmethod
    def _now(ends: Tensor) -> Ends:
        array: Ends = ends.cpu().numpy()
        return array
