"""Training finds the riddle's answer, repeats, and goes on where it stopped."""

import math
from pathlib import Path

import pytest
import torch
from riddle import FLIP, World, riddle

from lsm.agent.adaptive import AdaptiveConfig, BatchAdaptiveEnv, CellBudget
from lsm.agent.adaptive.choose import best_policy
from lsm.agent.adaptive.evaluate import Trial, try_policy
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.policies import FixedSequence, TrainedPolicy, load_policy, rig_digest, save_policy
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig
from lsm.agent.adaptive.policies.ppo import CellPpo, CellPpoConfig, taken_steps
from lsm.errors import ConfigError, FileMissing, ModelMismatch, WrongFormat

TINY = CellPpoConfig(updates=3, episodes=24, epochs=2, minibatches=2, network=CellNetworkConfig(units=8))


@pytest.fixture(scope="module")
def world() -> World:
    return riddle()


@pytest.fixture
def env() -> BatchAdaptiveEnv:
    return BatchAdaptiveEnv(invented_world())


def _weights(ppo: CellPpo) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in ppo.network.parameters()])


def test_training_finds_that_one_pattern_names_the_next(world: World):
    config = CellPpoConfig(updates=45, episodes=384, learning_rate=6e-3, network=CellNetworkConfig(units=32))
    network = CellPpo(BatchAdaptiveEnv(world.train), config, seed=0).train()
    trial = Trial(BatchAdaptiveEnv(world.held_out), torch.arange(512), seed=5)
    rules = trial.env.rules
    pairs = [FixedSequence(rules, (a, b)) for a in range(3) for b in range(3) if a != b]
    _, best_pair = best_policy(pairs, trial, by="correct")
    ours = try_policy(TrainedPolicy(network), trial)
    assert ours.mean("captures") <= 2
    # 3 standard errors of 512 cells, on the flips that no policy can see through
    assert ours.mean("correct") > 1 - 2 * FLIP - 3 * math.sqrt(2 * FLIP / 512)
    assert ours.mean("correct") > best_pair.mean("correct") + 0.15


def test_the_frame_alone_can_name_the_next_pattern(world: World):
    network = CellNetworkConfig(units=32, frame_units=8)
    config = CellPpoConfig(updates=3, episodes=64, network=network)
    ppo = CellPpo(BatchAdaptiveEnv(world.train), config, seed=0)
    before = ppo.network.frame.last.weight.detach().clone()
    ppo.train()
    assert not torch.equal(before, ppo.network.frame.last.weight)


def test_same_seed_gives_the_same_weights(env: BatchAdaptiveEnv):
    first, second, other = (CellPpo(env, TINY, seed=seed) for seed in (1, 1, 2))
    for ppo in (first, second, other):
        ppo.train()
    assert torch.equal(_weights(first), _weights(second))
    assert not torch.equal(_weights(first), _weights(other))


def test_a_resumed_training_ends_in_the_same_weights(env: BatchAdaptiveEnv, tmp_path: Path):
    straight, stopped, resumed = (CellPpo(env, TINY, seed=1) for _ in range(3))
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


def test_a_saved_policy_decides_as_it_did(env: BatchAdaptiveEnv, tmp_path: Path):
    ppo = CellPpo(env, TINY, seed=1)
    network = ppo.train()
    save_policy(tmp_path / "policy.safetensors", network, env.world)
    ppo.save(tmp_path / "run.safetensors")
    view = env.reset(32, 7)
    wanted = TrainedPolicy(network).act(view, torch.zeros(32, 8))
    for name in ("policy", "run"):
        found = load_policy(tmp_path / f"{name}.safetensors", env.world).act(view, torch.zeros(32, 8))
        assert torch.equal(found.probabilities, wanted.probabilities)
        assert torch.equal(found.value, wanted.value)


def test_a_policy_for_another_rig_or_environment_is_refused(env: BatchAdaptiveEnv, world: World, tmp_path: Path):
    path = tmp_path / "policy.safetensors"
    ppo = CellPpo(env, TINY, seed=1)
    save_policy(path, ppo.network, env.world)
    other_rules = invented_world(AdaptiveConfig(budget=CellBudget(captures=3)))
    assert rig_digest(other_rules) == rig_digest(env.world) != rig_digest(world.train)
    with pytest.raises(ModelMismatch, match="other lights, rules"):
        load_policy(path, other_rules)
    with pytest.raises(ModelMismatch, match="another rig"):
        load_policy(path, world.train)
    ppo.save(path)
    with pytest.raises(ModelMismatch, match="another rig"):
        CellPpo(BatchAdaptiveEnv(world.train), TINY, seed=1).load(path)
    with pytest.raises(WrongFormat, match="another training"):
        CellPpo(env, TINY.model_copy(update={"epochs": 3}), seed=1).load(path)


def test_other_cells_on_the_same_rig_are_no_reason_to_refuse(world: World, tmp_path: Path):
    save_policy(tmp_path / "a.safetensors", CellPpo(BatchAdaptiveEnv(world.train), TINY, seed=1).network, world.train)
    assert load_policy(tmp_path / "a.safetensors", world.held_out).name == "trained"


def test_damaged_and_missing_files_are_refused(env: BatchAdaptiveEnv, tmp_path: Path):
    path = tmp_path / "policy.safetensors"
    with pytest.raises(FileMissing):
        load_policy(path, env.world)
    save_policy(path, CellPpo(env, TINY, seed=1).network, env.world)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the tensors are the end of the file
    path.write_bytes(data)
    with pytest.raises(WrongFormat, match="damaged"):
        load_policy(path, env.world)


def test_free_weights_are_refused():
    with pytest.raises(ConfigError):
        CellPpo(BatchAdaptiveEnv(invented_world(free=True)), TINY, seed=0)


def test_whole_episodes_give_what_single_steps_gave(env: BatchAdaptiveEnv):
    network = CellNetworkConfig(units=16, frame_units=4, head_gain=1.0)
    ppo = CellPpo(env, TINY.model_copy(update={"network": network}), seed=3)
    rollout = ppo.collect().rollout
    steps = taken_steps(rollout, rollout.value, rollout.reward, torch.randperm(24))
    scores, value = ppo.network.whole(steps.facts, steps.frame, steps.allowed, steps.alive)
    assert len(steps.action) == int(rollout.valid.sum())
    assert len(set(rollout.valid.sum(0).tolist())) > 1
    # the same float32 sums in another order
    chosen = scores.gather(1, steps.action[:, None])[:, 0]
    assert torch.allclose(chosen, steps.log_probability, atol=1e-5)
    assert torch.allclose(value, steps.advantage, atol=1e-5)


def test_the_network_never_chooses_what_is_not_allowed(env: BatchAdaptiveEnv):
    network = CellNetwork(env.world, CellNetworkConfig(), torch.Generator().manual_seed(0))
    policy = TrainedPolicy(network, generator=torch.Generator().manual_seed(1))
    view, memory = env.reset(64, 2), policy.start(64)
    while not bool(env.done.all()):
        choice = policy.act(view, memory)
        assert float(choice.probabilities[~view.allowed].abs().max()) == 0.0
        step = env.step(choice.action)
        assert not bool(step.refused.any())
        view, memory = step.view, choice.memory
