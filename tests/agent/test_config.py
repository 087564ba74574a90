"""The shipped configuration of a policy's training is complete and says what the code would do without it."""

from pathlib import Path

import pytest

import lsm
from lsm.agent.rules import SearchRules
from lsm.agent.train import TrainPolicyConfig
from lsm.errors import ConfigError

DEFAULT = Path(lsm.__file__).parent / "configs" / "policy" / "default.toml"


def test_the_shipped_file_equals_the_defaults():
    assert TrainPolicyConfig.from_file(DEFAULT) == TrainPolicyConfig()


def test_a_typo_is_named(tmp_path: Path):
    path = tmp_path / "policy.toml"
    path.write_text(DEFAULT.read_text(encoding="utf-8").replace("capture_budget", "capture_bugdet"), encoding="utf-8")
    with pytest.raises(ConfigError, match="capture_bugdet"):
        TrainPolicyConfig.from_file(path)


def test_every_pattern_needs_its_exposure_and_its_light():
    with pytest.raises(ConfigError):
        SearchRules.from_table({"exposures_ms": [1.0, 2.0], "light_doses": [1.0]})
