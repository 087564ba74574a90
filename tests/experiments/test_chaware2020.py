"""The experiment of adaptive light: its short form as a whole, its cells and lights, how it judges."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lsm.agent.adaptive.evaluate import Outcome
from lsm.agent.adaptive.invented import invented_stack
from lsm.errors import ConfigError
from lsm.experiments.arrays import write_arrays
from lsm.experiments.chaware2020 import ChawareConfig
from lsm.experiments.chaware2020.arms import FIXED_ORDERS, GREEDY, ORACLE, SEQUENCE, SINGLE, TRAINED, greedy
from lsm.experiments.chaware2020.bench import Bench
from lsm.experiments.chaware2020.config import Prices, StudyConfig
from lsm.experiments.chaware2020.digits import digit_crops
from lsm.experiments.chaware2020.judge import judge
from lsm.experiments.chaware2020.lights import standard_lights
from lsm.experiments.chaware2020.slide import BLOCK_PX, PIECE_PX, piece_corners, replayed_pieces
from lsm.experiments.chaware2020.tables import as_markdown
from lsm.experiments.registry import experiment_config, run_experiment
from lsm.experiments.sim_to_real.config import SimToRealConfig
from lsm.sensing.cells.light import Lamps
from lsm.twin import GridBoardConfig

CONFIG = experiment_config("chaware2020")


@pytest.mark.timeout(400)  # some twenty seconds of one core, where nobody else works
def test_the_short_form_shows_the_direction(tmp_path: Path):
    results = run_experiment("chaware2020", tmp_path, quick=True)
    assert results == json.loads((tmp_path / "results.json").read_text())
    study = results["studies"]["phantoms"]
    curves = study["curves"]
    best = max(row["accuracy"] for row in curves[ORACLE].values())
    # a few epochs on 120 cells: better than chance, and far from an oracle that knows the truth
    assert 0.52 < curves[SEQUENCE]["2"]["accuracy"] < best
    assert {claim["than"] for claim in study["claims"]} >= set(FIXED_ORDERS)
    assert curves[TRAINED]["0.01 a capture"]["captures"] <= 2
    assert len(study["trainings"]) == study["seeds"] * study["folds"] == 4
    for name in ("table.md", "picture.png"):
        assert (tmp_path / name).stat().st_size > 200
    greedy = curves[GREEDY]
    assert greedy["0.7"]["captures"] == 1  # more than ln 2, which no capture can say
    assert study["intervals_over"] == "seeds and patients"
    kept = sorted(tmp_path.glob("quick/kept/*"))
    times = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 8
    assert run_experiment("chaware2020", tmp_path, quick=True)["studies"] == results["studies"]
    one = run_experiment("chaware2020", tmp_path, quick=True, seeds=1)["studies"]["phantoms"]
    assert (one["seeds"], one["intervals_over"], len(one["trainings"])) == (1, "patients alone", 2)
    assert one["cells"] == study["cells"]
    assert "intervals over patients alone" in (tmp_path / "table.md").read_text()
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_policies_are_called_the_same_whatever_the_order_of_their_designs():
    """Jobs travel as JSON with sorted keys."""
    study = ChawareConfig.from_file(CONFIG).studies["nih"]
    travelled = StudyConfig.from_table(json.loads(json.dumps(study.model_dump(mode="json"), sort_keys=True)), source="")
    as_told, as_run = ({name: rest for name, *rest in each.trained()} for each in (study, travelled))
    assert list(as_told) != list(as_run)
    assert as_told == as_run


def test_names_that_are_not_there_are_refused():
    whole = ChawareConfig.from_file(CONFIG)
    assert set(whole.studies) == {"nih", "phantoms", "fourier_mnist", "replayed"}
    assert whole.seeds == 5
    with pytest.raises(ConfigError, match="study 'nowhere'"):
        ChawareConfig.from_file(CONFIG, quick={"nowhere": {}})
    with pytest.raises(ConfigError):
        ChawareConfig.from_file(CONFIG, quick={"nih": {"captres": 2}}).short()


def test_nobody_is_in_two_parts_and_choices_meet_no_tested_cell():
    stack, lamps = invented_stack(160, patients=16)
    config = StudyConfig(
        learned=0, captures=2, folds=2, reader={"epochs": 1, "channels": (4, 4), "units": 8, "head": 4}, choose_cells=20
    )
    bench = Bench.make(config, stack, lamps, seed=1, fold=0)
    parts = [set(stack.patient[rows]) for rows in (bench.learn, bench.aside, bench.test)]
    assert set().union(*parts) == set(stack.patient)
    assert sum(len(part) for part in parts) == 16
    tested = set(bench.tested.patient)
    assert tested == parts[2]
    for env in (bench.choosing().env, bench.training(config.prices[0])):
        assert not set(env.world.source.stack.patient) & tested


def test_standard_lights_are_distinct():
    board = GridBoardConfig().board()
    lamps = Lamps(board, np.arange(board.n_leds), np.ones(board.n_leds, dtype=np.int64), 0.10)
    lights = standard_lights(lamps)
    assert len(lights) == 10
    assert {"centre", "bright field", "dark field", "dark, from -x"} <= set(lights)
    assert len({duty.tobytes() for duty in lights.values()}) == len(lights)
    inside = lamps.na <= lamps.na_objective
    assert not lights["dark field"][inside].any()
    assert not lights["bright field"][~inside].any()


def test_digits_need_no_download():
    pytest.importorskip("sklearn")
    crops = digit_crops(100)
    assert crops.images.shape == (100, 50, 50)
    assert 0.3 < crops.infected.mean() < 0.7
    assert len(set(crops.patient)) == 100


def test_pieces_of_a_slide_lie_in_one_block_each():
    corners = piece_corners(128, 8)
    assert len(corners) > 100
    for y, x in corners:
        assert y // BLOCK_PX == (y + PIECE_PX - 1) // BLOCK_PX
        assert x // BLOCK_PX == (x + PIECE_PX - 1) // BLOCK_PX


@pytest.mark.data
def test_pieces_of_the_measured_slide_are_named_by_what_is_kept(data_dir: Path, tmp_path: Path):
    settings = SimToRealConfig.from_file(experiment_config("sim_to_real"))
    # a slide that is stained on its left half, in place of the one that would be computed
    truth = np.zeros((192, 192), dtype=np.float32)
    truth[:, :96] = 1
    write_arrays(tmp_path / f"replayed-{settings.digest()}.npz", {"truth": truth})
    stack = replayed_pieces(tmp_path)
    assert stack.shape[1:] == (188, PIECE_PX, PIECE_PX)
    assert set(stack.patient[stack.infected]) <= {f"block {y} {x}" for y in range(4) for x in (0, 1)}
    assert stack.infected.mean() == pytest.approx(0.5, abs=0.01)
    # the axis is bright, the far dark field is not
    assert 0.5 < float(stack.images[:, stack.board.na.argmin()].mean()) < 1.5
    assert float(stack.images[:, stack.board.na.argmax()].mean()) < 0.1


def test_a_policy_that_pays_by_seconds_has_a_greedy_rival_that_minds_them():
    stack, lamps = invented_stack(160, patients=16)
    config = StudyConfig(
        learned=0,
        captures=2,
        folds=2,
        reader={"epochs": 1, "channels": (4, 4), "units": 8, "head": 4},
        choose_cells=20,
        gains=(0.7,),
        gains_per_s=(35.0, 0.01),
        prices=({"per_capture": 0.01}, {"per_s": 0.02}),
    )
    bench = Bench.make(config, stack, lamps, seed=1, fold=0)
    found = {setting: outcome for _, setting, outcome, _ in greedy(bench)}
    assert set(found) == {"0.7", "35 a second", "0.01 a second"}
    assert found["0.7"].mean("captures") == found["35 a second"].mean("captures") == 1
    assert found["35 a second"].mean("time_s") <= found["0.7"].mean("time_s")
    captures_only = bench.config.model_copy(update={"prices": config.prices[:1]})
    assert [setting for _, setting, _, _ in greedy(replace(bench, config=captures_only))] == ["0.7"]


def outcome(right: np.ndarray, captures: float) -> Outcome:
    cells = right.shape[1]
    spent = np.full(right.shape, captures, dtype=np.float64)
    infected = np.arange(cells) % 2 == 0
    patient = np.array([f"P{number % 20}" for number in range(cells)])
    return Outcome(
        policy="invented",
        declared=np.zeros(right.shape, dtype=np.int64),
        correct=right,
        log_score=-spent,
        captures=spent,
        light_led_s=spent,
        time_s=spent,
        cost=spent,
        infected=infected,
        patient=patient,
    )


def test_a_policy_that_needs_half_the_captures_is_seen_to():
    rng = np.random.default_rng(3)

    def seeds(share: float, captures: float) -> list[Outcome]:
        return [outcome(rng.random((1, 600)) < share, captures) for _ in range(3)]

    config = StudyConfig(prices=(Prices(per_capture=0.01),))
    found = {
        SINGLE: {"1": seeds(0.7, 1), "4": seeds(0.75, 4)},
        SEQUENCE: {"1": seeds(0.7, 1), "2": seeds(0.8, 2), "4": seeds(0.9, 4)},
        TRAINED: {config.prices[0].name: seeds(0.9, 2)},
        GREEDY: {"0.1": seeds(0.7, 3), "0.01": seeds(0.75, 4)},
    }
    told = judge(config, found)
    claims = {claim["than"]: claim for claim in told["claims"]}
    assert claims[SEQUENCE]["verdict"] == "better"
    assert claims[SEQUENCE]["points"][0] == pytest.approx(10, abs=3)
    assert 0.3 < claims[SEQUENCE]["saving"]["saved"] < 0.65
    assert claims[SINGLE]["reached"]
    assert claims[SINGLE]["saving"]["reached"] < 0.1
    # its cheapest setting spends more than ours: nothing is held equal, so nothing is claimed
    assert claims[GREEDY]["points"][1] > 0
    assert claims[GREEDY]["saving"]["saved"] is None
    assert not claims[GREEDY]["reached"]
    told_as = as_markdown({"invented": told | {"seeds": 3, "folds": 2}})
    assert "none told" in told_as
