"""The short form of the experiments on single cells, run as a user runs it: directions, not decimals."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.data, pytest.mark.timeout(400)]  # half a minute of one core each, where nobody else works


def short_form(name: str, out: Path, data_dir: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "lsm.cli", "experiment", "run", name, "--quick", "--json", "--out", str(out)]
    environment = os.environ | {"LSM_DATA": str(data_dir), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told == json.loads((out / "results.json").read_text())
    return told


def test_learned_light_beats_bright_field(data_dir: Path, tmp_path: Path):
    study = short_form("muthumbi2019", tmp_path, data_dir)["studies"]["green"]
    learned, bright = study["arms"]["learned"], study["arms"]["bright field"]
    assert learned["accuracy"] > bright["accuracy"] + 0.03
    assert learned["dark_field_share"] > 0.5
    # eight bits and the board's current cost next to nothing
    assert abs(learned["accuracy_compiled"] - learned["accuracy"]) < 0.03
    assert study["claims"][0]["points"][0] > 0
    for name in ("table.md", "green.png", "light.png", "light.json"):
        assert (tmp_path / name).stat().st_size > 200


def test_more_photons_are_better_and_a_dark_field_needs_its_time(data_dir: Path, tmp_path: Path):
    studies = short_form("photon_budget", tmp_path, data_dir)["studies"]
    few, many = (studies["signal"]["arms"][f"learned @ {electrons}"]["accuracy"] for electrons in (20, 5000))
    assert many > few + 0.03
    bright, dark = (studies["light"]["arms"][f"{light} @ 100"]["auc"] for light in ("bright field", "dark field"))
    assert bright > dark + 0.03
