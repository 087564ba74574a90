"""A small invented world: two patterns, twelve fields, eight captures."""

import pytest
import torch
from invented import TWO_PATTERNS

from lsm.agent.batch_env import BatchSlideEnv
from lsm.agent.evidence import EvidenceModel
from lsm.agent.rules import ScanGrid, SearchRules
from lsm.agent.synthetic import synthetic_tables
from lsm.agent.tables import SlideTables
from lsm.stats import ScoreCalibration


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rules() -> SearchRules:
    return SearchRules(
        exposures_ms=(20.0, 30.0),
        light_doses=(20.0, 30.0),
        capture_budget=8,
        action_budget=24,
        grid=ScanGrid(columns=4, rows=3),
    )


@pytest.fixture(scope="session")
def world(rules: SearchRules) -> tuple[SlideTables, ScoreCalibration]:
    return synthetic_tables(rules, 24, seed=3, config=TWO_PATTERNS)


@pytest.fixture
def env(rules: SearchRules, world: tuple[SlideTables, ScoreCalibration]) -> BatchSlideEnv:
    return BatchSlideEnv(world[0], EvidenceModel.of(world[1]), rules)
