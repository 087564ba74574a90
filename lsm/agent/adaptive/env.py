"""`lsm/AdaptiveIllumination-v0`: one cell at a time as a Gymnasium environment."""

from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.outside import (
    SEED_BITS,
    action_space,
    declaration,
    information,
    observation_space,
    observations,
    start_options,
)
from lsm.agent.adaptive.render import Scene, draw_scene
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.errors import InputError

ObservationArray = Float32[np.ndarray, " entry"]
AllowedArray = Bool[np.ndarray, " kind"]


class AdaptiveIlluminationEnv(gym.Env[ObservationArray, Any]):
    """Look at one cell: choose light capture by capture, stop, and declare what it is.

    Without a world, invented cells under nine LEDs are looked at, with five patterns, or with `free_weights`.

    Observation: Box float32. First the facts, the table in `lsm.agent.adaptive.state`; then the pixels of the last
    frame row by row, as shares of the camera's range above its offset, 0 before the first capture. Clipped at 4.
    Action, with K patterns: Discrete(K + 3).

    | action | meaning |
    |---|---|
    | 0..K-1 | capture with pattern k at its exposure |
    | K, K+1, K+2 | declare infected, healthy, refer to somebody else |

    Action with free weights of L lamps: Box(-1, 1, L + 4). The first L are drives, of which 0..1 counts, rounded to
    the 8 bits of a board; the meter exposes them. The last four are preferences for capture, infected, healthy and
    refer, of which the largest among those allowed is done.
    `action_masks()` and info["action_mask"] name the kinds that are allowed now: not a pattern beyond `repeats` or
    a budget, no declaration before `captures_min`. Anything else is refused, and so are weights that light nothing
    or go beyond a budget: nothing is lit, the belief stays, the step counts, info["refused"] is True.
    Frame: the weighted sum of the cell's one-lamp images times exposure, with shot noise, read noise and digits of
    the world's camera (`lsm.optics.exposures`, which says what differs from the twin).
    Start: nothing captured, the belief at the share of infected cells. reset(seed) starts the seed's first episode,
    a reset without one its next. Options: {"cell": row}, {"patient": name},
    {"budget": {"captures": n, "light_led_s": LED-seconds, "time_s": seconds}}.
    End: `terminated` after a declaration. A budget that is used up leaves only declarations. `truncated` after
    `steps_max` steps without one, which only refused actions lead to.
    Reward, in units of one missed infection: the cost of a wrong declaration or a referral, and where it is wanted
    the logarithmic score of the belief; minus the cost of captures, LED-seconds, seconds and refused actions, all
    as in the world's configuration.
    Info: belief (probability of infection), captures, light_led_s, time_s, declared, action_mask, refused; the
    truth is not in it.
    Randomness: cell and noise depend on seed, episode and capture alone; same seed, same bytes, also in the vector
    form and in BatchAdaptiveEnv.

    Version history: v0 first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012 (Gymnasium's own)

    def __init__(
        self, world: AdaptiveWorld | None = None, *, free_weights: bool = False, render_mode: str | None = None
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise InputError(f"There is no render mode '{render_mode}'.", hint="it is 'rgb_array', or none")
        self.world = world or default_world(free=free_weights)
        self.batch = BatchAdaptiveEnv(self.world)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.world)
        self.action_space = action_space(self.world.rules)
        self._started = False
        self._beliefs: list[float] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObservationArray, dict[str, Any]]:
        super().reset(seed=seed)
        meant: dict[str, Any] = start_options(options, self.world, 1)
        if seed is not None or not self._started:
            self.batch.reset(1, self.np_random_seed & SEED_BITS, **meant)
        else:
            self.batch.renew(torch.ones(1, dtype=torch.bool, device=self.batch.view.belief.device), **meant)
        self._started = True
        self._beliefs = [float(self.batch.view.belief[0])]
        return self._observation(), self._info(torch.zeros(1, dtype=torch.bool))

    def step(self, action: Any) -> tuple[ObservationArray, float, bool, bool, dict[str, Any]]:
        self._require_episode()
        step = self.batch.step(torch.from_numpy(np.asarray(action))[None])
        self._beliefs.append(float(step.view.belief[0]))
        ends = bool(step.terminated[0]), bool(step.truncated[0])
        return self._observation(), float(step.reward[0]), *ends, self._info(step.refused)

    def action_masks(self) -> AllowedArray:
        """True for every kind of action that is allowed now."""
        self._require_episode()
        allowed: AllowedArray = self.batch.view.allowed[0].cpu().numpy()
        return allowed

    def render(self) -> UInt8[np.ndarray, "y x 3"] | None:
        """The present moment as a picture; None without a render mode."""
        if self.render_mode is None:
            return None
        self._require_episode()
        return draw_scene(Scene.of(self.batch, 0, self._beliefs))

    def _require_episode(self) -> None:
        if not self._started:
            raise InputError("The environment has no episode yet.", hint="call reset() first")

    def _observation(self) -> ObservationArray:
        observation: ObservationArray = observations(self.batch.view, self.world)[0]
        return observation

    def _info(self, refused: torch.Tensor) -> dict[str, Any]:
        info = {name: values[0] for name, values in information(self.batch, refused).items()}
        plain = {name: value.item() for name, value in info.items() if name != "action_mask"}
        return {**plain, "action_mask": info["action_mask"], "declared": declaration(plain["declared"])}


@lru_cache(maxsize=2)
def default_world(*, free: bool) -> AdaptiveWorld:
    """The invented world, made once: it never changes."""
    return invented_world(free=free)
