"""`lsm vision`: train, score, search, folds and pictures, from one's own images to files that other programs read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lsm.cli import main
from lsm.cli._vision_data import picture_path
from lsm.cli._vision_work import digest
from lsm.errors import LsmError
from lsm.vision.data import WRITERS, AnnotatedImage, AnnotatedSet, Format, Mask, Objects, read_annotations, read_pixels
from lsm.vision.detect import Detector

CHANGES = ("model.width=8", "model.least_score=1e-4", "fit.images_per_step=2", "fit.checkpoint_every=2")
QUICK = ("--steps", "6", *(word for change in CHANGES for word in ("--set", change)))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def squares(images: int = 12) -> AnnotatedSet:
    """Bright squares of two sizes on noise."""
    rng = np.random.default_rng(0)
    held = []
    for number in range(images):
        pixels = (0.1 * rng.random((1, 48, 48))).astype(np.float32)
        corners, kinds = rng.integers(0, 30, (3, 2)), rng.integers(0, 2, 3)
        sides = np.where(kinds == 0, 9, 16)
        for (x, y), side in zip(corners, sides, strict=True):
            pixels[:, y : y + side, x : x + side] = 0.8
        boxes = np.concatenate([corners, corners + sides[:, None]], axis=1).astype(np.float64)
        held.append(AnnotatedImage.of(f"field {number}", pixels, Objects(boxes, kinds)))
    return AnnotatedSet(tuple(held), ("small", "large"), origin="squares")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("squares")
    WRITERS[Format.COCO](squares(), folder / "squares.json")
    return folder / "squares.json"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["vision", *map(str, words)])
    return int(stopped.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    code = run(*words, "--json")
    out = capsys.readouterr().out
    assert code == 0, out
    facts: dict[str, Any] = json.loads(out)
    return facts


@pytest.fixture(scope="module")
def trained(data: Path) -> tuple[Path, dict[str, Any]]:
    file = data.parent / "trained" / "squares.safetensors"
    assert run("train", "--data", data, "--out", file, *QUICK) == 0
    return file, json.loads(file.with_suffix(".json").read_text())


def test_training_leaves_a_detector_what_was_done_and_a_report(trained: tuple[Path, dict[str, Any]]):
    file, facts = trained
    detector = Detector.load(file)
    assert detector.facts.categories == ("small", "large")
    assert facts["learnt_from"] + len(facts["held_out"]) == 12
    assert 2 <= len(facts["held_out"]) <= 3
    assert facts["recipe"]["model"] == {"kind": "grid", "width": 8, "least_score": 1e-4}
    assert facts["fit"]["thresholds"] == dict(zip(("small", "large"), detector.thresholds.tolist(), strict=True))
    assert facts["scores"]["images"] == len(facts["held_out"])
    page = Path(facts["report"])
    assert page.parent.name == "squares-report"
    assert json.loads((page.parent / "scores.json").read_text()) == facts["scores"]
    assert f"{facts['scores']['map_50']:.3f}" in page.read_text()
    assert not file.with_suffix(".checkpoint").exists()


def test_a_broken_training_goes_on_and_ends_the_same(
    data: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "again.safetensors"
    save = Detector.save

    def full(self: Detector, path: Path) -> None:
        raise LsmError(f"No space for {path}.")

    monkeypatch.setattr(Detector, "save", full)
    assert run("train", "--data", data, "--out", file, *QUICK) == 1
    assert file.with_suffix(".checkpoint").is_file()
    monkeypatch.setattr(Detector, "save", save)
    assert run("train", "--data", data, "--out", file, *QUICK) == 0
    weights, expected = load_file(file), load_file(trained[0])
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert (Detector.load(file).thresholds == Detector.load(trained[0]).thresholds).all()


def test_what_was_held_out_is_known_where_scoring_failed(
    data: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise LsmError("No space for the report.")

    monkeypatch.setattr("lsm.cli.vision.evaluate_on", full)
    file = tmp_path / "squares.safetensors"
    assert run("train", "--data", data, "--out", file, *QUICK) == 1
    facts = json.loads(file.with_suffix(".json").read_text())
    assert facts["held_out"] == trained[1]["held_out"] != []
    assert facts["scores"] is None


def test_evaluating_again_gives_the_same_scores(
    data: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run("evaluate", trained[0], "--data", data, "--out", tmp_path / "report", "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert "12 images" in said
    assert "report.html" in said
    facts = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert facts["categories"]["small"]["labelled"] == squares().counts()["small"]
    expected = Detector.load(trained[0]).evaluate(read_annotations(data))
    assert facts == expected.model_dump(mode="json")


def test_searching_writes_coco_with_scores_and_a_picture_of_each_image(
    data: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files = sorted(file for file in data.parent.rglob("*") if file.suffix in (".tif", ".tiff", ".png", ".npy"))
    images = [file for file in files if file.parent == files[0].parent][:2]
    found = Detector.load(trained[0]).predict([read_pixels(file) for file in images])
    least = float(np.median(np.concatenate([each.score for each in found])))
    facts = told(capsys, "predict", trained[0], *images, "--out", tmp_path / "all", "--least-score", least)
    table = json.loads(Path(facts["found"]).read_text())
    assert len(table["images"]) == 2
    expected = np.concatenate([each.above(least).score for each in found])
    # written with six digits
    assert [each["score"] for each in table["annotations"]] == pytest.approx(expected, abs=1e-6)
    assert len(table["annotations"]) == sum(sum(each["counts"].values()) for each in facts["images"].values())
    again = read_annotations(Path(facts["found"]), images=images[0].parent)
    assert sum(again.counts().values()) == len(table["annotations"]) > 0
    for each in facts["images"].values():
        with Image.open(each["picture"]) as picture:
            assert picture.width == 48 * 21
    counts = (tmp_path / "all" / "counts.csv").read_text().splitlines()
    assert counts[0] == "image,small,large"
    assert [line.split(",")[0] for line in counts[1:]] == list(facts["images"])
    timed = [f"{line},{time}" for line, time in zip(counts, ("time_h", 0, 4), strict=True)]
    (tmp_path / "timed.csv").write_text("\n".join(timed), encoding="utf-8")
    over_time = told(capsys, "stages", tmp_path / "timed.csv", "--out", tmp_path / "stages")
    assert sum(sum(row["counts"]) for row in over_time["times"]) == len(table["annotations"])
    none = told(capsys, "predict", trained[0], images[0], "--out", tmp_path / "none", "--least-score", "1")
    assert [each["counts"] for each in none["images"].values()] == [{}]


def test_images_that_cannot_be_searched_are_told_and_the_others_searched(
    data: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, held in (("b.npy", squares(1).images[0].source), ("c.npy", np.zeros((1, 1, 1))), ("d.npy", np.eye(48))):
        np.save(tmp_path / name, np.asarray(held, dtype=np.float32))
    (tmp_path / "a.png").write_bytes(b"cut off")
    words = ("predict", trained[0], *sorted(tmp_path.glob("*.*")))
    assert run(*words, "--out", tmp_path / "found", "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert (list(facts["images"]), list(facts["failed"])) == (["b.npy", "d.npy"], ["a.png", "c.npy"])
    table = json.loads((tmp_path / "found" / "found.json").read_text())
    assert [image["name"] for image in table["images"]] == ["b.npy", "d.npy"]
    assert run(*words, "--out", tmp_path / "again") == 1
    assert "2 of 4 images could not be searched:\n" in capsys.readouterr().err
    assert run(*words[:2], tmp_path / "a.png", "--out", tmp_path / "none") == 2
    assert "cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_folds_are_kept_and_another_run_in_their_folder_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ("crossval", "--data", data, "--folds", "2", "--out", tmp_path / "folds", *QUICK)
    facts = told(capsys, *words)
    rows = json.loads((tmp_path / "folds" / "results.json").read_text())["rows"]
    assert sorted(name for row in rows for name in row["images"]) == sorted(image.name for image in squares().images)
    mean = np.mean([row["scores"]["map_50"] for row in rows])
    assert facts["boxes"]["map_50"][0] == pytest.approx(mean, abs=1e-4)  # written with four digits
    assert len(facts["boxes"]["map_50"]) == 3
    # every object is in exactly one of the held-out parts
    assert {name: row["labelled"] for name, row in facts["categories"].items()} == squares().counts()
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "folds").glob("fold-*")}
    row = (tmp_path / "folds" / "fold-2.json").read_text()
    (tmp_path / "folds" / "fold-2.json").write_text(row[: len(row) // 2])
    assert run(*words) == 0
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "folds").glob("fold-*")}
    assert {name for name in before if before[name] != after[name]} == {"fold-2.json", "fold-2.safetensors"}
    assert json.loads((tmp_path / "folds" / "results.json").read_text())["boxes"] == facts["boxes"]
    assert run(*words, "--set", "fit.learning_rate=1e-2") == 2
    (tmp_path / "folds" / "run.json").write_text("{")
    assert run(*words) == 2
    assert "holds the folds of other images" in capsys.readouterr().err


def test_folds_are_told_with_recall_of_a_hundred_and_the_range_of_counts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    words = ("crossval", "--data", data, "--folds", "2", "--out", tmp_path, *QUICK)
    facts = told(capsys, *words)
    assert run(*words) == 0
    table = capsys.readouterr().out
    assert "mAR of 100" in table
    assert "{:.3f} ({:.3f} to {:.3f})".format(*facts["boxes"]["mar_100"]) in table
    for row in facts["categories"].values():
        assert "{:.1f} to {:.1f} %".format(*row["counted_range"]) in table
    kept = json.loads((tmp_path / "fold-1.json").read_text())
    del kept["scores"]["mar_100"]
    (tmp_path / "fold-1.json").write_text(json.dumps(kept))
    assert "mar_100" not in told(capsys, *words)["boxes"]
    assert run(*words) == 0


def test_folds_are_of_their_pixels_masks_and_names():
    image = AnnotatedImage.of("a", np.zeros((4, 5)), Objects(np.array([[0.0, 0, 2, 2]]), np.array([0])))
    mask = Mask(0, 0, np.ones((2, 2), dtype=bool))
    sets = [
        AnnotatedSet((image,), ("cell",)),
        AnnotatedSet((image,), ("nucleus",)),
        AnnotatedSet((replace(image, source=np.ones((4, 5))),), ("cell",)),
        AnnotatedSet((replace(image, objects=replace(image.objects, masks=(mask,))),), ("cell",)),
        AnnotatedSet((replace(image, objects=replace(image.objects, masks=(replace(mask, top=1),))),), ("cell",)),
    ]
    assert len({digest(each) for each in sets}) == len(sets)


def test_folds_are_never_put_beside_other_files(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "results.json").write_text("mine")
    assert run("crossval", "--data", data, "--folds", "2", "--out", tmp_path, *QUICK) == 2
    assert "exists and holds no folds" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("results.json", "mine")]


def test_annotations_are_drawn_compared_and_counted_over_time(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    facts = told(capsys, "draw", "--data", data, "--out", tmp_path / "drawn", "--most", "3", "--colour-by", "object")
    assert len(facts["pictures"]) == len(list((tmp_path / "drawn").glob("*.png"))) == 3

    facts = told(capsys, "compare", data, data, "--names", "Ada,Bob", "--out", tmp_path / "agreement")
    assert facts["figures"]["Cohen's kappa of the names"] == "1.00"
    assert facts["agreement"]["small"]["Ada"] == facts["agreement"]["small"]["both"]
    assert (tmp_path / "agreement" / "pictures" / "confusion.png").is_file()

    counts = tmp_path / "counts.csv"
    counts.write_text("time_h,red,ring,schizont\n0,90,30,10\n8,95,4,36\n", encoding="utf-8")
    facts = told(capsys, "stages", counts, "--without", "red", "--out", tmp_path / "stages")
    assert facts["times"][1] == {"time_h": 8.0, "counts": [4, 36], "shares": [0.1, 0.9]}
    assert (tmp_path / "stages" / "pictures" / "stages.png").is_file()


def test_images_elsewhere_and_names_of_categories_are_options(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    moved = tmp_path / "moved.json"
    moved.write_bytes(data.read_bytes())
    words = ("draw", "--data", moved, "--most", "1", "--categories", "large,small")
    assert run(*words, "--out", tmp_path / "none") == 2
    facts = told(capsys, *words, "--out", tmp_path / "drawn", "--images", data.parent)
    assert list(facts["objects"]) == ["large", "small"]


def test_names_of_images_never_lead_out_of_the_folder(tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, file in [("a/b.png", "a_b.png.png"), ("../../b", "b.png"), ("/etc/b", "etc_b.png"), ("..", "image.png")]:
        assert picture_path(folder, name) == folder / file
    (folder / "b.png").touch()
    assert picture_path(folder, "b") == folder / "b-2.png"


def test_a_recipe_may_be_a_file_and_all_images_may_be_learnt_from(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "small.toml"
    file.write_text('[model]\nkind = "grid"\nwidth = 8\n[fit]\nsteps = 500\nimages_per_step = 2\n', encoding="utf-8")
    words = ("train", "--data", data, "--model", file, "--steps", "2", "--holdout", "0", "--seed", "3")
    facts = told(capsys, *words, "--out", tmp_path / "model.safetensors")
    assert (facts["recipe"]["fit"]["steps"], facts["recipe"]["fit"]["seed"]) == (2, 3)
    assert (facts["learnt_from"], facts["held_out"], facts["scores"]) == (12, [], None)
    file.write_text(file.read_text(encoding="utf-8") + "seed = 7\n", encoding="utf-8")
    facts = told(capsys, *words[:-2], "--out", tmp_path / "seventh.safetensors")
    assert facts["recipe"]["fit"]["seed"] == 7
    further = ("--weights", tmp_path / "model.safetensors", "--out", tmp_path / "further.safetensors")
    assert told(capsys, *words, *further)["fit"]["steps"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--data", "DATA", "--model", "girl"), "There is no recipe 'girl'"),
        (("train", "--data", "DATA", "--set", "fit.stesp=3"), "stesp"),
        (("train", "--data", "DATA", "--set", "steps=3"), "cannot change 'steps'"),
        (("train", "--data", "nowhere"), "nowhere"),
        (("train", "--data", "DATA", "--validate", "DATA"), "What is learnt from is validated on: One picture is in"),
        (("train", "--data", "DATA", "--out", "m.json"), "'m.json' does not name a detector's file"),
        (("train", "--data", "DATA", "--out", "m.checkpoint"), "'m.checkpoint' does not name a detector's file"),
        (("train", "--data", "DATA", "--out", "m.pth"), "'m.pth' does not name a detector's file"),
        (("train", "--data", "DATA", "--weights", "none.pth"), "none.pth"),
        (("train", "--data", "DATA", "--device", "tpu"), "There is no device 'tpu'"),
        (("train", "--data", "DATA", "--device", "cuda:99"), "There is no device 'cuda:99'"),
        (("evaluate", "MODEL", "--data", "DATA", "--device", "cuda:99"), "There is no device 'cuda:99'"),
        (("predict", "MODEL", "DATA", "--out", "found", "--device", "gpu"), "There is no device 'gpu'"),
        (("evaluate", "none.safetensors", "--data", "DATA"), "none.safetensors"),
        (("evaluate", "DATA", "--data", "DATA"), "DATA"),
        (("predict", "none.safetensors", "none.png", "--out", "found"), "none.png"),
        (("draw", "--data", "DATA", "--out", "drawn", "--channels", "red"), "'red' does not name channels"),
        (("draw", "--data", "DATA", "--out", "drawn", "--channels", "7"), "no channel 7"),
        (("draw", "--data", "DATA", "--out", "drawn", "--colour-by", "mood"), "colour_by"),
        (("compare", "DATA", "DATA", "--out", "x", "--names", "Ada"), "'Ada' does not name two"),
        (("stages", "none.csv", "--out", "x"), "none.csv"),
    ],
)
def test_wrong_input_is_told_in_a_sentence(
    data: Path,
    trained: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
):
    monkeypatch.chdir(tmp_path)
    known = {"DATA": str(data), "MODEL": str(trained[0])}
    assert run(*(known.get(word, word) for word in words)) == 2
    error = capsys.readouterr().err
    assert said.replace("DATA", str(data)) in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(data: Path, trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]):
    before, annotations = trained[0].read_bytes(), data.read_bytes()
    assert run("train", "--data", data, "--out", trained[0], *QUICK) == 2
    assert run("train", "--data", data, "--out", data.with_suffix(".safetensors"), *QUICK) == 2
    assert data.read_bytes() == annotations
    assert not data.with_suffix(".safetensors").exists()
    assert run("draw", "--data", data, "--out", trained[0].parent) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert trained[0].read_bytes() == before
