"""How fast a policy for one cell learns: our PPO beside Stable-Baselines3's recurrent one, in the same world."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np

from lsm.agent.adaptive import AdaptiveWorld, BatchAdaptiveEnv
from lsm.agent.adaptive.env import AdaptiveIlluminationEnv
from lsm.agent.adaptive.policies import CellNetworkConfig, CellPpo, CellPpoConfig

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

UNITS: Final = 64
"""Of the recurrent layer."""
EPOCHS: Final = 4
MINIBATCHES: Final = 4
ROLLOUT_STEPS: Final = 16
"""Of every environment of theirs where many are computed together: two whole episodes and a little more."""
USUAL_ENVS: Final = 8
USUAL_STEPS: Final = 128


@dataclass(frozen=True)
class TrainingSize:
    """episodes: of a rollout of ours. envs: of theirs, computed together. rounds: rollouts, each learnt from."""

    episodes: int
    envs: int
    rounds: int


WHOLE: Final = TrainingSize(1024, 256, 5)
QUICK: Final = TrainingSize(32, 8, 1)


@dataclass(frozen=True)
class TrainingRates:
    """Steps of the environment a second, learning included; medians over rounds.

    usual: theirs, with eight registered environments stepped one after the other, as its users have them. vector:
    theirs in our vector form. None without the packages of the extra `sb3`. All have one recurrent layer of the same
    size and learn from every rollout as often.
    """

    ours: float
    usual: float | None = None
    vector: float | None = None

    @property
    def times(self) -> float | None:
        """Ours over theirs in its usual form."""
        return None if self.usual is None else self.ours / self.usual


def training_rates(world: AdaptiveWorld, size: TrainingSize, *, seed: int) -> TrainingRates:
    """All learn from the facts alone where they can, in turns; the first round is not counted."""
    learners = [_ours(world, size, seed)]
    if find_spec("sb3_contrib"):
        from stable_baselines3.common.vec_env import DummyVecEnv

        from lsm.agent.adaptive.policies.sb3 import CellVecEnv

        usual = DummyVecEnv([lambda: AdaptiveIlluminationEnv(world)] * USUAL_ENVS)
        learners.append(_theirs(usual, USUAL_STEPS if size is WHOLE else ROLLOUT_STEPS, seed))
        learners.append(_theirs(CellVecEnv(world, size.envs, seed=seed, frames=False), ROLLOUT_STEPS, seed))
    rounds = np.array([[learn() for learn in learners] for _ in range(size.rounds + 1)])[1:]
    return TrainingRates(*np.median(rounds, axis=0).tolist())


def _ours(world: AdaptiveWorld, size: TrainingSize, seed: int) -> Callable[[], float]:
    network = CellNetworkConfig(units=UNITS)
    config = CellPpoConfig(updates=size.rounds + 1, episodes=size.episodes, epochs=EPOCHS, network=network)
    ppo = CellPpo(BatchAdaptiveEnv(world), config, seed=seed)

    def rate() -> float:
        before, started = ppo.steps, time.perf_counter()
        ppo.train_once()
        return (ppo.steps - before) / (time.perf_counter() - started)

    return rate


def _theirs(envs: "VecEnv", n_steps: int, seed: int) -> Callable[[], float]:
    from sb3_contrib import RecurrentPPO

    steps = n_steps * envs.num_envs
    network = {"lstm_hidden_size": UNITS, "net_arch": [UNITS], "enable_critic_lstm": False, "shared_lstm": True}
    model = RecurrentPPO(
        "MlpLstmPolicy",
        envs,
        n_steps=n_steps,
        batch_size=steps // MINIBATCHES,
        n_epochs=EPOCHS,
        policy_kwargs=network,
        seed=seed,
        device="cpu",
    )

    def rate() -> float:
        started = time.perf_counter()
        model.learn(steps, reset_num_timesteps=False)
        return steps / (time.perf_counter() - started)

    return rate
