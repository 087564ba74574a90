"""`lsm/AdaptiveIllumination-v0` keeps the contracts of Gymnasium and Stable-Baselines3, to the byte."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from lsm.agent import register_envs
from lsm.agent.adaptive import BatchAdaptiveEnv
from lsm.agent.adaptive.env import AdaptiveIlluminationEnv
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.outside import observations
from lsm.agent.adaptive.vector import AdaptiveIlluminationVectorEnv
from lsm.agent.register import ADAPTIVE_ILLUMINATION
from lsm.errors import InputError

BOTH = pytest.mark.parametrize("free", [False, True], ids=["patterns", "free weights"])
STEPS = 1000


def make(**options: Any) -> AdaptiveIlluminationEnv:
    env = gym.make(ADAPTIVE_ILLUMINATION, **options).unwrapped
    assert isinstance(env, AdaptiveIlluminationEnv)
    return env


def some_action(env: AdaptiveIlluminationEnv, rng: np.random.Generator) -> Any:
    """Mostly allowed; sometimes not."""
    if env.world.rules.free:
        return rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
    allowed = np.flatnonzero(env.action_masks())
    return np.int64(rng.choice(allowed) if rng.random() < 0.9 else rng.integers(env.world.rules.n_kinds))


@BOTH
def test_gymnasium_finds_no_fault(free: bool):
    check_env(make(free_weights=free))


def test_gymnasium_finds_no_fault_with_a_world_of_ones_own_that_is_rendered():
    # its checks copy what an environment was made with, and make another
    check_env(make(world=invented_world(), render_mode="rgb_array"))


@BOTH
def test_stable_baselines_finds_no_fault(free: bool):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make(free_weights=free))


def test_registering_twice_is_harmless():
    register_envs()
    register_envs()
    assert ADAPTIVE_ILLUMINATION in gym.registry


def played(
    env: AdaptiveIlluminationEnv, seed: int, actions: list[Any] | None = None, steps: int = STEPS
) -> tuple[list[bytes], list[Any]]:
    """The bytes of each step and what was done in it; episodes follow each other."""
    rng, taken = np.random.default_rng(seed), []
    observation, _ = env.reset(seed=seed)
    parts = [observation.tobytes()]
    for step in range(steps):
        action = some_action(env, rng) if actions is None else actions[step]
        observation, reward, terminated, truncated, info = env.step(action)
        ends = bytes([terminated, truncated])
        told = np.array([reward, info["belief"], info["light_led_s"], info["time_s"]]).tobytes()
        parts.append(observation.tobytes() + ends + told + info["action_mask"].tobytes())
        taken.append(action)
        if terminated or truncated:
            parts[-1] += env.reset()[0].tobytes()
    return parts, taken


@BOTH
def test_a_thousand_steps_replay_to_the_byte(free: bool):
    env = make(free_weights=free)
    first, actions = played(env, 11)
    assert played(make(free_weights=free), 11, actions)[0] == first
    # and in the environment that has seen other things
    assert played(env, 11, actions, 50)[0] == first[:51]
    assert played(env, 12, actions, 50)[0] != first[:51]


@BOTH
def test_the_vector_form_equals_single_ones(free: bool):
    n = 5
    together = gym.make_vec(
        ADAPTIVE_ILLUMINATION, num_envs=n, vectorization_mode="vector_entry_point", free_weights=free
    )
    assert isinstance(together.unwrapped, AdaptiveIlluminationVectorEnv)
    apart = gym.vector.SyncVectorEnv([lambda: gym.make(ADAPTIVE_ILLUMINATION, free_weights=free)] * n)
    assert together.single_observation_space == apart.single_observation_space
    assert together.action_space == apart.action_space
    rng = np.random.default_rng(0)
    for seed in (3, None, [9, 1, 9, 4, 5]):
        pair = [each.reset(seed=seed)[0] for each in (together, apart)]
        assert pair[0].tobytes() == pair[1].tobytes()
        for _ in range(40):
            actions = rng.uniform(-1, 1, (n, 13)).astype(np.float32) if free else rng.integers(0, 8, n)
            ours, theirs = (each.step(actions) for each in (together, apart))
            assert ours[0].tobytes() == theirs[0].tobytes()
            # Gymnasium widens the rewards of its single environments
            assert np.asarray(ours[1], dtype=np.float64).tobytes() == np.asarray(theirs[1]).tobytes()
            assert [list(ends) for ends in ours[2:4]] == [list(ends) for ends in theirs[2:4]]
            for name in ("belief", "captures", "refused", "declared"):
                assert list(ours[4][name]) == list(theirs[4][name])


def test_one_cell_equals_its_place_in_a_large_batch():
    env, n = make(), 300
    batch = BatchAdaptiveEnv(env.world)
    view = batch.reset(n, 100)
    rng = np.random.default_rng(2)
    actions = [rng.integers(0, 8, n) for _ in range(6)]
    seen = [observations(view, env.world)]
    seen += [observations(batch.step(torch.from_numpy(action)).view, env.world) for action in actions]
    for place in (0, 1, 17, 298, 299):
        observation, _ = env.reset(seed=100 + place)
        assert observation.tobytes() == seen[0][place].tobytes()
        for action, wanted in zip(actions, seen[1:], strict=True):
            assert env.step(action[place])[0].tobytes() == wanted[place].tobytes()


def test_options_name_the_cell_and_the_budget():
    env = make()
    stack = env.world.source.stack
    env.reset(seed=0, options={"cell": 7})
    assert int(env.batch.row) == 7
    drawn = set()
    for _ in range(20):
        env.reset(options={"patient": "P3"})
        drawn.add(str(stack.patient[int(env.batch.row)]))
    assert drawn == {"P3"}
    _, info = env.reset(options={"budget": {"captures": 1}})
    assert info["action_mask"].tolist() == [1] * 5 + [0] * 3
    info = env.step(np.int64(0))[4]
    assert info["action_mask"].tolist() == [0] * 5 + [1] * 3
    _, info = env.reset(options={"budget": {"light_led_s": 0.02}})
    assert info["action_mask"].tolist() == [1, 0, 0, 1, 1, 0, 0, 0]
    # an option holds for one reset
    assert env.reset()[1]["action_mask"].tolist() == [1] * 5 + [0] * 3


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"slide": 1}, "no option 'slide'"),
        ({"cell": 1000}, "no cell 1000"),
        ({"patient": "nobody"}, "no patient 'nobody'"),
        ({"budget": {"captures": 32}}, "does not fit these rules"),
        ({"budget": {"light": 1}}, "unknown key 'light'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], what: str):
    with pytest.raises(InputError, match=f"{what}.* Hint: "):
        make().reset(seed=0, options=options)


def test_nothing_works_before_the_first_reset():
    for call in (lambda env: env.step(0), lambda env: env.action_masks(), lambda env: env.render()):
        with pytest.raises(InputError, match=r"call reset\(\) first"):
            call(make(render_mode="rgb_array"))
    with pytest.raises(InputError, match="call reset"):
        AdaptiveIlluminationVectorEnv(2).step(np.zeros(2, dtype=np.int64))
    with pytest.raises(InputError, match="num_envs"):
        AdaptiveIlluminationVectorEnv(0)
    with pytest.raises(InputError, match="3 environments"):
        AdaptiveIlluminationVectorEnv(3).reset(seed=[1, 2])
    with pytest.raises(InputError, match="no render mode"):
        AdaptiveIlluminationEnv(render_mode="human")


@BOTH
def test_the_picture_shows_what_happens(free: bool):
    env = make(free_weights=free, render_mode="rgb_array")
    env.reset(seed=1, options={"budget": {"light_led_s": 3.0}})
    pictures = [env.render()]
    for _ in range(2):
        env.step(some_action(env, np.random.default_rng(5)))
        pictures.append(env.render())
    assert all(picture is not None and picture.shape == (360, 720, 3) for picture in pictures)
    assert all(picture is not None and picture.dtype == np.uint8 for picture in pictures)
    # the frame, the light, the belief and the budget change
    changed = (np.asarray(pictures[0]) != np.asarray(pictures[1])).any(axis=2)
    quarters = (changed[:200, 240:480], changed[:200, 480:], changed[200:, :480], changed[200:, 480:])
    assert all(part.mean() > 5e-4 for part in quarters)
    assert make().render() is None
