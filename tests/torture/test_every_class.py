"""One fault of every class, and what must come of it; `lsm torture` does the same thousands of times."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsm.cli import main
from lsm.scope import RigConfig, find_rig
from lsm_sim.torture import TortureReport, torture
from lsm_sim.torture.campaign import BENCH_CLASSES, HOST_CLASSES, HOST_KILLED, draw
from lsm_sim.torture.tally import DARK_WITHIN_S

pytestmark = pytest.mark.firmware

RIG = RigConfig.from_file(find_rig("simulated"))
ALL = (*HOST_CLASSES, *BENCH_CLASSES, HOST_KILLED)
SEED = 11


@pytest.fixture(scope="module")
def report() -> TortureReport:
    return torture(RIG, faults=len(ALL), seed=SEED, workers=2, requests=2000)


def test_every_class_ends_well(report: TortureReport):
    assert sorted(each.kind for each in report.classes) == sorted(ALL)
    assert [note for each in report.classes for note in each.notes] == []
    assert all(trial.good for trial in report.trials)
    assert (report.limits or {})["outside"] == 0


def test_the_leds_are_dark_soon_after_the_host_has_died(report: TortureReport):
    assert len(report.dark_after_death_s) == 1
    assert 0.0 < report.dark_after_death_s[0] <= DARK_WITHIN_S


def test_faults_are_noticed_and_not_only_survived(report: TortureReport):
    """A camera that never answers cannot be recovered from, and a repeated request does for a flipped bit."""
    outcomes = {trial.kind: trial.outcome for trial in report.trials}
    assert outcomes["camera: timeout"] == outcomes["stage: stall"] == outcomes["disk full"] == "stopped safely"
    assert outcomes["wire: bit flip"] == outcomes["board unplugged and plugged in"] == "recovered"


def test_the_seed_decides_which_faults_are_injected():
    def drawn(seed: int) -> list[str]:
        return draw(ALL, 3 * len(ALL) - 1, np.random.default_rng(seed))

    assert drawn(1) == drawn(1) != drawn(2)
    counts = [drawn(1).count(name) for name in ALL]
    assert (min(counts), max(counts)) == (2, 3)


def test_a_rig_without_simulator_gets_what_needs_no_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rig = tmp_path / "bench.toml"
    text = find_rig("simulated").read_text(encoding="utf-8")
    rig.write_text('cfg = "bench.cfg"\n' + text[: text.index("[simulator]")], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["torture", "bench.toml", "--faults", "5", "--workers", "1", "--requests", "200", "--json", "out.json"])
    assert ended.value.code == 0
    plain = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {each["class"] for each in plain["classes"]} <= set(HOST_CLASSES)
    tried = {each["class"] for each in plain["classes"]}
    assert set(plain["left_out"]) == {*ALL} - tried
    # five faults do not reach every class that could be tried
    assert {plain["left_out"][name] for name in (*BENCH_CLASSES, HOST_KILLED)} != {
        plain["left_out"][name] for name in {*HOST_CLASSES} - tried
    }
    assert (plain["seed"], plain["faults"], plain["limits"]["outside"]) == (1, 5, 0)
    assert plain["machine"]["commit"]
    printed = capsys.readouterr().out
    assert "Left out" in printed
    assert "camera: timeout" in printed
