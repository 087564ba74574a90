"""Arms, seeds and folds of a study; its table and its claims."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import ConfigError, FileMissing, InputError
from lsm.experiments.cell_run import run_cell
from lsm.experiments.jobs import JobTable, Serial
from lsm.experiments.light_used import light_used
from lsm.experiments.muthumbi2019 import beside_the_published
from lsm.experiments.photon_budget import check_budgets
from lsm.experiments.registry import experiment_config, run_experiment
from lsm.experiments.studies import Quick, Studied, StudiesConfig, as_markdown, run_studies
from lsm.experiments.study import Claim, StudyConfig, Votes, study_jobs, summarise
from lsm.illum import LedBoard
from lsm.sensing.cells import CellStack, write_cells
from lsm.sensing.cells.light import Lamps
from lsm.sensing.progress import Silent
from lsm.twin import GridBoardConfig

TINY = {
    "stack": {
        "board": {"rows": 5, "columns": 5, "pitch_mm": 6.0},
        "na": 0.15,
        "camera_pixel_um": 2.4,
        "sample_px": 64,
        "sample_pixel_um": 0.3,
    },
    "network": {"widths": [4, 4, 4], "hidden": 4},
    "training": {"epochs": 1, "rows_per_step": 16},
    "folds": 2,
}
STUDY = {
    "design": TINY,
    "arms": {"learned": {}, "all LEDs": {"light.kind": "all LEDs"}},
    "seeds": 2,
    "claims": [
        {"text": "learned wins", "better": "learned", "than": ["all LEDs"], "asked": 3.0},
        {"text": "the board shows it", "better": "learned, on the board", "than": ["learned"]},
    ],
}


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Sixty crops of ten patients; infected ones have a dark spot."""
    rng = np.random.default_rng(0)
    images = np.zeros((60, 50, 50), dtype=np.uint8)
    images[:, 5:45, 5:45] = 200 + rng.integers(0, 20, (60, 40, 40))
    labels = np.arange(60) % 2
    images[labels == 1, 20:28, 20:28] = 90
    path = tmp_path / "crops.npz"
    np.savez(path, images=images, labels=labels, patient=np.array([f"P{k % 10}" for k in range(60)]))
    return path


def places(tmp_path: Path, crops: Path) -> dict[str, Path]:
    return {"crops": crops, "cache": tmp_path / "cache", "out": tmp_path / "odds"}


def test_a_study_trains_every_arm_on_every_fold_and_tells_its_claims(tmp_path: Path, crops: Path):
    study = StudyConfig.from_table(STUDY)
    jobs = study_jobs(study, **places(tmp_path, crops))
    assert len(jobs) == 2 * 2 * 2
    with JobTable(tmp_path / "table.jsonl") as table:
        rows = Serial().run(jobs, table)
    assert [row.error for row in rows] == [None] * 8
    votes = Votes(study, {row.key: row.result for row in rows}, **places(tmp_path, crops))
    odds = votes.odds("learned", [1, 2])
    assert odds.shape == (2, 60)
    assert np.isfinite(odds).all()
    outcome = summarise(votes)
    assert outcome["claims"][0]["verdict"] in ("better", "worse", "no difference shown")
    assert outcome["claims"][0]["asked_points"] == 3.0
    board = outcome["arms"]["learned"]["accuracy_compiled"] - outcome["arms"]["learned"]["accuracy"]
    assert outcome["claims"][1]["points"][0] == pytest.approx(100 * board, abs=0.02)
    assert outcome["arms"]["learned"]["accuracy"] == pytest.approx(votes.correct("learned", [1, 2]).mean(), abs=1e-4)
    sizes = [len(held["rows"]) for held in votes.trainings("learned", [1, 2])]
    compiled = [row["accuracy_compiled"] for row in votes.rows("learned", [1, 2])]
    assert outcome["arms"]["learned"]["accuracy_compiled"] == pytest.approx(
        np.average(compiled, weights=sizes), abs=1e-4
    )
    studied = Studied.from_table({"source": votes.source(), **outcome})
    told = as_markdown({"green": studied})
    assert "| learned wins (learned against all LEDs)" in told
    # no pixel is near saturation under all LEDs: the camera collects the budget
    assert outcome["arms"]["all LEDs"]["signal_e"] == pytest.approx(5000, rel=0.02)
    row = next(line for line in told.splitlines() if line.startswith("| all LEDs |"))
    head = next(line for line in told.splitlines() if line.startswith("| light |"))
    assert row.count("|") == head.count("|")


def test_the_same_job_gives_the_same_row(tmp_path: Path, crops: Path):
    job = study_jobs(StudyConfig.from_table(STUDY), **places(tmp_path, crops))[0]
    first, second = run_cell(dict(job.arguments)), run_cell(dict(job.arguments))
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in second.items() if k != "seconds"}


def test_a_converted_stack_is_studied_as_crops_are(tmp_path: Path):
    rng = np.random.default_rng(0)
    infected = np.arange(64) % 2 == 0
    images = 0.5 + 0.02 * rng.standard_normal((64, 25, 8, 8))
    images[infected, :, 3:5, 3:5] += 0.4
    board = GridBoardConfig.from_table(TINY["stack"]["board"]).board()
    stack = CellStack(
        images.astype(np.float16),
        led=np.arange(25),
        colour=np.full(25, 1),
        infected=infected,
        patient=np.array([f"P{k % 8}" for k in range(64)]),
        crop=np.arange(64),
        board=board,
        system=None,
        source="a measured stack",
    )
    write_cells(tmp_path / "mine.h5", stack)
    config = StudiesConfig.from_table({"data": str(tmp_path / "mine.h5"), "studies": {"mine": STUDY}})
    studied, _ = run_studies(config, tmp_path / "out", quick=False, seeds=None, workers=1, progress=Silent())
    assert studied["mine"].source == "a measured stack"
    assert studied["mine"].arms["learned"]["seeds"] == 2
    gone = config.model_copy(update={"data": tmp_path / "gone.h5"})
    with pytest.raises(FileMissing, match=r"gone\.h5 do not exist"):
        run_studies(gone, tmp_path / "out", quick=False, seeds=None, workers=1, progress=Silent())


def test_an_arm_with_a_key_that_no_design_has_is_refused():
    study = StudyConfig.from_table({"design": TINY, "arms": {"a": {"light.knid": "centre"}}})
    with pytest.raises(ConfigError, match=r"arm 'a' has the unknown key 'light\.knid'"):
        study.design_of("a")


def test_a_claim_about_an_unknown_arm_is_refused(tmp_path: Path, crops: Path):
    claim = Claim(text="it is better", better="learned", than=("nothing",))
    study = StudyConfig(arms={"learned": {}}, claims=(claim,))
    with pytest.raises(ConfigError, match="names the arm 'nothing'"):
        study_jobs(study, **places(tmp_path, crops))


def test_what_a_light_cost_is_that_of_its_images():
    board = LedBoard.grid(rows=1, columns=3, pitch_mm=3.0, distance_mm=50.0)
    lamps = Lamps(board, np.arange(3), np.full(3, 1), 0.1)
    images = np.full((6, 3, 4, 4), 0.5, dtype=np.float16)
    images[:, 2] = 0.01
    cells = {"infected": None, "patient": np.full(6, "P"), "crop": np.arange(6)}
    stack = CellStack(images, lamps.led, lamps.colour, board=board, system=None, source="a test", **cells)
    signed = {"weights": np.array([[0, 1, -1]], dtype=np.float32), "exposure": np.array([300, 300], dtype=np.float32)}
    plain = {"weights": np.array([[0, 1, 0]], dtype=np.float32), "exposure": np.array([100], dtype=np.float32)}
    used = light_used(stack, lamps, [signed, plain], flux_e_per_ms=100.0)
    side = 300 * 0.01 * lamps.irradiance[2]
    assert used["signal_e"] == pytest.approx((300 * 0.5 + side + 100 * 0.5) / 2, rel=1e-3)  # images are float16
    assert used["emitted_e"] == pytest.approx((600 + 100) / 2)
    assert used["exposure_ms"] == pytest.approx((6 + 1) / 2)


@pytest.mark.parametrize(
    ("arms", "reason"),
    [({"grean": ("learned",)}, "the study 'grean'"), ({"green": ("lerned",)}, "the arm 'lerned' of 'green'")],
)
def test_a_short_form_of_what_is_not_there_is_refused(arms: dict[str, tuple[str, ...]], reason: str):
    with pytest.raises(ConfigError, match=f"The short form names {reason}"):
        StudiesConfig(studies={"green": StudyConfig.from_table(STUDY)}, quick=Quick(arms=arms))


@pytest.mark.parametrize(
    ("arm", "keys", "reason"),
    [
        ("learned", {}, "does not name its electrons"),
        ("learned @ 20", {"budget.electrons": 200.0}, "has a budget of 200 electrons"),
        ("learned @ 20", {"budget.electrons": 20.0, "budget.rule": "light"}, "has the rule 'light'"),
    ],
)
def test_a_curve_whose_names_belie_its_budgets_is_refused(arm: str, keys: dict[str, object], reason: str):
    study = StudyConfig(arms={arm: keys})
    with pytest.raises(ConfigError, match=reason):
        check_budgets(StudiesConfig(studies={"signal": study}))


def test_the_shipped_curves_have_the_budgets_of_their_names():
    check_budgets(StudiesConfig.from_file(experiment_config("photon_budget")))


def test_one_seed_and_a_file_for_a_folder_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="1 seeds give no interval"):
        run_experiment("muthumbi2019", tmp_path / "out", seeds=1)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        run_experiment("muthumbi2019", tmp_path / "file")


def test_a_short_form_does_not_take_the_place_of_hours_of_work(tmp_path: Path):
    (tmp_path / "results.json").write_text('{"quick": false}')
    with pytest.raises(InputError, match="holds the results of the whole form"):
        run_experiment("muthumbi2019", tmp_path, quick=True)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_published_table_says_what_was_not_run():
    study = Studied(source="a test", arms={"red: learned": {"accuracy": 0.9}}, claims=[])
    red = beside_the_published(study).splitlines()[2]
    assert red.endswith("| - / 0.749 | 0.900 / 0.852 |")


def test_a_short_form_keeps_the_claims_it_can_judge():
    whole = StudyConfig.from_table(STUDY)
    quick = Quick(design={"training.epochs": 1}, arms={"green": ("all LEDs",)})
    short = StudiesConfig(studies={"green": whole}, quick=quick).short()["green"]
    assert (list(short.arms), short.claims, short.seeds) == (["all LEDs"], (), 2)
    both = Quick(arms={"green": ("learned", "all LEDs")})
    (claim,) = StudiesConfig(studies={"green": whole}, quick=both).short()["green"].claims
    assert (claim.than, claim.asked) == (("all LEDs",), None)
    assert short.design_of("all LEDs").light.kind == "all LEDs"
