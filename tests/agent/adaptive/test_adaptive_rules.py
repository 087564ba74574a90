"""Masks, budgets, rewards and ends of episodes at invented cells."""

import pytest
import torch

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget, CellCosts, CellReward
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.reader import in_nats, log_belief, odds_step, probability
from lsm.agent.adaptive.world import AdaptiveWorld
from lsm.config import shipped_config
from lsm.errors import ConfigError, InputError, WrongFormat

INFECTED, HEALTHY, REFER = 5, 6, 7


def env_of(world: AdaptiveWorld, config: AdaptiveConfig) -> BatchAdaptiveEnv:
    return BatchAdaptiveEnv(
        AdaptiveWorld(
            world.source,
            world.light,
            world.reader,
            irradiance=world.irradiance,
            config=config,
            camera=world.camera,
            flux_e_per_ms=world.flux_e_per_ms,
        )
    )


@pytest.fixture(scope="module")
def world() -> AdaptiveWorld:
    return invented_world()


@pytest.fixture(scope="module")
def free() -> AdaptiveWorld:
    return invented_world(free=True)


def every(n: int, action: int) -> torch.Tensor:
    return torch.full((n,), action)


def test_only_captures_are_allowed_at_first(world: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig())
    view = env.reset(3, 0)
    assert view.allowed.tolist() == [[True] * 5 + [False] * 3] * 3
    assert view.belief.tolist() == [0.5] * 3
    assert not view.frame.any()
    assert env.rules.kind_names[4:] == ("pattern 4", "infected", "healthy", "refer")


def test_a_pattern_is_captured_as_often_as_the_rules_say(world: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig(repeats=2, budget=CellBudget(captures=3)))
    env.reset(2, 0)
    env.step(torch.tensor([1, 1]))
    step = env.step(torch.tensor([1, 2]))
    assert step.view.allowed[:, :5].tolist() == [[True, False, True, True, True], [True] * 5]
    refused = env.step(torch.tensor([1, 1]))
    assert refused.refused.tolist() == [True, False]
    assert refused.reward.tolist() == pytest.approx([-0.1, -0.01])
    assert env.state.captures.tolist() == [2, 3]
    assert refused.view.allowed[1].tolist() == [False] * 5 + [True] * 3


def test_budgets_of_light_and_time_close_the_patterns_that_exceed_them(world: AdaptiveWorld):
    lights, exposures = world.rules.lights_led_s, world.rules.exposures_ms
    most = lights[0] + lights[3]
    env = env_of(world, AdaptiveConfig(budget=CellBudget(light_led_s=most)))
    view = env.reset(1, 0)
    assert view.allowed[0, :5].tolist() == [light <= most for light in lights]
    env.step(every(1, 0))
    # the last digit of the budget may be used
    step = env.step(every(1, 3))
    assert float(env.state.light_led_s) == pytest.approx(most)
    assert step.view.allowed[0].tolist() == [False] * 5 + [True] * 3
    longest_s = max(exposures) / 1000
    env = env_of(world, AdaptiveConfig(budget=CellBudget(time_s=longest_s)))
    # every capture also takes its overhead
    assert not env.reset(1, 0).allowed[0, exposures.index(max(exposures))]


def test_an_unseen_cell_can_be_declared_where_nothing_can_be_captured(world: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig(budget=CellBudget(time_s=0.001)))
    assert env.reset(1, 0).allowed[0].tolist() == [False] * 5 + [True] * 3


def test_declarations_cost_what_they_are_worth(world: AdaptiveWorld):
    reward = CellReward(missed=2.0, false_alarm=0.5, referred=0.3)
    env = env_of(world, AdaptiveConfig(reward=reward, costs=CellCosts(per_capture=0.0)))
    env.reset(60, 0)
    env.step(every(60, 0))
    ill = env.infected
    assert 10 < int(ill.sum()) < 50
    step = env.step(torch.arange(60) % 3 + INFECTED)
    wanted = {(0, True): 0.0, (0, False): -0.5, (1, True): -2.0, (1, False): 0.0, (2, True): -0.3, (2, False): -0.3}
    assert step.reward.tolist() == pytest.approx([wanted[k % 3, bool(ill[k])] for k in range(60)])
    assert step.terminated.all()
    assert not step.truncated.any()


def test_looking_costs_captures_light_and_time(world: AdaptiveWorld):
    costs = CellCosts(per_capture=0.02, per_led_s=0.5, per_s=0.1, overhead_s=0.05)
    env = env_of(world, AdaptiveConfig(costs=costs))
    env.reset(1, 0)
    light, exposure_s = env.rules.lights_led_s[1], env.rules.exposures_ms[1] / 1000
    paid = float(env.step(every(1, 1)).reward)
    assert paid == pytest.approx(-(0.02 + 0.5 * light + 0.1 * (exposure_s + 0.05)), rel=1e-6)


def test_a_shaped_score_adds_up_to_the_plain_one(world: AdaptiveWorld):
    totals = []
    for shaped in (False, True):
        env = env_of(world, AdaptiveConfig(reward=CellReward(log_score=0.5, shaped=shaped)))
        env.reset(40, 1)
        actions = [every(40, k) for k in (0, 2, 4, REFER)]
        totals.append(sum(env.step(action).reward.double() for action in actions))
    # where the belief began: ln 0.5, half of it
    torch.testing.assert_close(totals[1], totals[0] + 0.5 * 0.6931, rtol=0, atol=1e-3)


def test_who_only_asks_for_what_is_refused_is_cut_off(world: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig(steps_max=8))
    env.reset(2, 0)
    for count in range(8):
        step = env.step(torch.tensor([INFECTED, count if count < 5 else HEALTHY]))
    assert step.truncated.tolist() == [True, False]
    assert step.terminated.tolist() == [False, True]
    paid = env.step(every(2, 0)).reward
    assert paid.tolist() == [0.0, 0.0]


def test_places_start_anew_one_by_one(world: AdaptiveWorld):
    env, other = (env_of(world, AdaptiveConfig()) for _ in range(2))
    first = env.reset(4, 5)
    cells = env.row.clone()
    env.step(every(4, 0))
    env.step(torch.tensor([INFECTED, 1, HEALTHY, 2]))
    view = env.renew(env.done)
    assert env.state.captures.tolist() == [0, 2, 0, 2]
    assert torch.equal(env.row[[1, 3]], cells[[1, 3]])
    assert torch.equal(view.facts[[0, 2]], first.facts[[0, 2]])
    assert not env.done.any()
    other.reset(4, 5)
    other.renew(torch.ones(4, dtype=torch.bool))
    assert torch.equal(other.row[[0, 2]], env.row[[0, 2]])
    for _ in range(2):
        frames = [each.step(every(4, 4)).view.frame for each in (env, other)]
        assert torch.equal(frames[0][[0, 2]], frames[1][[0, 2]])
    assert not torch.equal(frames[0][1], frames[1][1])


def test_cells_are_infected_as_often_as_the_rules_say(world: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig(infected_share=0.2))
    view = env.reset(4000, 0)
    # a share of 0.2 in 4,000: five standard errors
    assert float(env.infected.double().mean()) == pytest.approx(0.2, abs=5 * (0.16 / 4000) ** 0.5)
    # log-odds in steps of 1/256 nat
    assert float(view.belief[0]) == pytest.approx(0.2, abs=0.16 / 512)
    counts = torch.bincount(env.row, minlength=len(world.source.stack)).double()
    assert (counts > 0).all()


def test_free_weights_are_exposed_and_charged(free: AdaptiveWorld):
    env = env_of(free, AdaptiveConfig())
    env.reset(3, 0)
    weights = torch.zeros(3, 13)
    weights[0, 4], weights[1, :9], weights[2, :9] = 0.5, 1.0, -1.0
    weights[:, 9] = 1.0
    step = env.step(weights)
    assert step.refused.tolist() == [False, False, True]
    assert env.state.captures.tolist() == [1, 1, 0]
    # 8 bits: 0.5 is shown as 128 of 255
    used = env.state.used[0, 4]
    assert float(used) == pytest.approx(128 / 255)
    exposures = env.state.time_s - env.rules.costs.overhead_s
    assert env.state.light_led_s[:2].tolist() == pytest.approx((exposures * env.state.used.sum(1))[:2].tolist())
    weights[:, 9:] = torch.tensor([0.0, 1.0, 0.5, 0.2])
    assert env.step(weights).terminated.tolist() == [True, True, False]


def test_the_largest_preference_among_those_allowed_is_done(free: AdaptiveWorld):
    env = env_of(free, AdaptiveConfig(captures_min=1))
    env.reset(1, 0)
    action = torch.ones(1, 13)
    action[:, 9:] = torch.tensor([-1.0, 1.0, 1.0, 1.0])
    step = env.step(action)
    assert (env.state.captures.tolist(), step.refused.tolist()) == ([1], [False])


def test_the_meter_reaches_the_wanted_signal(free: AdaptiveWorld):
    env = env_of(free, AdaptiveConfig())
    env.reset(200, 0)
    action = torch.zeros(200, 13)
    action[:, 4], action[:, 9] = 1.0, 1.0
    frame = env.step(action).view.frame
    camera = free.camera
    electrons = (frame.double() - camera.offset_adu).mean() * camera.gain_e_per_adu
    # measured on the same cells but not as often each; sizes and spots differ by a few percent
    assert float(electrons) == pytest.approx(1500, rel=0.03)


def test_beliefs_are_looked_up_on_their_scale():
    odds = odds_step(torch.tensor([-100.0, -1.0, 0.0, 0.001, 0.003, 100.0]))
    assert odds.tolist() == [-4096, -256, 0, 0, 1, 4096]
    assert probability(odds).tolist() == pytest.approx(torch.sigmoid(in_nats(odds)).tolist())
    assert log_belief(odds).tolist() == pytest.approx(torch.nn.functional.logsigmoid(in_nats(odds)).tolist())


def test_the_shipped_rules_are_the_defaults():
    assert AdaptiveConfig.from_file(shipped_config("agent/adaptive.toml")) == AdaptiveConfig()


def test_rules_that_cannot_end_are_refused():
    with pytest.raises(ConfigError, match="end before"):
        AdaptiveConfig(steps_max=6)
    with pytest.raises(ConfigError, match="lower captures_min"):
        AdaptiveConfig(captures_min=7)
    with pytest.raises(ConfigError, match="unknown key"):
        AdaptiveConfig.from_table({"capture": 3})


def test_what_is_no_action_is_refused(world: AdaptiveWorld, free: AdaptiveWorld):
    env = env_of(world, AdaptiveConfig())
    with pytest.raises(InputError, match=r"reset\(\)"):
        env.step(every(1, 0))
    env.reset(2, 0)
    with pytest.raises(WrongFormat, match="not all known"):
        env.step(torch.tensor([0, 8]))
    unbound = env_of(free, AdaptiveConfig())
    unbound.reset(1, 0)
    with pytest.raises(WrongFormat, match="not all finite"):
        unbound.step(torch.full((1, 13), float("nan")))
