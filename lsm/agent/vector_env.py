"""`lsm/SlideSearch-v0` for many searches at once, computed together by the batched environment."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Int

from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.env import (
    OBSERVATION_LIMIT,
    REFUSED,
    Laboratory,
    budget_rules,
    invented_laboratory,
    slide_number,
    spaces_of,
)
from lsm.agent.evidence import EvidenceModel
from lsm.errors import InputError

Observations = Float[np.ndarray, "search entry"]
PerSearch = Float[np.ndarray, " search"]
Flags = Bool[np.ndarray, " search"]


class SlideSearchVectorEnv(gym.vector.VectorEnv[Observations, Int[np.ndarray, " search"], PerSearch]):
    """`num_envs` searches of `SlideSearchEnv` in step, on the tables of one laboratory.

    Observations, rewards, ends and infos equal those of single environments with the seeds seed, seed + 1, ... and the
    same actions. A search that ended begins anew with the next step, whose action is not looked at and pays 0.
    Options of reset: "slide", "parasitaemia" and "budget", for all searches alike; the budget stays until the next
    reset, the slide until a search begins anew.
    Raises InputError for a laboratory without tables.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own declaration)
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self, num_envs: int = 1, laboratory: Laboratory | None = None, *, render_mode: str | None = None
    ) -> None:
        self._laboratory = laboratory or invented_laboratory()
        if self._laboratory.tables is None:
            raise InputError(
                "The vector environment needs slides as tables.",
                hint='use table_laboratory, or gymnasium.make_vec(..., vectorization_mode="sync")',
            )
        self.num_envs, self.render_mode = num_envs, render_mode
        self._tables, self._model = self._laboratory.tables, EvidenceModel.of(self._laboratory.calibration)
        self.single_observation_space, self.single_action_space = spaces_of(self._laboratory.rules)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]
        self._number: int | None = None
        self._batch: BatchSlideEnv | None = None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin all searches. seed: of the first one, or a list of one for each."""
        seeds = [seed + index for index in range(self.num_envs)] if isinstance(seed, int) else seed
        for index, each in enumerate(seeds or ()):
            if each is not None:
                self._rngs[index] = seeding.np_random(each)[0]
        rules = budget_rules(self._laboratory.rules, options or {})
        self._batch = BatchSlideEnv(self._tables, self._model, rules)
        number = slide_number(self._tables, options or {})
        everyone = np.ones(self.num_envs, dtype=bool)
        slides = self._draw(everyone) if number is None else torch.full((self.num_envs,), number)
        self._batch.reset(self.num_envs, slides=slides)
        return self._observations(), self._infos(~everyone)

    def step(self, actions: Int[np.ndarray, " search"]) -> tuple[Observations, PerSearch, Flags, Flags, dict[str, Any]]:
        batch = self._searching()
        action = torch.as_tensor(np.asarray(actions), dtype=torch.int64)
        ended = batch.done.clone()
        allowed = batch.view.allowed.gather(1, action[:, None])[:, 0]
        refused = ~allowed & ~ended
        step = batch.step(torch.where(allowed, action, batch.rules.stop), hold=refused | ended)
        rewards = torch.where(refused, REFUSED, step.reward.double()).numpy()
        if bool(ended.any()):
            batch.restart(ended, self._draw(ended.numpy()))
        never = np.zeros(self.num_envs, dtype=bool)
        return self._observations(), rewards, batch.done.numpy().copy(), never, self._infos(refused.numpy())

    def action_masks(self) -> Bool[np.ndarray, "search action"]:
        """True for every action that is allowed now."""
        allowed: Bool[np.ndarray, "search action"] = self._searching().view.allowed.numpy()
        return allowed

    def _draw(self, rows: Flags) -> torch.Tensor:
        """Slides for these searches, each from its own stream; 0 for the others."""
        n_slides = self._tables.n_slides
        drawn = [int(rng.integers(n_slides)) if row else 0 for rng, row in zip(self._rngs, rows, strict=True)]
        return torch.tensor(drawn)

    def _searching(self) -> BatchSlideEnv:
        if self._batch is None:
            raise InputError("The environment has no search yet.", hint="call reset() first")
        return self._batch

    def _observations(self) -> Observations:
        observations: Observations = self._searching().view.observation.numpy()
        return observations.clip(-OBSERVATION_LIMIT, OBSERVATION_LIMIT)

    def _infos(self, refused: Flags) -> dict[str, Any]:
        batch = self._searching()
        infos: dict[str, Any] = {
            "prevalence": batch.view.prevalence.numpy().copy(),
            "captures": batch.state.captures.numpy().copy(),
            "light_dose": batch.state.light_dose.numpy().copy(),
            "time_s": batch.state.time_s.numpy().copy(),
            "travel_um": batch.state.travel_um.numpy().copy(),
            "action_mask": self.action_masks().astype(np.int8),
            "refused": refused,
        }
        return infos | {f"_{name}": np.ones(self.num_envs, dtype=bool) for name in infos}
