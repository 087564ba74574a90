"""The benchmark of observe() measures what it says."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsm.bench.scope import (
    ACQUISITION,
    DURABLE,
    EXPOSURE_MS,
    MOVED,
    OBSERVE,
    PER_FRAME,
    PLACES_UM,
    RAW,
    Cost,
    scope_promises,
    wired_rig,
)
from lsm.cli.app import app

pytest.importorskip("mm_test_adapters", reason="Micro-Manager's demonstration adapters are not installed")


def cost(name: str, *, median_ms: float, p99_ms: float) -> Cost:
    return Cost("simulated", name, 10, median_ms + 20.0, median_ms, p99_ms)


def test_promises_are_held_against_what_was_measured():
    costs = [
        cost(OBSERVE, median_ms=4.0, p99_ms=10.1),
        cost(MOVED, median_ms=4.1, p99_ms=10.0),
        cost(DURABLE, median_ms=15.1, p99_ms=90.0),
    ]
    assert [one.kept for one in scope_promises(costs)] == [True, False, False, True, False]
    assert {one.kept for one in scope_promises([])} == {None}


def test_its_rig_has_512_pixels_and_both_wires():
    rig = wired_rig()
    assert rig.camera.shape_px == (512, 512)
    assert None not in (rig.trigger.input, rig.trigger.output)


@pytest.mark.firmware
def test_the_command_times_every_way_and_tells_what_came_of_the_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lsm.bench.scope.QUICK_FRAMES", 3)
    monkeypatch.setattr("lsm.bench.scope.LIT_LEDS", 3)
    monkeypatch.setattr("lsm.bench.scope.SIDE_PX", 128)
    monkeypatch.setattr("lsm.bench.scope.SAMPLE_PX", 640)
    monkeypatch.setattr("lsm.bench.scope.BURST", 3)
    monkeypatch.setattr("lsm.bench.scope.PLACES_UM", PLACES_UM[:2])
    report = tmp_path / "scope.json"
    result = CliRunner().invoke(app, ["bench", "scope", "--quick", "--json", str(report), "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    measured = json.loads(report.read_text())
    names = {(one["rig"], one["name"]) for one in measured["costs"]}
    assert names == {("simulated", name) for name in (OBSERVE, MOVED, DURABLE, PER_FRAME)} | {
        ("demo_camera", name) for name in (RAW, OBSERVE, ACQUISITION, DURABLE)
    }
    for one in measured["costs"]:
        assert 0.0 < one["beyond_median_ms"] < one["median_ms"]
        assert one["beyond_median_ms"] <= one["beyond_p99_ms"]
        if one["rig"] == "demo_camera":
            # both are rounded to 0.001 ms
            assert one["median_ms"] - one["beyond_median_ms"] == pytest.approx(EXPOSURE_MS, abs=0.002)
    assert len(measured["promises"]) == 5
    assert "Promised" in result.output
    assert not list(tmp_path.glob("lsm-bench-*"))
