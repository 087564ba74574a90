"""The coverage experiment at a small size: what it counts, what it claims, and that it tells good from bad."""

import re
from pathlib import Path

import numpy as np
import pytest

from lsm.experiments.interval_coverage import counts, readers, scans, stops, thin
from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.limits import limits_by_cells
from lsm.experiments.interval_coverage.run import claims_of
from lsm.experiments.interval_coverage.tally import Tally
from lsm.experiments.registry import experiment_config, run_experiment
from lsm.stats.binomial import clopper_pearson


@pytest.fixture(scope="module")
def small() -> CoverageConfig:
    config = CoverageConfig.from_file(experiment_config("interval_coverage")).short()
    scan = config.scan.model_copy(update={"cells_max": 500_000, "per_ul": (1000.0,)})
    few = {"runs": 200, "slow_runs": 6, "looks": 6, "cells": (200_000,), "scan": scan}
    return config.model_copy(update=few)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def possible(tally: Tally, share: float) -> bool:
    """Whether the coverage may be this share, with a chance of 1 in 1000."""
    low, high = clopper_pearson(tally.held, tally.runs, confidence=0.999)
    return low <= share <= high


def test_intervals_of_the_right_reader_cover_and_those_of_a_wrong_one_do_not(small: CoverageConfig):
    spread = list(thin.spread_densities(small, rng()))
    assert all(possible(each, 0.95) for each in spread if "no parasites" not in each.condition)
    (wrong,) = thin.fixed_rate(small.model_copy(update={"cells": (2_000_000,)}), rng())
    assert not possible(wrong, 0.95)


def test_a_look_that_suits_is_covered_at_any_time_and_not_by_an_ordinary_interval(small: CoverageConfig):
    found = list(stops.at_every_look(small, rng()))
    assert all(clopper_pearson(one.held, one.runs)[1] >= 0.95 for one in found if one.interval == stops.ANYTIME)
    assert all(one.coverage < 0.93 for one in found if one.interval == stops.ORDINARY)


def test_boundaries_between_looks_are_those_of_the_rule(small: CoverageConfig):
    rule = small.rules["known rate 1e-5"].rule(0.8, small.scan)
    looks = np.unique(np.geomspace(1000, 500_000, 90).astype(np.int64))
    assert all(
        np.array_equal(one, other)
        for one, other in zip(scans.edges_of(rule, looks), rule.boundaries(looks.astype(float)), strict=True)
    )


def test_rules_are_judged_with_cells_and_errors(small: CoverageConfig):
    found = dict(scans.judge_rules(small, rng()))
    assert set(found) == set(small.rules)
    known = found["known rate 1e-5"]
    assert known["fixed_cells"] == pytest.approx(890_000, rel=0.01)  # three digits of the design's figure
    high = known["densities"]["1000"]
    assert high["positive"][0] == 1.0
    assert high["of_fixed"][2] < 0.05


def test_every_other_part_counts_as_many_runs_as_it_was_told(small: CoverageConfig):
    fast = [*counts.fractions(small, rng()), *counts.expectations(small, rng()), *counts.thick_films(small, rng())]
    assert {each.runs for each in fast} == {small.runs}
    slow = [*thin.estimated_errors(small, rng()), *readers.levels(small, rng())]
    assert {each.runs for each in slow} == {small.slow_runs}
    assert len(list(thin.own_rate(small, rng()))) == 2
    assert len(limits_by_cells(small)) == 5


def test_claims_are_missed_where_coverage_lies_outside(small: CoverageConfig):
    good, low, high = (Tally("thin film", "here", held, 1000).row(small.asked) for held in (950, 930, 980))
    ignored = Tally(thin.ONE_RATE, "here", 500, 1000).row(small.asked)
    found = {"fixed_densities": [good], "parts": {"part": [good, low, high, ignored]}, "narrow": [good]}
    claims = claims_of(small, found | {"score_histograms": [good], "rules": {}})
    assert [each["reached"] for each in claims] == [True, False, True, True]
    assert claims[1]["found"] == "1 of 3 conditions, 1 below, 1 above; 93.0 to 98.0 %"


def test_the_short_form_ends_with_tables_pictures_and_claims(tmp_path: Path):
    text = experiment_config("interval_coverage").read_text(encoding="utf-8")
    before, short = text.split("[quick]")
    for key, value in {"runs": 100, "slow_runs": 5, "looks": 5, "cells_max": 200_000}.items():
        short = re.sub(rf"^{key} = .*$", f"{key} = {value}", short, flags=re.MULTILINE)
    short = re.sub(r"^rules = .*$", 'rules = ["known rate 1e-5"]', short, flags=re.MULTILINE)
    config = tmp_path / "small.toml"
    config.write_text(f"{before}[quick]{short}", encoding="utf-8")
    found = run_experiment("interval_coverage", tmp_path / "out", config=config, quick=True)
    assert found["quick"]
    assert list(found["rules"]) == ["known rate 1e-5"]
    assert {row["runs"] for row in found["fixed_densities"]} == {100}
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert all(claim["claim"] in table for claim in found["claims"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.json",
        "table.md",
        "coverage.png",
        "cells.png",
    }
