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
from lsm.cli._vision_data import begin, picture_path, read_json, save_json
from lsm.cli._vision_doubts import Doubts, threshold_sentences
from lsm.cli._vision_resume import claim, tell_begun
from lsm.errors import FileMissing, InputError, LsmError, ModelMismatch
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
from lsm.vision.data.objects import with_channels
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
    tell_begun(checkpoint, arm.fit.steps)
    record = detector.fit(data, fit=arm.fit, progress=progress, checkpoint=checkpoint)
    detector.save(file)
    checkpoint.unlink(missing_ok=True)
    return record


def search(detector: Detector, data: AnnotatedSet, progress: Reporter) -> tuple[list[Detections], Doubts]:
    """All detections in every image, and which to doubt. Raises ModelMismatch for a set of other categories."""
    if data.categories != detector.facts.categories:
        raise ModelMismatch(
            f"The detector knows {', '.join(detector.facts.categories)}; the set has {', '.join(data.categories)}.",
            hint="annotate with the detector's names, or train another",
        )
    found, doubts = [], Doubts(detector)
    with progress.stage(f"{detector.model.kind}: searching", len(data)) as stage:
        for image in data.images:
            found.append(doubts.search(image.name, image.pixels(), detector.thresholds))
            stage.advance()
    return found, doubts


@dataclass(frozen=True)
class Scored:
    """Scores, the page about them, and images to doubt."""

    scores: DetectionScores
    page: Path
    doubts: Doubts


def evaluate(detector: Detector, name: str, data: AnnotatedSet, folder: Path, progress: Reporter) -> Scored:
    """Score, and write the scores and the page about them to the folder."""
    found, doubts = search(detector, data, progress)
    scores = score(found, data, thresholds=detector.thresholds)
    facts = {
        "Detector": {
            "file": name,
            "kind": detector.model.kind,
            "options": detector.model.digest(),
            "weights": f"{sum(value.numel() for value in detector.network.parameters()):,}",
            "program": f"lsm {__version__}",
        }
    } | doubts.facts()
    told = Evaluation(f"{name} on {data.origin}", data, tuple(found), scores, detector.thresholds, facts)
    page = write_page(folder, evaluation_page(told, np.random.default_rng(0)))
    save_json(folder / SCORES_FILE, scores.model_dump(mode="json"))
    return Scored(scores, page, doubts)


@dataclass(frozen=True)
class Predicted:
    """How many objects of each category were found in an image, and its picture. full: there may be more."""

    counts: dict[str, int]
    picture: Path
    full: bool


@dataclass(frozen=True)
class Searched:
    """What was found, for each image that could not be searched why, by its name, and images to doubt."""

    found: dict[str, Predicted]
    failed: dict[str, LsmError]
    doubts: Doubts


def predict(
    detector: Detector,
    files: Mapping[str, Path],
    folder: Path,
    *,
    least_score: float | None,
    look: Look,
    progress: Reporter,
    channels: int | None = None,
) -> Searched:
    """Search images; write what was found as COCO with scores, counts, and a picture of each image.

    least_score: in place of the detector's own thresholds. An image that is damaged, too small or of other channels
    is passed over and told of; nothing is written where there is no other. channels: given to every image first.
    """
    categories = detector.facts.categories
    told, images, scores = Searched({}, {}, Doubts(detector)), [], []
    least = detector.thresholds if least_score is None else least_score
    with progress.stage(f"{detector.model.kind}: searching", len(files)) as stage:
        for name, file in files.items():
            stage.advance()
            try:
                pixels = read_pixels(file)
                seen = pixels if channels is None else with_channels(pixels, channels, name)
                every = told.doubts.search(name, seen, least)
            except InputError as fault:
                told.failed[name] = fault
                continue
            found = every.above(least)
            objects = Objects(found.box_px, found.category, found.masks)
            height, width = pixels.shape[1:]
            images.append(AnnotatedImage(name, file.resolve(), (height, width), objects))
            scores += found.score.tolist()
            picture = save_png(
                draw_objects(pixels, found, categories, look=look), picture_path(folder / "pictures", name)
            )
            counted = np.bincount(found.category, minlength=len(categories)).tolist()
            counts = {kind: n for kind, n in zip(categories, counted, strict=True) if n}
            told.found[name] = Predicted(counts, picture, every.full(least))
    if not told.found:
        return told
    _write_found(told, images, scores, categories, folder, f"found by a detector '{detector.model.kind}'")
    return told


def _write_found(
    told: Searched,
    images: Sequence[AnnotatedImage],
    scores: Sequence[float],
    categories: tuple[str, ...],
    folder: Path,
    origin: str,
) -> None:
    """COCO with scores, where images that may hold more are marked as full, and the table of counts."""
    path = folder / FOUND_FILE
    WRITERS[Format.COCO](AnnotatedSet(tuple(images), categories, origin), path)
    coco = json.loads(path.read_text(encoding="utf-8"))
    for entry, value in zip(coco["annotations"], scores, strict=True):
        entry["score"] = round(value, 6)
    for entry, each in zip(coco["images"], told.found.values(), strict=True):
        if each.full:
            entry["full"] = True
    write_whole(path, json.dumps(coco))
    with whole_file(folder / COUNTS_FILE) as part, part.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["image", *categories])
        table.writerows([name, *(each.counts.get(kind, 0) for kind in categories)] for name, each in told.found.items())


def cross_validate(
    data: AnnotatedSet,
    arm: ArmConfig,
    folder: Path,
    *,
    folds: int,
    progress: Reporter,
    device: str = "cpu",
    weights: Path | None = None,
) -> list[dict[str, Any]]:
    """One row for each fold: scores on its images of a detector that learnt on all others; see `fold_summary`.

    Every fold's detector and row are files in the folder, from which an interrupted run goes on; a row that cannot be
    read is made anew. weights: see `begin`. Raises InputError where the folder holds the folds of another run, or
    anything else.
    """
    divided = k_folds(doubles_together(data), folds, arm.fit.seed)
    run = {"data": digest(data), "arm": arm.model_dump(mode="json"), "folds": folds}
    claim(folder / "run.json", run if weights is None else run | {"weights": file_digest(weights)})
    rows = []
    for number, (learnt, held_out) in enumerate(divided, 1):
        kept = folder / f"fold-{number}.json"
        row = read_json(kept)
        if not isinstance(row, dict) or "scores" not in row:
            detector = begin(arm, learnt, weights).to(device)
            row = _fold(detector, learnt, held_out, arm, folder / f"fold-{number}.safetensors", progress)
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
    detector: Detector,
    learnt: AnnotatedSet,
    held_out: AnnotatedSet,
    arm: ArmConfig,
    file: Path,
    progress: Reporter,
) -> dict[str, Any]:
    started = time.process_time()
    record = fit(detector, learnt, arm, file, progress)
    learning_s = time.process_time() - started
    found, doubts = search(detector, held_out, progress)
    return {
        "scores": score(found, held_out, thresholds=detector.thresholds).model_dump(mode="json"),
        "images": [image.name for image in held_out.images],
        "doubts": doubts.table(),
        "thresholds": record.thresholds,
        "warnings": [*doubts.sentences(), *threshold_sentences(record)],
        "set_on_learnt": record.set_on_learnt,
        "not_set": record.not_set,
        "parameters": sum(value.numel() for value in detector.network.parameters()),
        "learning_s": round(learning_s, 1),
        "searching_s": round(time.process_time() - started - learning_s, 1),
    }


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


def file_digest(path: Path) -> str:
    """Of the contents of a file. Raises FileMissing."""
    if not path.is_file():
        raise FileMissing(f"The weights {path} do not exist.", hint="give a detector's file, or torchvision's .pth")
    with path.open("rb") as held:
        return hashlib.file_digest(held, "sha256").hexdigest()[:16]
