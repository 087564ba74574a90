"""`lsm bench agent` measures what it promises of episodes at single cells."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from lsm.bench.agent import BATCH, GYMNASIUM, NOISE, PLAIN, AgentComparison, compare_agent
from lsm.bench.agent_training import TrainingRates
from lsm.cli.app import app


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("bench") / "bench.json"
    done = CliRunner().invoke(app, ["bench", "agent", "--quick", "--json", str(file)])
    assert done.exit_code == 0, done.output
    return done.output, json.loads(file.read_text(encoding="utf-8"))


def test_everything_is_measured_and_shown(written: tuple[str, dict[str, Any]]):
    output, figures = written
    assert (figures["lamps"], figures["side_px"], figures["seed"]) == (81, 16, 0)
    assert figures["read_gb_s"] > 0
    assert 0 < figures["share_of_memory"] < 2
    rates = {one["name"]: one for one in figures["rates"]}
    assert all(rate["steps_s"] > 0 for rate in rates.values())
    assert rates[BATCH]["gb_s"] == pytest.approx(rates[BATCH]["steps_s"] * 5 / 6 * 81 * 256 * 2 / 1e9)
    assert rates[NOISE]["gb_s"] == 0
    for name in (BATCH, GYMNASIUM, PLAIN):
        assert name in output
    # the packages of the extra sb3 are there where tests run
    assert all(figures["training"][name] > 0 for name in ("ours", "usual", "vector"))


def test_a_small_batch_keeps_no_promise_of_the_large_one(written: tuple[str, dict[str, Any]]):
    assert [one["kept"] for one in written[1]["promises"]] == [None] * 4
    assert written[0].count("not measured") == 4


def test_promises_are_judged_by_their_figures():
    measured: AgentComparison = compare_agent(quick=True)

    def kept(batch: float, single: float, ppo: tuple[float, float]) -> list[bool | None]:
        speeds = {BATCH: (1024, batch), GYMNASIUM: (1, single)}
        rates = tuple(
            replace(one, episodes=speeds[one.name][0], steps_s=speeds[one.name][1]) if one.name in speeds else one
            for one in measured.rates
        )
        return [one.kept for one in replace(measured, rates=rates, training=TrainingRates(*ppo)).promises()]

    assert kept(100_000.0, 2000.0, (8000.0, 800.0)) == [True] * 4
    assert kept(99_999.0, 2000.0, (7999.0, 800.0)) == [False] * 4
