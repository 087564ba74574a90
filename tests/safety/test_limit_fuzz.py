"""A great many requests of every kind move and light nothing beyond the limits, and the watch would notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lsm_sim.limit_fuzz import IGNORED, LIMITS


def test_nothing_goes_beyond_a_limit_and_what_did_would_be_noticed(tmp_path: Path):
    # in a process of its own, where no type checker keeps wrong types from the guard
    out = tmp_path / "fuzz.json"
    command = [sys.executable, "-m", "lsm_sim.limit_fuzz", "--requests", "12000", "--seed", "5", "--careless", "3000"]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["asked"] == 12_000
    assert (found["outside"], found["changed"], found["crashed"], found["notes"]) == (0, 0, 0, [])
    assert set(found["by_source"]) == {
        "autofocus", "burst", "policy", "script", "stage calibration", "wrong types",
    }  # fmt: skip
    assert min(found["refused"], found["captured"]) > 3000
    assert min(found["failed"], found["detours"]) > 0
    # the whole travel was used, so the limits were tried from inside too
    assert found["furthest_um"]["x"] == pytest.approx(LIMITS.x_um, abs=50)
    assert found["furthest_um"]["z"][0] == pytest.approx(LIMITS.z_floor_um, abs=5)
    careless = found["outside_when_one_limit_is_ignored"]
    assert set(careless) == set(IGNORED)
    assert min(careless.values()) > 0, careless
