"""Rollouts in parts: the same episodes wherever they are collected, whatever happens to workers."""

import os
import signal

import pytest
import torch

from lsm.agent.adaptive.batch import BatchAdaptiveEnv
from lsm.agent.adaptive.invented import invented_world
from lsm.agent.adaptive.policies.cluster import OnCluster
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig
from lsm.agent.adaptive.policies.ppo import CellPpo, CellPpoConfig
from lsm.agent.adaptive.policies.rollouts import Collected, Here, joined, shared_out
from lsm.errors import ConfigError, InputError

TINY = CellPpoConfig(
    updates=3, episodes=25, parts=2, epochs=2, minibatches=2, network=CellNetworkConfig(units=8, frame_units=4)
)
# Ray leaves the logs of the processes that it starts open
NOISY = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def env() -> BatchAdaptiveEnv:
    return BatchAdaptiveEnv(invented_world())


@pytest.fixture
def network(env: BatchAdaptiveEnv) -> CellNetwork:
    return CellNetwork(env.world, TINY.network, torch.Generator().manual_seed(0)).eval()


def same(one: Collected, other: Collected) -> bool:
    pairs = zip((*one.rollout, *one[1:]), (*other.rollout, *other[1:]), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_every_episode_is_in_one_part():
    parts = shared_out(25, 4, torch.Generator().manual_seed(1))
    assert [part.episodes for part in parts] == [7, 6, 6, 6]
    assert len({part.seed for part in parts} | {part.choices for part in parts}) == 8


def test_parts_side_by_side_are_the_parts(env: BatchAdaptiveEnv, network: CellNetwork):
    parts = shared_out(25, 3, torch.Generator().manual_seed(1))
    made = Here(env).collect(network, parts)
    whole = joined(made)
    assert whole.rollout.valid.shape[1] == len(whole.correct) == 25
    first = 0
    for each, part in zip(made, parts, strict=True):
        moments, places = len(each.rollout.valid), slice(first, first + part.episodes)
        for held, own in zip(whole.rollout, each.rollout, strict=True):
            assert held is not None
            assert torch.equal(held[:moments, places], own)
        # what was added after the end counts nowhere
        assert not whole.rollout.valid[moments:, places].any()
        first += part.episodes
    assert same(Here(env).collect(network, parts[1:2])[0], made[1])


@NOISY
def test_a_cluster_gives_the_same_bytes_and_survives_the_loss_of_a_worker(
    env: BatchAdaptiveEnv, network: CellNetwork, monkeypatch: pytest.MonkeyPatch
):
    # Ray's workers stand back behind other programs, and other tests run beside this one
    monkeypatch.setenv("RAY_worker_niceness", "0")
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra 'cluster')")
    parts = shared_out(25, 3, torch.Generator().manual_seed(1))
    wanted = Here(env).collect(network, parts)
    with OnCluster(env.world, workers=2) as cluster:
        assert all(map(same, cluster.collect(network, parts), wanted))
        # the worker of the first part dies without a word
        number = ray.get(cluster.workers[0].process.remote())
        os.kill(number, signal.SIGKILL)
        assert all(map(same, cluster.collect(network, parts), wanted))
        assert ray.get(cluster.workers[0].process.remote()) != number
        here, there = CellPpo(env, TINY, seed=1), CellPpo(env, TINY, seed=1, collector=cluster)
        assert here.train_once() == there.train_once()
        for mine, theirs in zip(here.network.parameters(), there.network.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    assert not ray.is_initialized()


def test_what_cannot_be_collected_is_refused(env: BatchAdaptiveEnv):
    with pytest.raises(InputError, match="0 workers"):
        OnCluster(env.world, workers=0)
    with pytest.raises(ConfigError, match="parts"):
        CellPpoConfig(episodes=4, parts=5)
