"""`lsm/SlideSearch-v0` keeps Gymnasium's contract and agrees with the batched environment."""

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
from lsm.errors import InputError
from lsm.stats import ScoreCalibration

World = tuple[SlideTables, ScoreCalibration]


@pytest.fixture(scope="module")
def invented() -> Laboratory:
    return invented_laboratory(4)


def test_gymnasium_finds_no_fault():
    env = gym.make(SLIDE_SEARCH)
    check_env(env.unwrapped)


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
