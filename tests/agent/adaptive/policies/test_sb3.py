"""Stable-Baselines3 trains in our environment, and its models act as our policies."""

from typing import Any

import numpy as np
import pytest
import torch

from lsm.agent.adaptive import AdaptiveWorld, BatchAdaptiveEnv
from lsm.agent.adaptive.evaluate import Trial, try_policy
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.outside import observations
from lsm.agent.adaptive.policies import Policy
from lsm.errors import ConfigError, InputError

sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")

from lsm.agent.adaptive.policies.sb3 import CellVecEnv, StableBaselinesPolicy  # noqa: E402

SHORT = {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "device": "cpu", "seed": 0}


@pytest.fixture(scope="module")
def world() -> AdaptiveWorld:
    return invented_world()


def _model(kind: str, env: CellVecEnv) -> Any:
    if kind == "recurrent":
        small = {"lstm_hidden_size": 8, "net_arch": [8]}
        return contrib.RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=small, **SHORT)
    maker = sb3.PPO if kind == "plain" else contrib.MaskablePPO
    return maker("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, **SHORT)


@pytest.mark.parametrize("kind", ["plain", "masked", "recurrent"])
@pytest.mark.parametrize("frames", [True, False])
def test_models_train_and_act(world: AdaptiveWorld, kind: str, frames: bool):
    model = _model(kind, CellVecEnv(world, 4, frames=frames)).learn(128)
    policy = StableBaselinesPolicy(model, world, frames=frames)
    assert isinstance(policy, Policy)
    env = BatchAdaptiveEnv(world)
    outcome = try_policy(policy, Trial(env, torch.arange(48), seed=1))
    assert (outcome.declared >= 0).all()
    again = try_policy(policy, Trial(env, torch.arange(48), seed=1))
    assert np.array_equal(outcome.log_score, again.log_score)
    with pytest.raises(ConfigError):
        StableBaselinesPolicy(model, world, frames=not frames)


@pytest.mark.parametrize("kind", ["masked", "recurrent"])
def test_probabilities_are_the_models_own(world: AdaptiveWorld, kind: str):
    model = _model(kind, CellVecEnv(world, 4, frames=False)).learn(64)
    policy = StableBaselinesPolicy(model, world, frames=False)
    env = BatchAdaptiveEnv(world)
    view, memory, states = env.reset(6, 3), policy.start(6), None
    for moment in range(2):
        seen = observations(view, world)[:, : policy.entries]
        choice = policy.act(view, memory)
        if kind == "masked":
            wanted, _ = model.predict(seen, action_masks=view.allowed.numpy(), deterministic=True)
            assert choice.action.tolist() == wanted.tolist()
        else:
            first = np.full(6, moment == 0)
            _, states = model.predict(seen, state=states, episode_start=first, deterministic=True)
            held = np.stack(states).transpose(2, 0, 1, 3).reshape(6, -1)
            # the same float32 sums
            assert np.allclose(choice.memory.numpy(), held, atol=1e-6)
        view, memory = env.step(torch.full((6,), moment)).view, choice.memory


def test_an_episode_that_ends_is_followed_by_the_next(world: AdaptiveWorld):
    env = CellVecEnv(world, 3, seed=5)
    batch = BatchAdaptiveEnv(world)
    first = env.reset()
    assert np.array_equal(first, observations(batch.reset(3, 5), world))
    healthy = world.rules.first_declaration + 1
    env.step(np.array([0, 1, 2]))
    seen, reward, done, infos = env.step(np.array([healthy, 3, healthy]))
    assert done.tolist() == [True, False, True]
    batch.step(torch.tensor([0, 1, 2]))
    step = batch.step(torch.tensor([healthy, 3, healthy]))
    last = observations(step.view, world)
    assert np.array_equal(reward, step.reward.numpy())
    assert np.array_equal(infos[0]["terminal_observation"], last[0])
    assert infos[0]["TimeLimit.truncated"] is False
    assert infos[1] == {}
    assert np.array_equal(seen[1], last[1])
    assert np.array_equal(seen, observations(batch.renew(batch.done), world))
    assert np.array_equal(np.stack(env.env_method("action_masks")), batch.view.allowed.numpy())
    assert env.seed(9) == [9, 10, 11]


def test_no_environments_are_refused(world: AdaptiveWorld):
    with pytest.raises(InputError):
        CellVecEnv(world, 0)
