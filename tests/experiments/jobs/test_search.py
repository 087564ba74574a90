"""A search over designs: which runs come of it, and how they are ranked."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lsm.cli import _show
from lsm.config import Config
from lsm.errors import ConfigError, FileMissing
from lsm.experiments.jobs import JobTable, Processes, Ray, Row, Serial
from lsm.experiments.jobs.ranking import mean_interval, rank, write_results
from lsm.experiments.jobs.search import SearchConfig, executor_of, option_value, plan

BASE = {"captures": 1, "rig": {"na": 0.1, "leds": 81}}


class Rig(Config):
    na: float = 0.1
    leds: int = 81


class Scored(Config):
    """What `job_functions.scored` takes, with its defaults."""

    seed: int
    captures: int = 1
    rig: Rig = Rig()
    fold: int = 0


def config(**more: Any) -> SearchConfig:
    table = {"name": "small", "run": "job_functions:scored", "score": "accuracy", "base": BASE, "seeds": [0, 1, 2]}
    return SearchConfig.from_table(table | more)


def ranked(settings: SearchConfig, folder: Path) -> tuple[list[Any], list[Row]]:
    planned = plan(settings)
    with JobTable(folder / "table.jsonl") as table:
        rows = Serial().run(planned.jobs, table)
        return rank(planned.designs, table.rows, settings), rows


def test_axes_are_combined_and_points_are_added_once():
    planned = plan(
        config(axes={"captures": [1, 2], "rig": {"na": [0.1, 0.25]}}, points=[{"captures": 2}, {"rig": {"leds": 9}}])
    )
    # captures, na, leds: the first point is in the grid
    assert [tuple(design.settings.values()) for design in planned.designs] == [
        (1, 0.1, 81),
        (1, 0.25, 81),
        (2, 0.1, 81),
        (2, 0.25, 81),
        (1, 0.1, 9),
    ]
    assert len(planned.jobs) == 15
    assert planned.jobs[3].arguments == {"captures": 2, "rig": {"na": 0.25, "leds": 81}, "seed": 0}
    assert [job.key for job in planned.jobs[:5]] == [
        "base; seed 0",
        "rig.na=0.25; seed 0",
        "captures=2; seed 0",
        "captures=2, rig.na=0.25; seed 0",
        "rig.leds=9; seed 0",
    ]


def test_only_points_are_only_these_and_nothing_is_the_base():
    assert [design.settings for design in plan(config(points=[{"captures": 4}])).designs] == [{"captures": 4}]
    assert [design.settings for design in plan(config()).designs] == [{}]


def test_a_search_that_gains_axes_values_and_seeds_keeps_its_runs(tmp_path: Path):
    ranked(config(axes={"captures": [1, 2]}, seeds=[0, 1]), tmp_path)
    size = (tmp_path / "table.jsonl").stat().st_size
    more = config(axes={"captures": [1, 2, 3], "rig.na": [0.1, 0.5]})
    ranked(more, tmp_path)
    rows = (tmp_path / "table.jsonl").read_bytes()
    # the head, four runs of before, and those of three captures times two apertures times three seeds that are new
    assert rows.count(b"\n") == 1 + 18
    assert rows[:size].count(b"\n") == 1 + 4


def test_designs_come_best_first_with_students_interval_over_seeds(tmp_path: Path):
    found, _ = ranked(config(axes={"captures": [1, 2, 3], "rig.na": [0.1, 0.25]}), tmp_path)
    assert [tuple(each.settings.values()) for each in found[:2]] == [(2, 0.25), (2, 0.1)]
    values = 0.25 + np.array([0.01, -0.01, 0.01])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert found[0].score == pytest.approx(values.mean())
    assert (found[0].low, found[0].high) == pytest.approx((low, high))
    lowest, _ = ranked(config(axes={"captures": [1, 2, 3], "rig.na": [0.1, 0.25]}, best="lowest"), tmp_path)
    assert [each.score for each in lowest] == [each.score for each in found][::-1]
    light, _ = ranked(config(axes={"captures": [1, 2, 3], "rig.na": [0.1, 0.25]}, score="light"), tmp_path)
    assert light[0].score == pytest.approx(4.5)


def test_the_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(4000):
        interval = mean_interval(list(rng.normal(0.8, 0.02, 5)))
        assert interval is not None
        held += interval[0] <= 0.8 <= interval[1]
    # 4000 binomial draws of 0.95 scatter by 0.0034: four times that
    assert held / 4000 == pytest.approx(0.95, abs=0.014)
    assert mean_interval([0.8]) is None


def test_folds_are_averaged_within_each_seed(tmp_path: Path):
    averaged = config(base=BASE | {"fold": 0}, average={"fold": [0, 1, 2]}, seeds=[0, 1])
    found, rows = ranked(averaged, tmp_path)
    assert len(rows) == 6
    # folds add 0, 1 and 2; the seeds' noise is opposite
    assert found[0].score == pytest.approx(-1 + 0.1 + 1)
    assert found[0].seeds == 2


def test_a_seed_with_a_failed_run_is_not_averaged(tmp_path: Path):
    found, rows = ranked(config(base=BASE | {"fail_at": 1}), tmp_path)
    assert (found[0].seeds, found[0].failed) == (2, 1)
    assert found[0].score == pytest.approx(-1 + 0.1 + 0.01)
    nothing, _ = ranked(config(base=BASE | {"fail_at": 3}, seeds=[3]), tmp_path)
    assert (nothing[0].score, nothing[0].low, nothing[0].seeds) == (None, None, 0)
    write_results(tmp_path, found, rows, config(), {"lsm": "0"})
    written = json.loads((tmp_path / "results.json").read_text())
    assert "ValueError: this seed fails" in written["runs"][1]["error"]
    assert written["designs"][0]["failed"] == 1


def test_results_are_written_as_tables(tmp_path: Path):
    settings = config(axes={"captures": [1, 2]})
    found, rows = ranked(settings, tmp_path)
    write_results(tmp_path, found, rows, settings, {"lsm": "0"})
    with (tmp_path / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["captures"] for row in table] == ["2", "1"]
    assert float(table[0]["accuracy"]) == found[0].score
    assert (float(table[0]["low"]), float(table[0]["high"])) == (found[0].low, found[0].high)


def test_a_class_of_settings_gives_defaults_and_refuses_designs_before_any_runs():
    whole = {"settings": "test_search:Scored", "base": {}}
    planned = plan(config(axes={"rig.leds": [9, 25]}, **whole), changes={"rig.na": 0.5})
    assert planned.jobs[0].arguments == {"captures": 1, "rig": {"na": 0.5, "leds": 9}, "fold": 0, "seed": 0}
    with pytest.raises(ConfigError, match=r"'rig.leds=\"many\"': 'rig.leds' = 'many' is not valid"):
        plan(config(axes={"rig.leds": [9, "many"]}, **whole))
    with pytest.raises(ConfigError, match="unknown key 'capture'"):
        plan(config(**whole | {"base": {"capture": 2}}))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"axes": {"rig.leeds": [9]}}, "An axis names the field 'rig.leeds'.* did you mean 'rig.leds'"),
        ({"axes": {"rig": {"leeds": [9]}}}, "An axis names the field 'rig.leeds'"),
        ({"points": [{"capture": 9}]}, "A point names the field 'capture'"),
        ({"average": {"fold": [1]}}, "An axis names the field 'fold'"),
        ({"axes": {"seed": [1]}}, "seeds are listed under 'seeds'"),
        ({"axes": {"captures": 2}}, "'axes.captures' = 2 is not a list of values"),
        ({"axes": {"captures": []}}, "is not a list of values"),
        ({"base": BASE | {"seed": 1}}, "has a seed"),
        ({"run": "job_functions.scored"}, "not named as module:function"),
        ({"run": "job_functions:score"}, "cannot be imported"),
        ({"run": "no_such_module:scored"}, "cannot be imported"),
        ({"settings": "job_functions:scored"}, "not a class of configurations"),
        ({"seeds": [1, 1]}, "each seed may stand there once"),
        ({"seeds": []}, "'seeds'"),
        ({"executor": "magic"}, "'executor' = 'magic' is not valid"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_sentence(more: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        plan(config(**more))


def test_a_score_that_no_result_has_names_those_it_has(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no 'acuracy'.*score is one of: accuracy, light"):
        ranked(config(score="acuracy"), tmp_path)
    # the runs are kept: the right name needs no new ones
    assert ranked(config(), tmp_path)[0][0].seeds == 3


def test_the_base_can_be_a_file_beside_the_search(tmp_path: Path):
    (tmp_path / "base.toml").write_text("captures = 5\nrig = { na = 0.1 }\n")
    planned = plan(config(base="base.toml", axes={"rig.na": [0.3]}), tmp_path, {"captures": 7})
    assert planned.jobs[0].arguments == {"captures": 7, "rig": {"na": 0.3}, "seed": 0}
    with pytest.raises(FileMissing, match=r"other.toml"):
        plan(config(base="other.toml"), tmp_path)


def test_executors_by_name():
    assert isinstance(executor_of(config()), Serial)
    processes = executor_of(config(executor="processes", workers=3))
    assert isinstance(processes, Processes)
    assert processes.workers == 3
    ray = executor_of(config(executor="ray", address="head:6379"))
    assert isinstance(ray, Ray)
    assert ray.address == "head:6379"
    with pytest.raises(ConfigError, match="serial is one"):
        executor_of(config(workers=2))
    with pytest.raises(ConfigError, match="has no address"):
        executor_of(config(address="head:6379"))


def test_options_set_fields():
    assert option_value("light.bits=1") == ("light.bits", 1)
    assert option_value("colours=[0, 1]") == ("colours", [0, 1])
    assert option_value("crops=some/where") == ("crops", "some/where")
    with pytest.raises(ConfigError, match="does not set a field"):
        option_value("light.bits")


def test_the_shipped_search_is_sound_before_anything_runs():
    path = _show.config_file("search", "cells")
    planned = plan(SearchConfig.from_file(path), path.parent, {})
    assert len(planned.designs) == 6
    assert len(planned.jobs) == 6 * 3 * 4
