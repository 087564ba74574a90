"""Arms, seeds and folds of a study; its table and its claims."""

from pathlib import Path

import numpy as np
import pytest

from lsm.errors import ConfigError
from lsm.experiments.cell_run import run_cell
from lsm.experiments.jobs import JobTable, Serial
from lsm.experiments.studies import Quick, Studied, StudiesConfig, as_markdown
from lsm.experiments.study import Claim, StudyConfig, Votes, study_jobs, summarise

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
    "claims": [{"text": "learned wins", "better": "learned", "than": ["all LEDs"], "asked": 3.0}],
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
    assert outcome["arms"]["learned"]["accuracy"] == pytest.approx(votes.correct("learned", [1, 2]).mean(), abs=1e-4)
    assert "accuracy_compiled" in outcome["arms"]["learned"]
    studied = Studied.from_table({"source": votes.source(), **outcome})
    assert "| learned wins (learned against all LEDs)" in as_markdown({"green": studied})


def test_the_same_job_gives_the_same_row(tmp_path: Path, crops: Path):
    job = study_jobs(StudyConfig.from_table(STUDY), **places(tmp_path, crops))[0]
    first, second = run_cell(dict(job.arguments)), run_cell(dict(job.arguments))
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in second.items() if k != "seconds"}


def test_an_arm_with_a_key_that_no_design_has_is_refused():
    study = StudyConfig.from_table({"design": TINY, "arms": {"a": {"light.knid": "centre"}}})
    with pytest.raises(ConfigError, match=r"arm 'a' has the unknown key 'light\.knid'"):
        study.design_of("a")


def test_a_claim_about_an_unknown_arm_is_refused(tmp_path: Path, crops: Path):
    claim = Claim(text="it is better", better="learned", than=("nothing",))
    study = StudyConfig(arms={"learned": {}}, claims=(claim,))
    with pytest.raises(ConfigError, match="names the arm 'nothing'"):
        study_jobs(study, **places(tmp_path, crops))


def test_a_short_form_keeps_the_claims_it_can_judge():
    whole = StudyConfig.from_table(STUDY)
    quick = Quick(design={"training.epochs": 1}, arms={"green": ("all LEDs",)})
    short = StudiesConfig(studies={"green": whole}, quick=quick).short()["green"]
    assert (list(short.arms), short.claims, short.seeds) == (["all LEDs"], (), 2)
    both = Quick(arms={"green": ("learned", "all LEDs")})
    (claim,) = StudiesConfig(studies={"green": whole}, quick=both).short()["green"].claims
    assert (claim.than, claim.asked) == (("all LEDs",), None)
    assert short.design_of("all LEDs").light.kind == "all LEDs"
