"""One short demonstration on the simulated rig, run once and looked at by many tests."""

import pytest

from lsm.diagnose.demo import DemoConfig, DemoResult, run_demo


@pytest.fixture(scope="session")
def config() -> DemoConfig:
    return DemoConfig(seed=3, columns=2, rows=1, decide=False)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, config: DemoConfig) -> DemoResult:
    return run_demo(config, tmp_path_factory.mktemp("demo"))
