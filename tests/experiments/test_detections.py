"""Detectors by folds: nobody is tested on what it learnt from, tables add up, faults are told."""

import importlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsm.errors import ConfigError, FileMissing
from lsm.experiments import registry
from lsm.experiments.detections import DetectionsConfig, SetConfig, fold_run, open_set, run, smears
from lsm.experiments.detections.fold_run import FoldJob, run_fold
from lsm.experiments.detections.run import summarise
from lsm.experiments.detections.sets import open_fold
from lsm.experiments.detections.smears import SmearImages, smear_images
from lsm.experiments.registry import EXPERIMENTS, experiment_config
from lsm.sensing.progress import Silent
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Objects
from lsm.vision.data.formats import WRITERS, Format, read_annotations
from lsm.vision.detect import score
from lsm.vision.detect.folds import category_over_folds, interval
from lsm.vision.field import phantoms

CONFIG = """
[studies.squares]
data = {{ name = "folder", path = "{path}", block = 2 }}
folds = 2
published = [{{ system = "theirs", data = "other squares", figure = "0.9", source = "a test" }}]
disturbed = [{{ kind = "blur", strength = 6.0 }}]

[studies.squares.arms.grid]
model = {{ kind = "grid", width = 8 }}
fit = {{ steps = 60, images_per_step = 4, learning_rate = 5e-3 }}

[quick]
images = 6
fit = {{ steps = 2 }}
arms = {{ squares = ["grid"] }}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration over sixteen images of bright squares, two neighbours being one group."""
    rng = np.random.default_rng(3)
    images = []
    for number in range(16):
        pixels = (0.1 * rng.random((64, 64))).astype(np.float32)
        corners = np.array([(x, y) for x in (2, 34) for y in (2, 34)]) + rng.integers(0, 18, (4, 2))
        for x, y in corners:
            pixels[y : y + 12, x : x + 12] += 0.7
        boxes = np.hstack([corners, corners + 12]).astype(np.float64)
        images.append(AnnotatedImage.of(f"field-{number:02d}", pixels, Objects(boxes, np.zeros(4, dtype=np.int64))))
    place = tmp_path / "squares"
    place.mkdir()
    WRITERS[Format.COCO](AnnotatedSet(tuple(images), ("square",), "squares of a test"), place / "squares.json")
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(path=place), encoding="utf-8")
    return path


def test_each_image_is_held_out_once_and_groups_stay_together(config: Path, tmp_path: Path):
    data = DetectionsConfig.from_file(config).studies["squares"].data
    held_out: list[str] = []
    for fold in range(2):
        learnt, tested = open_fold(data, tmp_path, folds=2, seed=1, fold=fold)
        assert not {image.group for image in learnt.images} & {image.group for image in tested.images}
        held_out += [image.name for image in tested.images]
    assert sorted(held_out) == sorted(image.name for image in open_set(data, tmp_path).images)


def test_images_that_show_the_same_are_one_group_without_blocks_too(config: Path, tmp_path: Path):
    data = DetectionsConfig.from_file(config).studies["squares"].data
    assert data.path is not None
    held = read_annotations(data.path)
    twice = AnnotatedImage.of("again", held.images[0].pixels(), held.images[0].objects)
    place = tmp_path / "twice"
    place.mkdir()
    WRITERS[Format.COCO](replace(held, images=(*held.images, twice)), place / "twice.json")
    opened = open_set(data.model_copy(update={"path": place, "block": 0}), tmp_path)
    groups = [image.group or image.name for image in opened.images]
    assert len(groups) == 17
    assert groups[16] == groups[0]
    assert len(set(groups)) == 16


def test_a_whole_run_has_tables_and_goes_on(config: Path, tmp_path: Path):
    results = run(config, tmp_path / "out", quick=False, seeds=None, workers=1, progress=Silent())
    study = results["studies"]["squares"]
    arm = study["arms"]["grid"]
    assert study["objects"] == {"square": 64}
    assert arm["categories"]["square"]["labelled"] == 64  # each image was searched once
    assert arm["boxes"]["map"][0] > arm["disturbed"]["blur 6"]["boxes"]["map"][0]
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    for part in ("squares of a test, 16 images in 8 groups", "theirs", "blur 6", "| grid | square |"):
        assert part in table
    assert (tmp_path / "out" / "squares.png").stat().st_size > 1000
    rows = (tmp_path / "out" / "squares" / "table.jsonl").read_text(encoding="utf-8").splitlines()
    again = run(config, tmp_path / "out", quick=False, seeds=None, workers=1, progress=Silent())
    assert json.dumps(again) == json.dumps(results)
    assert (tmp_path / "out" / "squares" / "table.jsonl").read_text(encoding="utf-8").splitlines() == rows


def test_searching_is_timed_without_scoring(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def slow(*arguments: Any, **options: Any) -> Any:
        until = time.process_time() + 2
        while time.process_time() < until:
            pass
        return score(*arguments, **options)

    monkeypatch.setattr(fold_run, "score", slow)
    study = DetectionsConfig.from_file(config).short()["squares"]
    job = FoldJob(data=study.data, arm=study.arms["grid"], folds=2, fold=0, seed=1, cache=tmp_path, out=tmp_path)
    # three images of 64 pixels a side take hundredths of a second
    assert run_fold(job.model_dump(mode="json"))["searching_s"] < 1


def test_the_commit_is_asked_for_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked: list[str] = []

    def commit() -> str:
        asked.append("commit")
        return "c0ffee"

    def computed(*_: Any, **options: Any) -> Any:
        asked.append("work")
        if not options:
            raise FileMissing("There are no images.", hint="a test needs none")
        return {}

    for module in (registry, fold_run):
        monkeypatch.setattr(module, "source_commit", commit)
    monkeypatch.setattr(importlib.import_module("lsm.experiments.detections"), "run", computed)
    registry.run_experiment("hung2020", tmp_path / "out")
    assert asked == ["commit", "work"]
    monkeypatch.setattr(fold_run.FoldJob, "from_table", lambda *_, **__: computed())
    with pytest.raises(FileMissing):
        run_fold({})
    assert asked == ["commit", "work"] * 2


def test_the_short_form_is_short(config: Path, tmp_path: Path):
    results = run(config, tmp_path / "out", quick=True, seeds=None, workers=1, progress=Silent())
    assert results["studies"]["squares"]["images"] == 6


def test_an_interval_of_three_by_hand():
    """Spread 0.1, Student's 4.303 for two degrees of freedom: half width 0.4303 / sqrt(3) = 0.2484."""
    assert interval([0.4, 0.5, 0.6]) == pytest.approx([0.5, 0.2516, 0.7484], abs=1e-4)  # values have four digits
    assert interval([0.8, 0.9, 1.0])[2] == 1
    assert interval([0.5]) == [0.5]


def test_folds_weigh_as_many_images_as_they_have():
    """Errors of 1 and 4 an image over three images and one: 7/4. Both folds miss by half, and add up to nothing."""
    fold = {"ap_50": 0.5, "labelled": 10, "hits": 5}
    few, many = fold | {"found": 5, "count_mae": 1.0}, fold | {"found": 15, "count_mae": 4.0}
    row = category_over_folds([few, many], [3, 1])
    assert row["count_mae"] == 1.75
    assert (row["counted_percent"], row["counted_range"]) == (100, [50, 150])
    none = fold | {"ap_50": None, "labelled": 0, "hits": 0, "found": 0, "count_mae": 0.0}
    assert category_over_folds([few, none], [1, 1])["counted_range"] == [50, 50]
    assert category_over_folds([none], [1])["counted_range"] is None
    whole = {"map": 0.5, "map_50": 0.5, "map_75": 0.5, "mar": 0.5, "masks": None}
    scores = [whole | {"images": n, "categories": {"square": each}} for n, each in ((3, few), (1, many))]
    timed = {"disturbed": {}, "parameters": 1, "learning_s": 1.0, "searching_s": 1.0}
    assert summarise([timed | {"scores": each} for each in scores])["categories"] == {"square": row}


def test_what_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: Path):
    monkeypatch.delenv("LSM_DATA", raising=False)
    with pytest.raises(FileMissing, match="bccd is not there"):
        open_set(SetConfig(name="bccd"), tmp_path)
    with pytest.raises(ConfigError, match="path is given"):
        SetConfig.from_table({"name": "folder"})
    config.write_text(config.read_text(encoding="utf-8").replace('squares = ["grid"]', 'squares = ["yolo"]'))
    with pytest.raises(ConfigError, match="The short form names 'squares' with yolo"):
        DetectionsConfig.from_file(config).short()
    config.write_text(config.read_text(encoding="utf-8").replace('kind = "grid"', 'kind = "yolo"'))
    with pytest.raises(ConfigError, match="yolo"):
        DetectionsConfig.from_file(config)


def test_computed_films_have_an_outline_for_every_cell(tmp_path: Path):
    config = SmearImages(images=1, side_px=200)
    data = read_annotations(smear_images(config, tmp_path))
    assert data.has_masks
    assert data.counts()["red cell"] > 0
    assert set(data.categories) == {"red cell", "white cell", "platelet"}
    assert [path.name.rsplit("-", 1)[0] for path in tmp_path.iterdir()] == [f"smears-{config.digest()}"]
    image = data.images[0]
    inside = np.zeros(image.size, dtype=bool)
    for mask in image.objects.masks or ():
        inside |= mask.whole(*image.size)
    pixels = image.pixels()[0]
    # cells absorb, the ground does not
    assert np.median(pixels[inside]) < np.median(pixels[~inside])


def test_films_that_come_out_differently_are_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(smears, "_write", lambda *given: (given[-1] / smears.ANNOTATIONS).write_text("{}"))
    config = SmearImages(images=1, side_px=200)
    first = smear_images(config, tmp_path)
    assert smear_images(config, tmp_path) == first
    monkeypatch.setattr(phantoms, "_VERSION", phantoms._VERSION + 1)
    assert smear_images(config, tmp_path) != first


def test_shipped_configurations_are_whole():
    for experiment in EXPERIMENTS:
        if experiment.function == "detections:run":
            config = DetectionsConfig.from_file(experiment_config(experiment.name))
            assert config.short(), experiment.name
