"""Policies for one cell: fixed, random, tested, greedy, trained, and the oracle's bound, behind one Protocol."""

from lsm.agent.adaptive.policies.backwards import BackwardsConfig, StageValues, ValuePolicy, imitate, train_backwards
from lsm.agent.adaptive.policies.bound import OracleBound
from lsm.agent.adaptive.policies.checkpoint import load_policy, rig_digest, save_policy
from lsm.agent.adaptive.policies.differentiable import (
    DifferentiablePolicy,
    GlimpseConfig,
    GlimpseNetwork,
    train_differentiable,
)
from lsm.agent.adaptive.policies.fixed import AdaptiveStop, FixedSequence, RandomLight, SequentialTest, Thresholds
from lsm.agent.adaptive.policies.greedy import EvidenceModel, GreedyInformation, fit_evidence
from lsm.agent.adaptive.policies.network import CellNetwork, CellNetworkConfig, TrainedPolicy
from lsm.agent.adaptive.policies.ppo import CellPpo, CellPpoConfig
from lsm.agent.adaptive.policies.protocol import Choice, Memory, Policy, best_declaration

__all__ = [
    "AdaptiveStop",
    "BackwardsConfig",
    "CellNetwork",
    "CellNetworkConfig",
    "CellPpo",
    "CellPpoConfig",
    "Choice",
    "DifferentiablePolicy",
    "EvidenceModel",
    "FixedSequence",
    "GlimpseConfig",
    "GlimpseNetwork",
    "GreedyInformation",
    "Memory",
    "OracleBound",
    "Policy",
    "RandomLight",
    "SequentialTest",
    "StageValues",
    "Thresholds",
    "TrainedPolicy",
    "ValuePolicy",
    "best_declaration",
    "fit_evidence",
    "imitate",
    "load_policy",
    "rig_digest",
    "save_policy",
    "train_backwards",
    "train_differentiable",
]
