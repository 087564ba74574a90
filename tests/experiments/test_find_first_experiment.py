"""The experiment of the first infected cell: its settings, its short form as a whole, what it claims."""

import json
from pathlib import Path

import numpy as np
import pytest

from lsm.agent.find_first import ReaderRates
from lsm.errors import ConfigError, WrongFormat
from lsm.experiments.find_first import FindFirstConfig
from lsm.experiments.find_first.real_films import counts_of, photograph_counts, unevenness
from lsm.experiments.registry import experiment_config, run_experiment

CONFIG = experiment_config("find_first")


@pytest.mark.timeout(400)  # some ten seconds of one core for each run, where nobody else works
def test_the_short_form_shows_the_direction(tmp_path: Path):
    results = run_experiment("find_first", tmp_path, quick=True)
    assert results == json.loads((tmp_path / "results.json").read_text())
    even, patchy = (results["conditions"][name]["policies"] for name in ("uniform", "patches, spread 2"))
    # evenly infected films leave nothing to win or to lose
    assert even["planner"]["ratio"]["low"] > 0.95
    assert patchy["planner"]["ratio"]["ratio"] > 1.3
    assert patchy["told the map"]["fields"] < patchy["planner"]["fields"] < patchy["serpentine"]["fields"]
    assert len(results["trainings"]) == results["config"]["seeds"] == 2
    for name in ("table.md", "picture.png"):
        assert (tmp_path / name).stat().st_size > 200
    trained = sorted(tmp_path.glob("cache/*.safetensors"))
    times = [path.stat().st_mtime_ns for path in trained]
    assert run_experiment("find_first", tmp_path, quick=True)["conditions"] == results["conditions"]
    assert [path.stat().st_mtime_ns for path in trained] == times


def test_names_that_are_not_there_are_refused():
    whole = FindFirstConfig.from_file(CONFIG)
    with pytest.raises(ConfigError, match="no condition 'nowhere'"):
        FindFirstConfig.from_file(CONFIG, clustered="nowhere")
    assert isinstance(whole.rates, ReaderRates)
    assert set(whole.short().conditions) == {whole.clustered, whole.uniform}
    with pytest.raises(ConfigError, match="different grids"):
        FindFirstConfig.from_file(CONFIG, rules={"grid": {"columns": 5, "rows": 12}})


def _rows(rng: np.random.Generator, spread: float) -> list[dict[str, str]]:
    """Rows of 300 slides with 12 photographs each, whose infected fractions vary by `spread`."""
    rows = []
    for slide in range(300):
        local = rng.lognormal(-(spread**2) / 2, spread, 12)
        for photograph, count in enumerate(rng.poisson(4 * local)):
            kinds = ["Parasitized"] * count + ["Uninfected"] * 2
            names = (f"S{slide}_{photograph}_cell_{number}.png" for number in range(len(kinds)))
            rows += [{"filename": n, "class": k, "patient_id": f"P{slide}"} for n, k in zip(names, kinds, strict=True)]
    return rows


@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_unevenness_comes_back_from_counts(spread: float):
    told = unevenness(counts_of(_rows(np.random.default_rng(3), spread), source="rows"), seed=0)
    assert told["slides"] > 290
    middle, low, high = told["squared_variation"]
    assert low < np.expm1(spread**2) < high
    # 3,600 photographs with 4 crops in the mean
    assert middle == pytest.approx(np.expm1(spread**2), abs=0.2 if spread else 0.03)


def test_other_tables_are_refused():
    with pytest.raises(WrongFormat, match=r"rows.csv is no table"):
        counts_of([{"filename": "a.png", "class": "x"}], source="rows.csv")


@pytest.mark.data
def test_infection_on_real_films_is_even(data_dir: Path):
    told = unevenness(photograph_counts(data_dir / "nih_malaria_cells_50px" / "manifest.csv"), seed=0)
    assert (told["slides"], told["photographs"]) == (94, 715)
    assert told["spread"][2] < 0.2
