"""The batched environment: repeatable, paid as its specification says, blind to the truth except in the reward."""

import dataclasses

import numpy as np
import pytest
import torch

from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import RewardConfig, SearchRules
from lsm.agent.state import evidence
from lsm.agent.synthetic import synthetic_tables
from lsm.agent.tables import SlideTables
from lsm.errors import WrongFormat
from lsm.stats import ScoreCalibration, prevalence_em

World = tuple[SlideTables, ScoreCalibration]


def _play(env: BatchSlideEnv, n: int, seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Observations and summed rewards of random searches."""
    generator = torch.Generator().manual_seed(seed)
    seen, total, observations = env.reset(n, generator), torch.zeros(n), []
    while not bool(env.done.all()):
        observations.append(seen.observation)
        action = torch.multinomial(seen.allowed.float(), 1, generator=generator)[:, 0]
        seen, reward, _ = env.step(action)
        total += reward
    return observations, total


def test_same_seed_gives_the_same_bytes(env: BatchSlideEnv):
    first, second = _play(env, 16, 5), _play(env, 16, 5)
    assert all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], _play(env, 16, 6)[1])


def test_estimates_equal_those_of_the_numpy_statistics(env: BatchSlideEnv, world: World):
    _play(env, 64, 1)
    counts = evidence(env.state, env.rules).numpy()
    expected = prevalence_em(counts, world[1].p_infected, world[1].p_uninfected, iterations=3000)
    # expectation maximisation is about 1 / iterations short of the limit at the edges
    assert env.view.prevalence.numpy() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("shaped", [True, False])
def test_rewards_sum_to_the_final_error_and_the_costs(world: World, rules: SearchRules, shaped: bool):
    paid = rules.model_copy(update={"reward": RewardConfig(shaped=shaped)})
    env = BatchSlideEnv(world[0], EvidenceModel.of(world[1]), paid)
    _, total = _play(env, 32, 2)
    state, costs = env.state, paid.costs
    truth = torch.from_numpy(world[0].truth)[env.slide]
    floor, cap = paid.reward.floor, paid.reward.cap
    error = torch.log((env.view.prevalence + floor) / (truth + floor)).abs().clamp_max(cap)
    cost = costs.per_capture * state.captures + costs.per_mm * state.travel_um / 1000
    expected = (cap if shaped else 0.0) - error - cost
    # float32 rewards of at most 3 nats, summed over at most 24 steps
    assert total.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_truth_changes_nothing_but_the_reward(env: BatchSlideEnv, world: World):
    lying = dataclasses.replace(world[0], truth=world[0].truth[::-1].copy())
    other = BatchSlideEnv(lying, env.model, env.rules)
    (seen, paid), (seen_too, paid_too) = _play(env, 16, 7), _play(other, 16, 7)
    assert all(torch.equal(a, b) for a, b in zip(seen, seen_too, strict=True))
    assert not torch.equal(paid, paid_too)


def test_searches_that_are_over_stay_as_they_are(env: BatchSlideEnv):
    env.reset(2, torch.Generator().manual_seed(0))
    env.step(torch.tensor([0, 0]))
    env.step(torch.tensor([env.rules.stop, 1]))
    before = env.error[0].item()
    _, reward, done = env.step(torch.tensor([0, env.rules.jump]))
    assert done.tolist() == [True, False]
    assert reward[0].item() == 0.0
    assert int(env.state.captures[0]) == 1
    assert env.error[0].item() == before


def test_a_flip_mirrors_the_slide(env: BatchSlideEnv, world: World):
    columns = env.rules.grid.columns
    env.reset(1, slides=torch.tensor([3]), flips=torch.tensor([2]))
    env.step(torch.tensor([0]))
    assert np.array_equal(env.state.hists[0, 0].numpy(), world[0].hists[3, columns - 1, 1].astype(np.float32))


def test_tables_of_another_grid_are_refused(world: World, rules: SearchRules):
    other = rules.model_copy(update={"grid": rules.grid.model_copy(update={"rows": 2})})
    with pytest.raises(WrongFormat):
        BatchSlideEnv(world[0], EvidenceModel.of(world[1]), other)


def test_invented_tables_repeat_and_a_better_pattern_separates_better(rules: SearchRules, world: World):
    again, _ = synthetic_tables(rules, 4, seed=9)
    same, _ = synthetic_tables(rules, 4, seed=9)
    assert again.digest == same.digest
    calibration = world[1]
    distance = np.abs(calibration.p_infected - calibration.p_uninfected).sum(axis=1)
    assert distance[0b10] > distance[0b01]
