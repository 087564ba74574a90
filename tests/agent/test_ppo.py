"""Training learns, repeats, and goes on where it stopped."""

from pathlib import Path

import pytest
import torch
from invented import TWO_PATTERNS

from lsm.agent.baselines import FixedScan, RandomSearch
from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.evaluate import Trial, score, try_policy
from lsm.agent.policy import NetworkConfig, SearchNetwork, TrainedPolicy
from lsm.agent.ppo import Ppo, PpoConfig, advantages
from lsm.agent.rules import SearchRules
from lsm.agent.synthetic import synthetic_tables
from lsm.agent.tables import SlideTables
from lsm.agent.train import TrainPolicyConfig, run_train_policy
from lsm.errors import ConfigError, FileMissing, ModelMismatch, WrongFormat
from lsm.stats import ScoreCalibration

World = tuple[SlideTables, ScoreCalibration]
TINY = PpoConfig(updates=3, searches=8, epochs=1, minibatches=2, network=NetworkConfig(units=8))


def _weights(ppo: Ppo) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in ppo.network.parameters()])


@pytest.fixture
def trial(world: World, rules: SearchRules) -> Trial:
    return Trial(world[0], world[1], rules)


def test_a_policy_learns_a_tiny_world(trial: Trial, rules: SearchRules):
    config = PpoConfig(updates=12, searches=192, network=NetworkConfig(units=32), learning_rate=1e-2)
    network = Ppo(trial.env(), config, seed=0).train()
    held, _ = synthetic_tables(rules, 64, seed=77, config=TWO_PATTERNS)
    fresh = Trial(held, trial.calibration, rules)
    ours = try_policy(TrainedPolicy(network), fresh)
    random = try_policy(RandomSearch(rules, torch.Generator().manual_seed(0)), fresh)
    bright = try_policy(FixedScan(rules, (0,)), fresh)
    assert score(random, ours).gain_high < 0
    assert score(bright, ours).gain_high < 0


def test_same_seed_gives_the_same_weights(env: BatchSlideEnv):
    first, second, other = (Ppo(env, TINY, seed=seed) for seed in (1, 1, 2))
    for ppo in (first, second, other):
        ppo.train()
    assert torch.equal(_weights(first), _weights(second))
    assert not torch.equal(_weights(first), _weights(other))


def test_a_resumed_training_ends_in_the_same_weights(env: BatchSlideEnv, tmp_path: Path):
    straight, stopped, resumed = (Ppo(env, TINY, seed=1) for _ in range(3))
    straight.train()
    stopped.train_once()
    stopped.clock.go_on(torch.tensor([1000.0, 400.0], dtype=torch.float64))
    stopped.save(tmp_path / "run.safetensors")
    resumed.load(tmp_path / "run.safetensors")
    resumed.train()
    assert torch.equal(_weights(straight), _weights(resumed))
    assert resumed.steps == straight.steps
    # the time of the sitting before counts, too
    assert resumed.clock.wall_s > 1000 > straight.clock.wall_s
    assert resumed.clock.cpu_s > 400 > straight.clock.cpu_s


def test_a_checkpoint_with_one_changed_weight_is_refused(env: BatchSlideEnv, tmp_path: Path):
    path = tmp_path / "run.safetensors"
    ppo = Ppo(env, TINY, seed=1)
    ppo.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the tensors are the end of the file
    path.write_bytes(data)
    with pytest.raises(WrongFormat, match="damaged"):
        ppo.load(path)


def test_a_foreign_checkpoint_is_refused(env: BatchSlideEnv, tmp_path: Path):
    ppo = Ppo(env, TINY, seed=1)
    with pytest.raises(FileMissing):
        ppo.load(tmp_path / "none.safetensors")
    ppo.save(tmp_path / "run.safetensors")
    with pytest.raises(WrongFormat):
        Ppo(env, TINY.model_copy(update={"epochs": 3}), seed=1).load(tmp_path / "run.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(WrongFormat):
        ppo.load(tmp_path / "bad.safetensors")


def test_advantages_with_full_trace_are_returns_minus_values():
    reward = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 0.0]])
    value = torch.tensor([[0.5, 0.1], [0.2, 0.3], [0.4, 9.0]])
    valid = torch.tensor([[True, True], [True, True], [True, False]])
    found = advantages(reward, value, valid, discount=1.0, trace=1.0)
    returns = torch.tensor([[11.0, 7.0], [10.0, 5.0], [7.0, 9.0]])
    # five float32 additions
    assert torch.allclose(found, (returns - value) * valid, atol=1e-5)


def test_advantages_without_trace_are_one_step_surprises():
    reward, value = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.25]])
    found = advantages(reward, value, torch.ones(2, 1, dtype=torch.bool), discount=0.5, trace=0.0)
    # 1 + 0.5 * 0.25 - 0.5 and 2 - 0.25, exact in float32
    assert found[:, 0].tolist() == [0.625, 1.75]


def test_the_network_is_small_and_never_chooses_what_is_not_allowed(rules: SearchRules, env: BatchSlideEnv):
    network = SearchNetwork(rules, NetworkConfig(), torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 60_000
    policy = TrainedPolicy(network, generator=torch.Generator().manual_seed(1))
    seen, memory = env.reset(64, torch.Generator().manual_seed(2)), policy.start(64)
    while not bool(env.done.all()):
        choice = policy.act(seen.observation, seen.allowed, memory)
        assert bool(seen.allowed.gather(1, choice.action[:, None]).all())
        assert float(choice.probabilities[~seen.allowed].abs().max()) == 0.0
        seen, memory = env.step(choice.action).view, choice.memory


def test_tensors_of_another_search_are_refused(rules: SearchRules):
    tensors = SearchNetwork(rules, NetworkConfig(units=8)).state_dict()
    assert TrainedPolicy.of(tensors, rules).network.units == 8
    with pytest.raises(ModelMismatch):
        TrainedPolicy.of(tensors, rules.model_copy(update={"n_bins": 12}))


def test_training_reports_every_baseline_on_held_out_slides(trial: Trial, rules: SearchRules, tmp_path: Path):
    config = TrainPolicyConfig(ppo=TINY, checkpoint_every=2)
    held, _ = synthetic_tables(rules, 8, seed=78, config=TWO_PATTERNS)
    held_out = Trial(held, trial.calibration, rules)
    checkpoint = tmp_path / "run.safetensors"
    result = run_train_policy(config, trial, held_out, checkpoint=checkpoint)
    assert [one.policy.split(" (")[0] for one in result.scores] == [
        "trained",
        "fixed scan, bright field",
        "fixed scan, best learned pattern",
        "fixed scan, best set",
        "fixed scan, all patterns",
        "random",
    ]
    assert all(one.slides == 8 and one.captures <= rules.capture_budget for one in result.scores)
    again = run_train_policy(config, trial, held_out, checkpoint=checkpoint)
    assert again.figures() == result.figures()
    with pytest.raises(ConfigError):
        run_train_policy(config, trial, trial)
