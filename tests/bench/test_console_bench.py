"""The benchmark of the console measures what it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsm.bench import console
from lsm.bench.console import ConsoleComparison, Loop, Memory, console_promises
from lsm.bench.console_watchers import Counters, watchers
from lsm.bench.machine import this_machine
from lsm.cli.app import app

KEPT = ConsoleComparison(
    this_machine(), 0, 10.0, 2048, "", 20.0, (15.0, 19.0), 6.0, 7.0, 9.0, 12.0, (300.0,), 7.9, (6.0, 9.0)
)


def test_promises_are_held_against_what_was_measured():
    assert [one.kept for one in console_promises(KEPT)] == [True, True, True]
    missed = replace(KEPT, shown_per_s=(14.9, 19.0), watched_ms=7.1, grown_mib=8.1)
    assert [one.kept for one in console_promises(missed)] == [False, False, False]
    # too short to say anything of memory
    assert console_promises(replace(missed, minutes=9.9))[2].kept is None


def test_memory_that_grows_is_seen_after_the_warm_up():
    memory = Memory()
    memory.samples = [(float(second), 300.0 + (100.0 if second >= 20 else 0.0)) for second in range(101)]
    assert memory.growth()[0] == pytest.approx(0.0)
    memory.samples = [(float(second), 300.0 + 0.5 * second) for second in range(101)]
    assert memory.growth()[0] == pytest.approx(50.0)


def test_latencies_are_those_of_their_time():
    loop = Loop(taken=[(1.0, 5.0), (2.0, 6.0), (3.0, 7.0)])
    assert loop.between(1.0, 3.0) == [5.0, 6.0]


def test_without_a_browser_clients_count_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    found = watchers(browsers=True)
    assert isinstance(found, Counters)
    assert found.told.endswith("because Chromium is not installed")
    assert not watchers(browsers=False).told.endswith("is not installed")


@pytest.mark.firmware
def test_the_command_serves_counts_and_tells_what_came_of_the_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(console, "SIDE_PX", 256)
    report = tmp_path / "console.json"
    result = CliRunner().invoke(app, ["bench", "console", "--quick", "--no-browsers", "--json", str(report)])
    assert result.exit_code == 0, result.output
    measured = json.loads(report.read_text())
    assert len(measured["shown_per_s"]) == 2
    assert min(measured["shown_per_s"]) > 0
    assert 0 < measured["alone_ms"] <= measured["alone_p99_ms"]
    assert 0 < measured["watched_ms"] <= measured["watched_p99_ms"]
    assert [one["kept"] for one in measured["promises"]][2] is None
    assert "decode and show none" in " ".join(result.output.split())
