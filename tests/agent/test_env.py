"""`lsm/SlideSearch-v0` keeps Gymnasium's contract and agrees with the batched environment."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.env import Laboratory, SlideSearchEnv, Specimen, invented_laboratory
from lsm.agent.evidence import EvidenceModel
from lsm.agent.register import SLIDE_SEARCH, register_envs
from lsm.agent.rules import SearchRules
from lsm.agent.table_world import TableMicroscope, TableReader, table_codebook
from lsm.agent.tables import SlideTables
from lsm.agent.vector_env import SlideSearchVectorEnv
from lsm.errors import InputError
from lsm.stats import ScoreCalibration

World = tuple[SlideTables, ScoreCalibration]


@pytest.fixture(scope="module")
def invented() -> Laboratory:
    return invented_laboratory(4)


def test_gymnasium_finds_no_fault():
    env = gym.make(SLIDE_SEARCH, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_gymnasium_finds_no_fault_with_a_laboratory_of_ones_own(invented: Laboratory):
    check_env(gym.make(SLIDE_SEARCH, laboratory=invented, render_mode="rgb_array").unwrapped)


def test_stable_baselines3_finds_no_fault():
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="stable-baselines3 is not installed")
    checker.check_env(SlideSearchEnv(render_mode="rgb_array"), warn=True, skip_render_check=False)


def test_the_picture_shows_the_search(invented: Laboratory):
    env = SlideSearchEnv(invented, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    env.step(np.int64(0))
    second = env.render()
    assert first.shape == second.shape == (450, 800, 3)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, second)
    assert np.array_equal(second, env.render())
    assert SlideSearchEnv(invented).render() is None


def test_a_reset_takes_a_slide_a_parasitaemia_or_a_budget(invented: Laboratory):
    env = SlideSearchEnv(invented)
    tables = invented.tables
    env.reset(options={"slide": 2, "budget": 1})
    _, _, _, _, info = env.step(np.int64(0))
    assert info["action_mask"].tolist() == [0] * 9 + [1]
    by_number = env.reset(seed=0, options={"slide": int(tables.truth.argmax())})[0], env.step(np.int64(3))[0]
    by_share = env.reset(seed=0, options={"parasitaemia": 1.0})[0], env.step(np.int64(3))[0]
    assert np.array_equal(by_number, by_share)
    for options, hint in (({"slide": 4}, "0 to 3"), ({"budget": 0}, "1 to 24")):
        with pytest.raises(InputError, match=hint):
            env.reset(options=options)
    with pytest.raises(InputError, match="specimen"):
        SlideSearchEnv(invented._replace(tables=None)).reset(options={"slide": 0})


def test_a_trajectory_of_a_thousand_steps_replays_to_the_byte(invented: Laboratory, tmp_path: Path):
    def record(actions: np.ndarray | None) -> dict[str, np.ndarray]:
        """1,000 steps, searches one after the other; random actions, some of them refused, without given ones."""
        env, rng = SlideSearchEnv(invented), np.random.default_rng(5)
        observation, _ = env.reset(seed=11)
        taken, seen, paid, over = [], [observation], [], False
        for step in range(1000):
            if over:
                observation, _ = env.reset()
                seen.append(observation)
            action = rng.integers(env.action_space.n) if actions is None else actions[step]
            observation, reward, over, _, _ = env.step(action)
            taken.append(action)
            seen.append(observation)
            paid.append(reward)
        return {"actions": np.array(taken), "observations": np.stack(seen), "rewards": np.array(paid)}

    np.savez(tmp_path / "trajectory.npz", **record(None))
    with np.load(tmp_path / "trajectory.npz") as held:
        again = record(held["actions"])
        assert len(held["observations"]) > 1010
        assert all(held[name].tobytes() == again[name].tobytes() for name in held.files)


@pytest.mark.parametrize("seed", [0, 7])
def test_many_searches_at_once_equal_single_ones_to_the_byte(invented: Laboratory, seed: int):
    n = 5
    single = gym.vector.SyncVectorEnv([lambda: SlideSearchEnv(invented) for _ in range(n)])
    together = gym.make_vec(
        SLIDE_SEARCH, num_envs=n, vectorization_mode="vector_entry_point", laboratory=invented
    ).unwrapped
    rng = np.random.default_rng(1)
    (seen, info), (seen_too, info_too) = single.reset(seed=seed), together.reset(seed=seed)
    for _ in range(150):
        assert seen.tobytes() == seen_too.tobytes()
        assert set(info_too) == set(info)
        assert all(np.array_equal(info[name], info_too[name]) for name in info)
        actions = np.array(
            [
                rng.integers(10) if rng.random() < 0.1 else rng.choice(np.flatnonzero(mask))
                for mask in info["action_mask"]
            ]
        )
        seen, reward, over, _, info = single.step(actions)
        seen_too, reward_too, over_too, _, info_too = together.step(actions)
        assert reward.tobytes() == reward_too.tobytes()
        assert np.array_equal(over, over_too)


def test_many_searches_need_slides_as_tables(invented: Laboratory):
    with pytest.raises(InputError, match="tables"):
        SlideSearchVectorEnv(2, invented._replace(tables=None))
    with pytest.raises(InputError, match="reset"):
        SlideSearchVectorEnv(2, invented).action_masks()
    many = SlideSearchVectorEnv(3, invented)
    many.reset(seed=[1, 1, None], options={"slide": 1, "budget": 2})
    seen = many.step(np.array([0, 0, 0]))[0]
    assert np.array_equal(seen[0], seen[2])


def test_registering_twice_is_harmless():
    register_envs()
    register_envs()
    assert SLIDE_SEARCH in gym.registry


def _trace(env: SlideSearchEnv, seed: int) -> bytes:
    observation, info = env.reset(seed=seed)
    rng, parts, done = np.random.default_rng(0), [observation.tobytes()], False
    while not done:
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, done, truncated, info = env.step(action)
        assert not truncated
        parts += [observation.tobytes(), np.float64(reward).tobytes()]
    return b"".join(parts)


def test_same_seed_gives_the_same_bytes(invented: Laboratory):
    env = SlideSearchEnv(invented)
    assert _trace(env, 4) == _trace(env, 4)
    assert len({_trace(env, seed) for seed in range(6)}) > 1


def test_an_action_that_is_not_allowed_is_refused(invented: Laboratory):
    env = SlideSearchEnv(invented)
    with pytest.raises(InputError, match="reset"):
        env.action_masks()
    before = env.reset(seed=0)[0]
    observation, reward, done, _, info = env.step(np.int64(env.rules.stop))
    assert np.array_equal(observation, before)
    assert (reward, done, info["refused"], info["captures"]) == (-0.1, False, True, 0)
    assert env.action_masks().tolist() == [True] * 4 + [False] * 6


def test_one_search_equals_its_row_in_the_batch(world: World, rules: SearchRules):
    tables, calibration = world
    slide = 5

    def specimen(rng: np.random.Generator) -> Specimen:
        return Specimen(TableMicroscope(rules, slide), float(tables.truth[slide]))

    single = SlideSearchEnv(Laboratory(specimen, TableReader(tables), table_codebook(rules), rules, calibration))
    batch = BatchSlideEnv(tables, EvidenceModel.of(calibration), rules)
    seen = batch.reset(1, slides=torch.tensor([slide]))
    observation, info = single.reset(seed=0)
    rng, done = np.random.default_rng(1), False
    while not done:
        # the same numbers through the same functions; light is rounded to 8-bit levels on one side only
        assert observation == pytest.approx(seen.observation[0].numpy(), abs=1e-6)
        assert np.array_equal(info["action_mask"], seen.allowed[0].numpy())
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        observation, reward, done, _, info = single.step(action)
        seen, paid, _ = batch.step(torch.tensor([action]))
        # the batch pays in float32
        assert reward == pytest.approx(float(paid[0]), abs=1e-6)
