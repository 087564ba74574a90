"""Backward induction finds the answers that are known, and teaches them."""

import math

import pytest
import torch
from riddle import FLIP, World, balance, riddle

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget, CellCosts, CellReward
from lsm.agent.adaptive.choose import fit_stops
from lsm.agent.adaptive.evaluate import Trial, try_policy
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.policies import FixedSequence, TrainedPolicy
from lsm.agent.adaptive.policies.backwards import BackwardsConfig, StageValues, ValuePolicy, imitate, train_backwards
from lsm.agent.adaptive.policies.network import CellNetworkConfig
from lsm.agent.adaptive.policies.ppo import CellPpo, CellPpoConfig
from lsm.errors import ConfigError

SMALL = BackwardsConfig(cells=512, units=24, epochs=15, rows_per_step=64, learning_rate=6e-3)
# no policy sees through the flips; 3 standard errors of 512 cells
REACHED = 1 - 2 * FLIP - 3 * math.sqrt(2 * FLIP / 512)


@pytest.fixture(scope="module")
def world() -> World:
    return riddle()


@pytest.fixture(scope="module")
def values(world: World) -> StageValues:
    return train_backwards(BatchAdaptiveEnv(world.train), SMALL, seed=0)


def test_it_finds_that_one_pattern_names_the_next(world: World, values: StageValues):
    trial = Trial(BatchAdaptiveEnv(world.held_out), torch.arange(512), seed=5)
    assert try_policy(ValuePolicy(values), trial).mean("correct") > REACHED


def test_a_network_that_imitates_it_knows_the_answer_too(world: World, values: StageValues):
    config = CellPpoConfig(updates=1, episodes=256, learning_rate=6e-3, network=CellNetworkConfig(units=32))
    ppo = CellPpo(BatchAdaptiveEnv(world.train), config, seed=0)
    imitate(ppo, values, 60)
    trial = Trial(BatchAdaptiveEnv(world.held_out), torch.arange(512), seed=5)
    assert try_policy(TrainedPolicy(ppo.network), trial).mean("correct") > REACHED
    assert ppo.update == 0


def test_it_stops_about_as_cheaply_as_the_best_stops_on_the_balance():
    """There the evidence is all that can be known, and stops by evidence are the optimum."""
    rules = AdaptiveConfig(
        budget=CellBudget(captures=3), costs=CellCosts(per_capture=0.02), reward=CellReward(referred=1.0), repeats=3
    )
    env = BatchAdaptiveEnv(balance(rules, contrast=0.008))
    learning = Trial(env, torch.arange(64), repeats=64, seed=1)
    best = fit_stops(learning, (0,) * 3)
    ours = ValuePolicy(train_backwards(env, SMALL, seed=0))
    trial = Trial(env, torch.arange(64), repeats=64, seed=100_000)
    costs = [try_policy(policy, trial).per_cell("cost") for policy in (ours, best, FixedSequence(env.rules, (0,)))]
    # 3 standard errors of the paired difference over 64 cells met 64 times each
    error = 3 * float((costs[0] - costs[1]).std()) / math.sqrt(64)
    assert costs[0].mean() < costs[1].mean() + error
    assert costs[0].mean() < costs[2].mean()


def test_the_same_seed_gives_the_same_weights():
    env = BatchAdaptiveEnv(invented_world(AdaptiveConfig(budget=CellBudget(captures=2))))
    small = SMALL.model_copy(update={"cells": 16, "epochs": 1})
    first, again, other = (
        torch.cat([weight.flatten() for weight in train_backwards(env, small, seed=seed).parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_has_learned_nothing_does_as_the_belief_says():
    env = BatchAdaptiveEnv(invented_world(AdaptiveConfig(captures_min=0)))
    values = StageValues(env.rules, env.world.reader.n_features, 8, torch.Generator().manual_seed(0))
    env.reset(32, 0)
    view = env.step(torch.zeros(32, dtype=torch.int64)).view
    found = values(view.facts, view.allowed)
    worth = env.rules.reward
    wanted = -torch.stack([worth.false_alarm * (1 - view.belief), worth.missed * view.belief], 1)
    assert torch.allclose(found[:, env.rules.first_declaration :][:, :2].double(), wanted.double(), atol=1e-6)
    assert bool((found[:, 0] == -torch.inf).all())  # no pattern twice


def test_branches_begin_where_their_place_is_and_leave_it():
    env = BatchAdaptiveEnv(invented_world())
    env.reset(6, 3)
    env.step(torch.arange(6) % 2)
    branched = env.branched(4)
    for k in range(4):
        assert torch.equal(branched.view.facts[k::4], env.view.facts)
        assert torch.equal(branched.key[k::4], env.key)
    before = env.view.facts.clone()
    after = branched.step(torch.full((24,), 2)).view
    assert torch.equal(env.view.facts, before)
    assert torch.equal(after.frame[0::4], env.step(torch.full((6,), 2)).view.frame)


def test_free_weights_are_refused():
    with pytest.raises(ConfigError, match="weights are free"):
        train_backwards(BatchAdaptiveEnv(invented_world(free=True)), SMALL, seed=0)
