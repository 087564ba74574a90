"""The agent: where to look, under which light, and when to stop; importing it registers its environments."""

from lsm.agent.baselines import FixedScan, RandomSearch
from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.codebook import Codebook
from lsm.agent.env import Laboratory, SlideSearchEnv, Specimen
from lsm.agent.evidence import EvidenceModel
from lsm.agent.policy import Choice, Policy, TrainedPolicy
from lsm.agent.ppo import Ppo, PpoConfig
from lsm.agent.register import register_envs
from lsm.agent.results import CellFinding, Decision, FieldVisit, SlideRun
from lsm.agent.rules import CostConfig, RewardConfig, ScanGrid, SearchConfig, SearchRules
from lsm.agent.run import SearchPlan, run_slide
from lsm.agent.tables import SlideTables

__all__ = [
    "BatchSlideEnv",
    "CellFinding",
    "Choice",
    "Codebook",
    "CostConfig",
    "Decision",
    "EvidenceModel",
    "FieldVisit",
    "FixedScan",
    "Laboratory",
    "Policy",
    "Ppo",
    "PpoConfig",
    "RandomSearch",
    "RewardConfig",
    "ScanGrid",
    "SearchConfig",
    "SearchPlan",
    "SearchRules",
    "SlideRun",
    "SlideSearchEnv",
    "SlideTables",
    "Specimen",
    "TrainedPolicy",
    "register_envs",
    "run_slide",
]

register_envs()
