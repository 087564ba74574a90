"""The parity experiment in its short form: 20 episodes on the twin, 3 on Micro-Manager with firmware, all alike."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(180)]

RUN = Path(__file__).parents[2] / "experiments" / "policy_parity" / "run.py"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    script = runpy.run_path(str(RUN))
    whole = script["PolicyParityConfig"].from_file(RUN.with_name("config.toml"))
    config = whole.model_copy(update={"smears": 2, "twin_episodes": 20, "micro_manager_episodes": 3})
    torch.set_num_threads(1)
    case = script["open_case"](config, None)
    compared: dict[str, Any] = script["compare"](case, twin_episodes=20, micro_manager_episodes=3)
    return compared


def test_the_twin_decides_as_the_batch_to_the_bit(found: dict[str, Any]):
    twin = found["twin, in half precision"]
    assert twin["same_decisions"] == twin["same_beliefs"] == twin["same_frames"] == 20
    assert found["twin, in full precision"]["most_adu"] <= 1
    assert len(found["actions"]) >= 4


def test_frames_of_the_twin_with_its_own_noise_are_read_alike_in_a_batch(found: dict[str, Any]):
    again = found["twin, noise of its own, frames read again in a batch"]
    assert again["same_decisions"] == again["same_beliefs"] == 20


def test_micro_manager_with_firmware_decides_as_the_twin_to_the_bit(found: dict[str, Any]):
    rig = found["Micro-Manager and firmware, against the twin"]
    assert rig["same_decisions"] == rig["same_beliefs"] == rig["same_frames"] == 3
    assert rig["probability_off"] == 0
