"""`lsm train-policy` and `lsm policy` for single cells, as a user types them, in a tiny form."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from lsm.agent.adaptive import LightBook
from lsm.agent.adaptive.rigs import opened
from lsm.agent.adaptive.training import CellTrainingConfig, CellTrials, PolicyFolder, labelled_cells, train_cells
from lsm.cli.app import app
from lsm.config import shipped_config
from lsm.errors import ConfigError, FileMissing, InputError, ModelMismatch
from lsm.record import Recorder
from lsm.scope import find_rig
from lsm.sensing.clock import Clock
from lsm.tensorfile import read_tensors

TINY = """
kind = "cells"
name = "tiny"
lights = ["centre", "bright field"]
checkpoint_every = 1

[cells]
smears = 6
cells_per_smear = 10

[cells.smear]
width_um = 140.0
height_um = 110.0
parasitaemia = 0.4
monolayer_per_mm2 = 4000.0

[photons]
electrons = 200.0
exposure_max_ms = 400.0

[ppo]
updates = 3
episodes = 16
minibatches = 2

[ppo.network]
units = 8
"""


def lsm(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def told(*words: object) -> dict[str, Any]:
    result = lsm(*words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "tiny.toml").write_text(TINY)
    words = ("train-policy", folder / "tiny.toml", "--out", folder / "tiny", "--cache", folder / "cache")
    found = told(*words, "--tensorboard", folder / "events")
    assert found["held_out"][0]["policy"] == "trained"
    return folder


def test_a_training_leaves_a_policy_its_curve_and_its_figures(home: Path):
    names = {path.name for path in (home / "tiny").iterdir()}
    assert names == {"policy.safetensors", "world.safetensors", "config.json", "figures.json", "training.jsonl"}
    curve = [json.loads(line) for line in (home / "tiny" / "training.jsonl").read_text().splitlines()]
    assert [line["update"] for line in curve] == [1, 2, 3]
    figures = json.loads((home / "tiny" / "figures.json").read_text())
    ours, *others = figures["held_out"]
    assert ours["cost_low"] <= ours["cost"] <= ours["cost_high"]
    assert all(row["worse_low"] <= row["worse_by"] <= row["worse_high"] for row in others)
    assert any(path.name.startswith("events") for path in (home / "events").rglob("*"))


def test_given_again_a_training_goes_on_and_ends_the_same(home: Path):
    found = told("train-policy", home / "tiny.toml", "--out", home / "again", "--cache", home / "cache")
    first, second = (read_tensors(home / name / "policy.safetensors", hint="")[1] for name in ("tiny", "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert found["held_out"] == json.loads((home / "tiny" / "figures.json").read_text())["held_out"]


@pytest.mark.data
def test_a_policy_learns_on_real_crops_is_judged_and_runs(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    text = TINY.replace("smears = 6\ncells_per_smear = 10", 'source = "nih"\ncrops = 200')
    (tmp_path / "nih.toml").write_text(text)
    cache, folder = ("--cache", tmp_path / "cache"), tmp_path / "policy"
    found = told("train-policy", tmp_path / "nih.toml", "--out", folder, *cache)
    # patients of the crops, three in ten of whom are kept for this
    assert 20 < found["held_out_patients"] < 60
    assert told("policy", "evaluate", folder, *cache)["rows"] == found["held_out"]
    words = ("--policy", folder, "--middle", "--place", "60,50", "--out", tmp_path / "run")
    (cell,) = told("policy", "run", "twin", *words)["cells"]
    assert cell["captures"] > 0
    monkeypatch.delenv("LSM_DATA")
    missing = lsm("train-policy", tmp_path / "nih.toml", "--out", tmp_path / "other", *cache).exception
    assert isinstance(missing, FileMissing)
    assert "NIH cell crops" in missing.message


def test_a_training_in_two_sittings_tells_the_time_of_both(home: Path, tmp_path: Path):
    config = CellTrainingConfig.from_file(home / "tiny.toml")
    trials = CellTrials.of(labelled_cells(config, home / "cache"), config)
    for name in ("first", "second"):
        clock = Clock()
        if name == "first":
            clock.go_on(torch.tensor([1000.0, 400.0], dtype=torch.float64))
        train_cells(config, trials, checkpoint=tmp_path / "run.safetensors", clock=clock)
        assert clock.wall_s > 1000
        assert clock.cpu_s > 400


def test_evaluating_gives_the_figures_of_the_training_again(home: Path):
    rows = told("policy", "evaluate", home / "tiny", "--cache", home / "cache")["rows"]
    assert rows == json.loads((home / "tiny" / "figures.json").read_text())["held_out"]
    plain = lsm("policy", "evaluate", home / "tiny", "--cache", home / "cache")
    assert "costs more by" in plain.output
    assert "0 centre, 1 bright field" in plain.output


def test_a_policy_runs_on_the_twin_and_its_strips_are_shown(home: Path, tmp_path: Path):
    words = ("policy", "run", "twin", "--policy", home / "tiny", "--middle", "--place", "60,50", "--place", "70,50")
    found = told(*words, "--out", tmp_path / "run")
    assert [cell["xy_um"] for cell in found["cells"]] == [[60.0, 50.0], [70.0, 50.0]]
    assert all(Path(strip).stat().st_size > 5000 for strip in found["strips"])
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "record.h5",
        "decisions.jsonl",
        "cell-1.png",
        "cell-2.png",
    }
    again = told("policy", "show", tmp_path / "run", "--cell", 2, "--out", tmp_path / "strips")
    assert [Path(strip).name for strip in again["strips"]] == ["cell-2.png"]
    assert again["cells"][0]["declared"] == found["cells"][1]["declared"]
    assert again["cells"][0]["lights"] == found["cells"][1]["lights"]
    assert (tmp_path / "strips" / "cell-2.png").read_bytes() == (tmp_path / "run" / "cell-2.png").read_bytes()
    assert told("record", "info", tmp_path / "run" / "record.h5")["made_by"] == "lsm policy run"


def test_places_where_cells_were_looked_for_are_recorded_and_drawn(home: Path, tmp_path: Path):
    words = ("policy", "run", "twin", "--policy", home / "tiny", "--place", "70,50", "--cells", 2)
    found = told(*words, "--out", tmp_path / "run")
    (place,) = found["places"]
    assert len(place["cells_px"]) == len(found["cells"]) == 2
    assert place["light_led_s"] > 0
    assert Path(place["picture"]).stat().st_size > 5000
    facts = told("record", "info", tmp_path / "run" / "record.h5")
    captures = sum(cell["captures"] for cell in found["cells"])
    assert facts["frames"] == captures + 1
    plain = lsm("policy", "show", tmp_path / "run", "--out", tmp_path / "again")
    assert "Place 1 at (70, 50) um: 2 cells found in " in plain.output
    assert (tmp_path / "again" / "place-1.png").read_bytes() == Path(place["picture"]).read_bytes()


def test_an_interrupted_run_is_told_how_to_go_on_and_does(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ("--policy", home / "tiny", "--middle", "--place", "60,50", "--place", "70,50")
    whole = told("policy", "run", "twin", *words, "--out", tmp_path / "whole")
    add, frames = Recorder.add, []

    def interrupted(recorder: Recorder, *frame: Any) -> int:
        if len(frames) == 1:
            raise KeyboardInterrupt
        frames.append(add(recorder, *frame))
        return frames[-1]

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "add", interrupted)
        stopped = lsm("policy", "run", "twin", *words, "--out", folder)
    assert stopped.exit_code != 0
    assert f"Go on with: lsm policy run --resume {folder}" in stopped.stderr
    refused = lsm("policy", "run", "--resume", folder, "--seed", 2, "--middle")
    assert isinstance(refused.exception, InputError)
    assert "--seed, --middle cannot change them" in str(refused.exception)
    done = told("policy", "run", "--resume", folder)
    assert done["resumed_after"] == 1
    assert done["cells"] == whole["cells"]
    assert (folder / "cell-2.png").read_bytes() == (tmp_path / "whole" / "cell-2.png").read_bytes()
    nothing = lsm("policy", "run", "twin").exception
    assert isinstance(nothing, InputError)
    assert "needs a rig and a policy" in str(nothing)


def test_a_policy_for_another_rig_is_refused(home: Path, tmp_path: Path):
    rig = tmp_path / "other.toml"
    rig.write_text(find_rig("simulated").read_text().replace("na = 0.10", "na = 0.25"))
    result = lsm("policy", "run", rig, "--policy", home / "tiny", "--out", tmp_path / "run")
    assert isinstance(result.exception, ModelMismatch)
    assert "NA 0.1, rig 'simulated' has 0.25" in result.exception.message
    assert not (tmp_path / "run").exists()


def test_lights_that_the_board_dims_are_refused_before_anything_is_written(home: Path, tmp_path: Path):
    rig = tmp_path / "weak.toml"
    rig.write_text(find_rig("simulated").read_text().replace("[led.board]", "[led]\nlimit_ma = 100\n\n[led.board]"))
    result = lsm("policy", "run", rig, "--policy", home / "tiny", "--out", tmp_path / "run")
    assert isinstance(result.exception, ModelMismatch)
    # nine LEDs of 20 mA light the bright field
    assert "the light 'bright field', which draws 180 mA" in result.exception.message
    assert "more than 100 mA" in result.exception.message
    assert not (tmp_path / "run").exists()


@pytest.mark.firmware
def test_the_limit_that_the_board_itself_tells_counts(home: Path, tmp_path: Path):
    policy = PolicyFolder.load(home / "tiny")
    light = policy.world.light
    assert isinstance(light, LightBook)
    full = np.ones((len(light), light.duty.shape[1]), dtype=np.float32)
    bright = replace(policy, world=replace(policy.world, light=LightBook(full, light.exposure_ms, light.names)))
    # 169 LEDs of 20 mA; the firmware begins with 30 % of what all three colours draw
    said = "draws 3380 mA; the board of rig 'simulated' dims what draws more than 3042 mA"
    with pytest.raises(ModelMismatch, match=said), opened("simulated", bright, 1):
        raise AssertionError("the run has begun")


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (("policy", "run", "twin", "--policy", "nowhere"), FileMissing, "nowhere"),
        (("policy", "evaluate", "nowhere"), FileMissing, "no folder"),
        (("policy", "show", "nowhere"), FileMissing, "no decisions"),
        (("train-policy", "cells", "--model", "procedural"), InputError, "has no model"),
        (("train-policy", "default", "--tensorboard", "x"), InputError, "TensorBoard"),
        (("train-policy", "default", "--cluster", "local"), InputError, "one machine"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    words: tuple[str, ...], error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = lsm(*words).exception
    assert isinstance(found, error)
    assert said in str(found)


def test_the_kept_figure_is_that_of_the_shipped_configuration():
    kept = json.loads((Path(__file__).parents[2] / "docs" / "benchmarks" / "policy_cells.json").read_text())
    config = CellTrainingConfig.from_file(shipped_config("policy/cells.toml"))
    assert config.digest() == kept["config_digest"], "train it again and keep its figure"
    assert kept["seconds"] < 1800


def test_a_place_that_is_none_is_told(home: Path, tmp_path: Path):
    result = lsm("policy", "run", "twin", "--policy", home / "tiny", "--place", "60;50", "--out", tmp_path / "run")
    assert "is not X,Y" in str(result.exception)


def test_a_misspelt_key_is_named(tmp_path: Path):
    path = tmp_path / "wrong.toml"
    path.write_text(shipped_config("policy/cells.toml").read_text().replace("smears = 48", "smaers = 48"))
    found = lsm("train-policy", path).exception
    assert isinstance(found, ConfigError)
    assert "did you mean 'smears'" in str(found)
