"""What `lsm vision` does: training with images held out, scoring with a report, searching, folds."""

import csv
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lsm import __version__
from lsm.cli._vision_data import picture_path, read_json, save_json
from lsm.errors import InputError, LsmError, ModelMismatch
from lsm.experiments.detections.config import ArmConfig
from lsm.sensing.progress import Reporter
from lsm.vision.data import (
    WRITERS,
    AnnotatedImage,
    AnnotatedSet,
    Format,
    Objects,
    check,
    doubles_together,
    k_folds,
    read_pixels,
)
from lsm.vision.data import split as split_set
from lsm.vision.detect import Detections, DetectionScores, Detector, FitRecord, score
from lsm.vision.detect.folds import category_over_folds, interval
from lsm.vision.draw import Evaluation, Look, draw_objects, evaluation_page, save_png, write_page
from lsm.wholefile import whole_file, write_whole

SCORES_FILE = "scores.json"
FOUND_FILE = "found.json"
COUNTS_FILE = "counts.csv"


@dataclass(frozen=True, eq=False)
class Parts:
    """Images to learn from, and those that tell how well; None where all are learnt from."""

    learnt: AnnotatedSet
    held_out: AnnotatedSet | None


def parts(data: AnnotatedSet, validate: AnnotatedSet | None, holdout: float, seed: int) -> Parts:
    """The set to validate on, or a share of the images: whole groups, and all copies of a picture on one side.

    Raises InputError where the share cannot be held out, or the set to validate on shares a picture or a group.
    """
    if validate is not None:
        shared = [each for each in check(data, others=[validate]) if each.kind in ("duplicate-across", "group-across")]
        if shared:
            hint = "validate on other images, or leave out --validate, which holds out a share of the groups"
            raise InputError(f"What is learnt from is validated on: {shared[0].message}", hint=hint)
        return Parts(data, validate)
    if holdout == 0:
        return Parts(data, None)
    return Parts(*split_set(doubles_together(data), holdout, seed))


def fit(detector: Detector, data: AnnotatedSet, arm: ArmConfig, file: Path, progress: Reporter) -> FitRecord:
    """Train, and write the detector; a training that was interrupted goes on from the checkpoint beside the file."""
    checkpoint = file.with_suffix(".checkpoint")
    record = detector.fit(data, fit=arm.fit, progress=progress, checkpoint=checkpoint)
    detector.save(file)
    checkpoint.unlink(missing_ok=True)
    return record


def search(detector: Detector, data: AnnotatedSet, progress: Reporter) -> list[Detections]:
    """All detections in every image. Raises ModelMismatch for a set of other categories."""
    if data.categories != detector.facts.categories:
        raise ModelMismatch(
            f"The detector knows {', '.join(detector.facts.categories)}; the set has {', '.join(data.categories)}.",
            hint="annotate with the detector's names, or train another",
        )
    found = []
    with progress.stage(f"{detector.model.kind}: searching", len(data)) as stage:
        for image in data.images:
            found += detector.predict([image.pixels()])
            stage.advance()
    return found


def evaluate(
    detector: Detector, name: str, data: AnnotatedSet, folder: Path, progress: Reporter
) -> tuple[DetectionScores, Path]:
    """The scores, and the page about them; both are written to the folder."""
    found = search(detector, data, progress)
    scores = score(found, data, thresholds=detector.thresholds)
    facts = {
        "Detector": {
            "file": name,
            "kind": detector.model.kind,
            "options": detector.model.digest(),
            "weights": f"{sum(value.numel() for value in detector.network.parameters()):,}",
            "program": f"lsm {__version__}",
        }
    }
    told = Evaluation(f"{name} on {data.origin}", data, tuple(found), scores, detector.thresholds, facts)
    page = write_page(folder, evaluation_page(told, np.random.default_rng(0)))
    save_json(folder / SCORES_FILE, scores.model_dump(mode="json"))
    return scores, page


@dataclass(frozen=True)
class Predicted:
    """How many objects of each category were found in an image, and its picture."""

    counts: dict[str, int]
    picture: Path


@dataclass(frozen=True)
class Searched:
    """What was found, and for each image that could not be searched why, by its name."""

    found: dict[str, Predicted]
    failed: dict[str, LsmError]


def predict(
    detector: Detector,
    files: Mapping[str, Path],
    folder: Path,
    *,
    least_score: float | None,
    look: Look,
    progress: Reporter,
) -> Searched:
    """Search images; write what was found as COCO with scores, counts, and a picture of each image.

    least_score: in place of the detector's own thresholds. An image that is damaged, too small or of other channels
    is passed over and told of. Raises what the first of them has where there is no other.
    """
    categories = detector.facts.categories
    told, images, scores = Searched({}, {}), [], []
    with progress.stage(f"{detector.model.kind}: searching", len(files)) as stage:
        for name, file in files.items():
            stage.advance()
            try:
                pixels = read_pixels(file)
                every = detector.predict([pixels])[0]
            except InputError as fault:
                told.failed[name] = fault
                continue
            found = every.above(detector.thresholds if least_score is None else least_score)
            objects = Objects(found.box_px, found.category, found.masks)
            height, width = pixels.shape[1:]
            images.append(AnnotatedImage(name, file.resolve(), (height, width), objects))
            scores += found.score.tolist()
            picture = save_png(
                draw_objects(pixels, found, categories, look=look), picture_path(folder / "pictures", name)
            )
            counted = np.bincount(found.category, minlength=len(categories)).tolist()
            told.found[name] = Predicted({kind: n for kind, n in zip(categories, counted, strict=True) if n}, picture)
    if not told.found:
        raise next(iter(told.failed.values()))
    path = folder / FOUND_FILE
    WRITERS[Format.COCO](AnnotatedSet(tuple(images), categories, f"found by a detector '{detector.model.kind}'"), path)
    coco = json.loads(path.read_text(encoding="utf-8"))
    for entry, value in zip(coco["annotations"], scores, strict=True):
        entry["score"] = round(value, 6)
    write_whole(path, json.dumps(coco))
    with whole_file(folder / COUNTS_FILE) as part, part.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["image", *categories])
        table.writerows([name, *(each.counts.get(kind, 0) for kind in categories)] for name, each in told.found.items())
    return told


def cross_validate(
    data: AnnotatedSet, arm: ArmConfig, folder: Path, *, folds: int, progress: Reporter
) -> list[dict[str, Any]]:
    """One row for each fold: scores on its images of a detector that learnt on all others; see `fold_summary`.

    Every fold's detector and row are files in the folder, from which an interrupted run goes on; a row that cannot be
    read is made anew. Raises InputError where the folder holds the folds of another run, or anything else.
    """
    divided = k_folds(doubles_together(data), folds, arm.fit.seed)
    _claim(folder / "run.json", data, arm, folds)
    rows = []
    for number, (learnt, held_out) in enumerate(divided, 1):
        kept = folder / f"fold-{number}.json"
        row = read_json(kept)
        if not isinstance(row, dict) or "scores" not in row:
            row = _fold(learnt, held_out, arm, folder / f"fold-{number}.safetensors", progress)
            save_json(kept, row)
        rows.append(row)
    return rows


def fold_summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the folds with their 95 % intervals, boxes and masks; for each category its counts over all images.

    `mar_100` is there where no fold was kept without it.
    """
    scores = [row["scores"] for row in rows]
    outlines = [each["masks"] for each in scores]
    return {
        "boxes": _intervals(scores, ("map", "map_50", "map_75", "mar", "mar_100")),
        "masks": _intervals(outlines, ("map", "map_50", "mar", "mar_100")) if all(outlines) else None,
        "categories": {
            name: category_over_folds(
                [each["categories"][name] for each in scores], [each["images"] for each in scores]
            )
            for name in scores[0]["categories"]
        },
        "learning_s": round(sum(row["learning_s"] for row in rows), 1),
        "searching_s": round(sum(row["searching_s"] for row in rows), 1),
    }


def _intervals(scores: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, list[float]]:
    told = [key for key in keys if all(each.get(key) is not None for each in scores)]
    return {key: interval([each[key] for each in scores]) for key in told}


def _fold(
    learnt: AnnotatedSet, held_out: AnnotatedSet, arm: ArmConfig, file: Path, progress: Reporter
) -> dict[str, Any]:
    started = time.process_time()
    detector = Detector.of(arm.built(), learnt, seed=arm.fit.seed)
    record = fit(detector, learnt, arm, file, progress)
    learning_s = time.process_time() - started
    found = search(detector, held_out, progress)
    return {
        "scores": score(found, held_out, thresholds=detector.thresholds).model_dump(mode="json"),
        "images": [image.name for image in held_out.images],
        "thresholds": record.thresholds,
        "parameters": sum(value.numel() for value in detector.network.parameters()),
        "learning_s": round(learning_s, 1),
        "searching_s": round(time.process_time() - started - learning_s, 1),
    }


def _claim(path: Path, data: AnnotatedSet, arm: ArmConfig, folds: int) -> None:
    """Write what the run is, or see that it is the one that was begun here."""
    run = {"data": digest(data), "arm": arm.model_dump(mode="json"), "folds": folds}
    folder = path.parent
    if not path.exists():
        # a part is what a killed run left of a file
        if folder.exists() and not (folder.is_dir() and all(each.suffix == ".part" for each in folder.iterdir())):
            raise InputError(f"{folder} exists and holds no folds.", hint="name another with --out")
        save_json(path, run)
    elif read_json(path) != run:
        raise InputError(f"{folder} holds the folds of other images or options.", hint="name another with --out")


def digest(data: AnnotatedSet) -> str:
    """Of all that is learnt from: names, pixels, objects and their masks."""
    held = hashlib.sha256(repr(data.categories).encode())
    for image in data.images:
        held.update(f"{image.name}|{image.group}|{image.size}".encode())
        held.update(image.pixels().tobytes())
        held.update(image.objects.box_px.tobytes() + image.objects.category.tobytes() + image.objects.ignore.tobytes())
        for mask in image.objects.masks or ():
            held.update(f"{mask.top}|{mask.left}|{mask.inside.shape}".encode() + mask.inside.tobytes())
    return held.hexdigest()[:16]
