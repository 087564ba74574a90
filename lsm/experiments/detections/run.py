"""The whole experiment, from annotated images to tables and figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsm.experiments.detections.config import DetectionsConfig, DetectionStudy
from lsm.experiments.detections.fold_run import FoldJob, run_fold
from lsm.experiments.detections.sets import open_set
from lsm.experiments.detections.tables import as_markdown, bars
from lsm.experiments.jobs import Job, finish
from lsm.sensing.progress import Reporter
from lsm.vision.data import AnnotatedSet
from lsm.vision.detect.folds import category_over_folds, interval

Row = Mapping[str, Any]


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """The tables, with `table.md` and one figure for each study; see `lsm.experiments.registry.run_experiment`.

    Every training is a row of a table of jobs in the folder, from which an interrupted run goes on.
    Raises FileMissing without a set, ConfigError for settings that do not fit.
    """
    settings = DetectionsConfig.from_file(config)
    studied = {}
    for name, study in (settings.short() if quick else settings.studies).items():
        chosen = study if seeds is None else study.model_copy(update={"seeds": seeds})
        folder = out / ("quick" if quick else "") / name
        # once, before several workers ask for it at the same time
        data = open_set(chosen.data, out / "cache")
        rows = finish(_jobs(chosen, folder, out / "cache"), folder / "table.jsonl", workers=workers, progress=progress)
        studied[name] = _summary(chosen, data, rows)
        bars(studied[name]).savefig(out / f"{name}.png", dpi=130)
    (out / "table.md").write_text(as_markdown(studied), encoding="utf-8")
    return {"studies": studied, "config": settings.model_dump(mode="json")}


def _key(arm: str, seed: int, fold: int) -> str:
    return f"{arm} / seed {seed} / fold {fold}"


def _trainings(study: DetectionStudy) -> list[tuple[int, int]]:
    return [(study.first_seed + k, fold) for k in range(study.seeds) for fold in range(study.folds)]


def _jobs(study: DetectionStudy, folder: Path, cache: Path) -> list[Job]:
    jobs = []
    for seed, fold in _trainings(study):
        for name, arm in study.arms.items():
            job = FoldJob(
                data=study.data,
                arm=arm,
                folds=study.folds,
                fold=fold,
                seed=seed,
                disturbed=study.disturbed,
                cache=cache.resolve(),
                out=(folder / "kept").resolve(),
            )
            jobs.append(Job(_key(name, seed, fold), run_fold, job.model_dump(mode="json"), ("cache", "out")))
    return jobs


def _summary(study: DetectionStudy, data: AnnotatedSet, rows: Mapping[str, Row]) -> dict[str, Any]:
    groups = len({image.group or image.name for image in data.images})
    return {
        "source": data.origin,
        "images": len(data),
        "groups": groups,
        "objects": data.counts(),
        "folds": study.folds,
        "seeds": study.seeds,
        "arms": {
            name: summarise([rows[_key(name, *training)] for training in _trainings(study)]) for name in study.arms
        },
        "published": [each.model_dump() for each in study.published],
    }


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """One detector over all its trainings: means with 95 % intervals, and counts over all images held out.

    Intervals are Student's, over folds and seeds; folds share what they learnt from, which makes them too narrow.
    """
    scores = [row["scores"] for row in rows]
    worse = {how: [row["disturbed"][how] for row in rows] for how in rows[0]["disturbed"]}
    return {
        **precision(scores),
        "categories": _categories(scores),
        "disturbed": {how: precision(each) | {"counted": counted(each)} for how, each in worse.items()},
        "parameters": rows[0]["parameters"],
        "learning_s": round(float(np.median([row["learning_s"] for row in rows])), 1),
        "searching_s_per_image": round(
            float(np.sum([row["searching_s"] for row in rows]) / np.sum([each["images"] for each in scores])), 3
        ),
    }


def precision(scores: Sequence[Row]) -> dict[str, Any]:
    """Intervals of the scores of boxes and, where all have them, of masks; `mar_100` where no score lacks it."""
    masks = [each["masks"] for each in scores]
    return {
        "boxes": _intervals(scores, ("map", "map_50", "map_75", "mar", "mar_100")),
        "masks": _intervals(masks, ("map", "map_50", "mar", "mar_100")) if all(masks) else None,
    }


def _intervals(scores: Sequence[Row], keys: Sequence[str]) -> dict[str, list[float]]:
    return {
        key: interval([each[key] for each in scores]) for key in keys if all(row.get(key) is not None for row in scores)
    }


def counted(scores: Sequence[Row]) -> dict[str, float | None]:
    """For each category the detections in per cent of what is marked."""
    return {name: each["counted_percent"] for name, each in _categories(scores).items()}


def _categories(scores: Sequence[Row]) -> dict[str, dict[str, Any]]:
    images = [each["images"] for each in scores]
    return {
        name: category_over_folds([each["categories"][name] for each in scores], images)
        for name in scores[0]["categories"]
    }
