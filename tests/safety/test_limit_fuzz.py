"""A great many requests of every kind move and light nothing beyond the limits, and the watch would notice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lsm_sim.limit_fuzz import IGNORED, LIMITS


def apart(*words: str) -> None:
    """Run in a process of its own, where no type checker keeps wrong types from the guard."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_goes_beyond_a_limit(tmp_path: Path):
    out = tmp_path / "fuzz.json"
    apart("-m", "lsm_sim.limit_fuzz", "--requests", "8000", "--seed", "5", "--careless", "0", "--json", str(out))
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["asked"] == 8000
    assert (found["outside"], found["changed"], found["crashed"], found["notes"]) == (0, 0, 0, [])
    sources = {"autofocus", "burst", "policy", "script", "stage calibration", "wrong types"}
    assert set(found["by_source"]) == sources
    # enough of both that neither refusing all nor letting all through would pass
    assert min(found["refused"], found["captured"]) > 1000
    assert found["detours"] > 0
    # the whole travel was used, so the limits were tried from inside too
    assert found["furthest_um"]["x"] == pytest.approx(LIMITS.x_um, abs=50)
    assert found["furthest_um"]["z"][0] == pytest.approx(LIMITS.z_floor_um, abs=5)


def test_a_limit_that_is_not_held_is_noticed(tmp_path: Path):
    out = tmp_path / "noticed.json"
    apart(
        "-c",
        "import json, sys; from lsm_sim.limit_fuzz import noticed; "
        "json.dump(noticed(6000, 5, once=True), open(sys.argv[1], 'w'))",
        str(out),
    )
    careless = json.loads(out.read_text(encoding="utf-8"))
    assert set(careless) == set(IGNORED)
    assert min(careless.values()) > 0, careless
