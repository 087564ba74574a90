"""The experiment: train and try every policy on each fold, then compare them at equal spending."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.experiments.chaware2020.config import ChawareConfig, StudyConfig
from lsm.experiments.chaware2020.figures import draw
from lsm.experiments.chaware2020.fold import FoldJob, outcomes_of, run_fold
from lsm.experiments.chaware2020.judge import SeedOutcomes, judge
from lsm.experiments.chaware2020.tables import as_markdown
from lsm.experiments.jobs import Job, finish
from lsm.sensing.progress import Reporter


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Tables, claims and picture; see `lsm.experiments.registry.run_experiment`.

    Every fold is a row of a table of jobs in the folder, from which an interrupted run goes on.
    Raises FileMissing without a study's data.
    """
    settings = ChawareConfig.from_file(config)
    settings = settings.short() if quick else settings
    settings = settings if seeds is None else settings.model_copy(update={"seeds": seeds})
    folder = out / "quick" if quick else out / "runs"
    jobs = _jobs(settings, folder)
    rows = finish(
        [Job(job.key, run_fold, job.model_dump(mode="json"), ("cache", "out")) for job in jobs],
        folder / "table.jsonl",
        workers=workers,
        progress=progress,
    )
    studies = {}
    for name, study in settings.studies.items():
        found = _seeds(name, study, settings, folder, rows)
        studies[name] = judge(study, found) | {
            "seeds": settings.seeds,
            "folds": study.folds,
            "trainings": {job.key: _plain(rows[job.key]) for job in jobs if job.study == name},
        }
    (out / "table.md").write_text(as_markdown(studies), encoding="utf-8")
    draw(studies).savefig(out / "picture.png", dpi=120)
    return {"studies": studies, "config": settings.model_dump(mode="json")}


def _jobs(settings: ChawareConfig, folder: Path) -> list[FoldJob]:
    """Whole seeds of a study come first, so that a run that was stopped can be compared."""
    cache = (folder.parent / "cache").resolve()
    return [
        FoldJob(study=name, config=study, seed=seed, fold=fold, cache=cache, out=folder.resolve() / "kept")
        for name, study in settings.studies.items()
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds)
        for fold in range(study.folds)
    ]


def _seeds(
    name: str, study: StudyConfig, settings: ChawareConfig, folder: Path, rows: Mapping[str, Mapping[str, Any]]
) -> SeedOutcomes:
    """What every arm did at each setting, one outcome per seed over the cells of all folds."""
    found: dict[str, dict[str, list[Any]]] = {}
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        keys = [f"{name} / seed {seed} / fold {fold}" for fold in range(study.folds)]
        for arm, tried in outcomes_of([folder / "kept" / str(rows[key]["kept"]) for key in keys]).items():
            for setting, outcome in tried.items():
                found.setdefault(arm, {}).setdefault(setting, []).append(outcome)
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Without where its arrays lie and how its learning went, update by update: the table of jobs keeps both."""
    return {key: value for key, value in row.items() if key not in ("kept", "reader", "told")}
