"""Policies that nobody trains, in worlds whose best policy is known."""

import math

import numpy as np
import pytest
import torch
from riddle import FLIP, NEVER_REFER, World, balance, riddle

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget, CellReward, View
from lsm.agent.adaptive.choose import best_policy, best_sequences, best_single, fit_stops
from lsm.agent.adaptive.evaluate import Trial, try_policy
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.policies import (
    Choice,
    EvidenceModel,
    FixedSequence,
    GreedyInformation,
    OracleBound,
    Policy,
    RandomLight,
    SequentialTest,
    Thresholds,
    best_declaration,
    fit_evidence,
)
from lsm.agent.adaptive.policies.protocol import evidence_nats
from lsm.agent.adaptive.reader import probability
from lsm.errors import ConfigError

# the prior is a half, and the figures below are shares of 512 cells: 3 standard errors of a half
NOISE = 3 * math.sqrt(0.25 / 512)


@pytest.fixture(scope="module")
def world() -> World:
    return riddle()


@pytest.fixture
def trial(world: World) -> Trial:
    return Trial(BatchAdaptiveEnv(world.held_out), torch.arange(512), repeats=1, seed=5)


@pytest.fixture
def training(world: World) -> Trial:
    return Trial(BatchAdaptiveEnv(world.train), torch.arange(512), repeats=1, seed=900)


class BestOfRiddle(FixedSequence):
    """Pattern 0 first, then the one that it names."""

    def act(self, view: View, memory: torch.Tensor) -> Choice:
        choice = super().act(view, memory)
        # the frame's left half is brighter for cells of kind A, which pattern 1 reads
        frame = view.frame.float()
        second = torch.where(frame[:, :, :2].mean((1, 2)) > frame[:, :, 2:].mean((1, 2)), 1, 2)
        return choice._replace(action=torch.where(memory[:, 0] == 1, second, choice.action))


def test_the_riddle_is_what_it_says(trial: Trial):
    rules = trial.env.rules
    assert try_policy(BestOfRiddle(rules, (0, 0)), trial).mean("correct") > 1 - 3 * FLIP - NOISE
    for pair in ((0, 1), (0, 2), (1, 2), (2, 1), (1, 0)):
        assert try_policy(FixedSequence(rules, pair), trial).mean("correct") == pytest.approx(0.75, abs=NOISE + FLIP)


def test_a_fixed_sequence_captures_in_order_and_then_declares(trial: Trial):
    env, policy = trial.env, FixedSequence(trial.env.rules, (2, 0))
    view, memory = env.reset(8, 1), policy.start(8)
    seen = []
    while not bool(env.done.all()):
        choice = policy.act(view, memory)
        assert torch.equal(choice.probabilities.argmax(1), choice.action)
        seen.append(choice.action)
        view, memory = env.step(choice.action).view, choice.memory
    assert [int(step[0]) for step in seen[:2]] == [2, 0]
    assert all(bool((step == step[0]).all()) for step in seen[:2])
    assert torch.equal(seen[2], best_declaration(view.belief, env.rules))
    assert len(seen) == 3
    assert isinstance(policy, Policy)


def test_a_policy_never_takes_what_is_not_allowed():
    config = AdaptiveConfig(budget=CellBudget(captures=4), captures_min=2)
    env = BatchAdaptiveEnv(invented_world(config))
    rules = env.rules
    rows = torch.arange(len(env.world.source.stack))
    trial = Trial(env, rows)
    model = fit_evidence(env, rows)
    policies = [
        RandomLight(rules, 3, torch.Generator().manual_seed(0)),
        FixedSequence(rules, (1,)),
        FixedSequence(rules, (1, 1, 1, 1, 1)),
        SequentialTest(rules, (0, 1, 2, 3, 4), Thresholds(-0.1, 0.1)),
        GreedyInformation(rules, model, least=1e9),
        GreedyInformation(rules, model, least=0.0),
        OracleBound(env, 3),
        fit_stops(trial, (0, 3, 1)),
    ]
    for policy in policies:
        view, memory = env.reset(len(rows), 3, rows=rows), policy.start(len(rows))
        while not bool(env.done.all()):
            choice = policy.act(view, memory)
            step = env.step(choice.action)
            assert not bool(step.refused.any()), policy.name
            view, memory = step.view, choice.memory
        assert int(env.state.captures.min()) >= 2
        assert not bool(env.truncated.any())


def test_declarations_cost_least_and_refer_in_between():
    rules = AdaptiveConfig(reward=CellReward(missed=1.0, false_alarm=0.5, referred=0.2))
    env = BatchAdaptiveEnv(invented_world(rules))
    first = env.rules.first_declaration
    # healthy up to 0.2 (missed * p), infected from 0.6 (false_alarm * (1 - p)), refer between them
    belief = torch.tensor([0.01, 0.19, 0.21, 0.4, 0.59, 0.61, 0.99], dtype=torch.float64)
    assert (best_declaration(belief, env.rules) - first).tolist() == [1, 1, 2, 2, 2, 0, 0]


def test_choosing_on_training_cells_finds_the_best_fixed_patterns(training: Trial, trial: Trial):
    single = best_single(training)
    assert single.patterns in ((1,), (2,))
    by_length = best_sequences(training, 2, beam=3)
    assert [len(policy.patterns) for policy in by_length] == [1, 2]
    every = [FixedSequence(training.env.rules, (a, b)) for a in range(3) for b in range(3) if a != b]
    best, outcome = best_policy(every, training)
    assert try_policy(by_length[1], training).mean("cost") == outcome.mean("cost")
    assert try_policy(best, trial).mean("correct") < 0.75 + NOISE + FLIP


def test_greedy_never_asks_which_pattern_will_tell(training: Trial, trial: Trial):
    rules = trial.env.rules
    model = fit_evidence(training.env, training.rows)
    gains = model.gains(torch.zeros(1, dtype=torch.float64))[0]
    # a half of the cells show their sign, the rest a coin's: 1 - H(3/4 - FLIP / 2) of a bit
    right = 0.5 * (1 - FLIP) + 0.25
    expected = math.log(2) + right * math.log(right) + (1 - right) * math.log(1 - right)
    assert gains[0] < 0.002
    # the histograms count 512 cells
    assert gains[1:].tolist() == pytest.approx([expected] * 2, abs=0.05)
    policy = GreedyInformation(rules, model, least=0.0)
    outcome = try_policy(policy, trial)
    assert int(trial.env.state.used[:, 0].sum()) == 0
    assert outcome.mean("correct") < 0.75 + NOISE + FLIP


def test_greedy_stops_where_no_pattern_is_worth_its_price(training: Trial):
    model = fit_evidence(training.env, training.rows)
    captures = [
        try_policy(GreedyInformation(training.env.rules, model, least=least), training).mean("captures")
        for least in (0.0, 12.0, 1e6)
    ]
    assert captures[0] == 2
    assert captures[0] >= captures[1] >= captures[2] == training.env.rules.captures_min


def test_gain_is_the_mutual_information_of_a_hand_made_table():
    table = torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]], dtype=torch.float64)
    chance = 0.3
    joint = np.array([[0.7 * 0.9, 0.7 * 0.1], [0.3 * 0.2, 0.3 * 0.8]])
    outer = joint.sum(1, keepdims=True) * joint.sum(0)
    expected = float((joint * np.log(joint / outer)).sum())
    found = EvidenceModel(table).gains(torch.logit(torch.tensor([chance], dtype=torch.float64)))[0]
    # sums of eight float64 logarithms
    assert found.tolist() == pytest.approx([expected, 0.0], abs=1e-12)


def test_the_oracle_bounds_every_policy(trial: Trial, training: Trial):
    rules = trial.env.rules
    best = try_policy(BestOfRiddle(rules, (0, 0)), trial).mean("log_score")
    for noise in (False, True):
        assert try_policy(OracleBound(trial.env, 2, noise=noise), trial).mean("log_score") >= best
    assert "bound" in OracleBound(trial.env, 2).name


def test_the_oracle_leaves_the_environment_as_it_was(trial: Trial):
    env = trial.env
    view = env.reset(16, 4)
    before = env.state
    OracleBound(env, 2).act(view, torch.zeros(16, 1))
    OracleBound(env, 2, noise=True).act(view, torch.zeros(16, 1))
    assert env.state is before
    assert env.view is view


def test_an_oracle_that_knows_the_noise_sees_the_next_frame(trial: Trial):
    env = trial.env
    env.reset(64, 4)
    oracle = OracleBound(env, 2, noise=True)
    promised = oracle._odds_of_truth()
    view = env.step(torch.full((64,), 2)).view
    sign = env.infected.double() * 2 - 1
    assert torch.equal(promised[:, 2], sign * torch.logit(view.belief))


SPRT = AdaptiveConfig(budget=CellBudget(captures=200), repeats=200, steps_max=202, captures_min=0, reward=NEVER_REFER)


@pytest.mark.parametrize(("false_alarms", "misses"), [(0.05, 0.05), (0.02, 0.15)])
def test_a_sequential_test_keeps_walds_bounds_and_needs_fewer_captures(false_alarms: float, misses: float):
    env = BatchAdaptiveEnv(balance(SPRT))
    trial = Trial(env, torch.arange(64), repeats=64, seed=11)
    rules = env.rules
    thresholds = Thresholds.wald(false_alarms=false_alarms, misses=misses)
    outcome = try_policy(SequentialTest(rules, (0,) * 200, thresholds), trial)
    wrong = 1 - outcome.correct.mean(axis=0)
    n = outcome.correct.size / 2
    alarms, missed = wrong[~outcome.infected].mean(), wrong[outcome.infected].mean()
    for share, bound in ((alarms, false_alarms / (1 - misses)), (missed, misses / (1 - false_alarms))):
        # 3 standard errors of a share of n episodes
        assert share < bound + 3 * math.sqrt(bound * (1 - bound) / n)
    # the overshoot, which the bounds leave out, makes errors rarer by about a fifth at 0.4 spreads per capture
    assert alarms > 0.6 * false_alarms
    assert missed > 0.6 * misses
    fixed = FixedSequence(rules, (0,) * round(outcome.mean("captures")))
    assert try_policy(fixed, trial).mean("correct") < outcome.mean("correct") - 0.01


def test_stops_fitted_backwards_beat_every_constant_threshold_or_nearly():
    config = SPRT.model_copy(update={"budget": CellBudget(captures=20), "repeats": 20, "steps_max": 22})
    env = BatchAdaptiveEnv(balance(config, contrast=0.006))
    training, trial = (Trial(env, torch.arange(64), repeats=48, seed=seed) for seed in (0, 10**6))
    order = (0,) * 20
    fitted = try_policy(fit_stops(training, order), trial)
    levels = (0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    tests = [SequentialTest(env.rules, order, Thresholds(-level, level)) for level in levels]
    best, _ = best_policy(tests, training)
    constant = try_policy(best, trial)
    fixed = min(try_policy(FixedSequence(env.rules, (0,) * n), trial).mean("cost") for n in (1, 2, 4, 8, 16))
    # bins of half a nat, fitted on 3,072 episodes
    assert fitted.mean("cost") < constant.mean("cost") + 0.01
    assert fitted.mean("cost") < fixed - 0.01


def test_impossible_policies_are_refused(world: World):
    rules = world.train.rules
    env = BatchAdaptiveEnv(world.train)
    with pytest.raises(ConfigError):
        FixedSequence(rules, (3,))
    with pytest.raises(ConfigError):
        FixedSequence(rules, ())
    with pytest.raises(ConfigError):
        RandomLight(rules, 0, torch.Generator())
    with pytest.raises(ConfigError):
        Thresholds(0.5, 1.0)
    with pytest.raises(ConfigError):
        Thresholds.wald(false_alarms=0.6, misses=0.5)
    free = BatchAdaptiveEnv(invented_world(free=True))
    with pytest.raises(ConfigError):
        OracleBound(free, 2)
    with pytest.raises(ConfigError):
        fit_evidence(free, torch.arange(4))
    with pytest.raises(ConfigError):
        GreedyInformation(free.rules, fit_evidence(env, torch.arange(64)), least=0.0)


def test_random_light_draws_all_allowed_patterns_alike(trial: Trial):
    env = trial.env
    policy = RandomLight(env.rules, 1, torch.Generator().manual_seed(3))
    choice = policy.act(env.reset(3000, 1), policy.start(3000))
    share = torch.bincount(choice.action, minlength=6).double() / 3000
    # 4 standard errors of a third of 3,000
    assert share[:3].tolist() == pytest.approx([1 / 3] * 3, abs=4 * math.sqrt(2 / 9 / 3000))
    assert float(share[3:].sum()) == 0
    assert choice.probabilities[0].tolist() == pytest.approx([1 / 3] * 3 + [0] * 3)


def test_belief_lookup_is_the_logistic_of_the_evidence():
    rules = BatchAdaptiveEnv(invented_world(AdaptiveConfig(infected_share=0.2))).rules
    odds = torch.tensor([-512, 0, 700])
    prior = math.log(0.2 / 0.8)
    # float64 logit of a float64 logistic
    assert evidence_nats(probability(odds), rules).tolist() == pytest.approx(
        (odds.double() / 256 - prior).tolist(), abs=1e-9
    )
