"""The panel: slides are drawn, every arm reads each, and the scoring compares with the truth."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsm.errors import InputError
from lsm.experiments.jobs import Job, finish
from lsm.experiments.panel.config import PanelConfig
from lsm.experiments.panel.figures import draw_panel
from lsm.experiments.panel.read import ReadJob, read_slide
from lsm.experiments.panel.score import score_panel
from lsm.experiments.panel.slides import PanelSlide, draw_slides
from lsm.experiments.panel.tables import as_markdown
from lsm.experiments.panel.truth import TruthJob, count_truth
from lsm.sensing import Bundle
from lsm.sensing.progress import Reporter

Rows = Mapping[str, Mapping[str, Any]]


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Table, picture and results; see `lsm.experiments.registry.run_experiment`. It needs no data.

    One seed serves: slides are its repetitions. Raises InputError for `seeds`.
    """
    if seeds is not None:
        raise InputError("The panel has one seed; its slides are what is repeated.", hint="leave --seeds out")
    settings = PanelConfig.from_file(config)
    return run_panel(settings.short() if quick else settings, out, workers=workers, progress=progress)


def run_panel(config: PanelConfig, out: Path, *, workers: int, progress: Reporter) -> dict[str, Any]:
    """The scores, with table.md and picture.png in `out`; slides that were read there are not read again.

    Readings and truths are kept in tables of jobs, in a folder of their own for every configuration of the scans.
    Raises FileMissing for an unknown model or rig, ModelMismatch where they do not fit, ConfigError.
    """
    slides = draw_slides(config)
    read, truth = _jobs(config, slides)
    for arm in config.arms.values():
        read[0].kit(arm)  # what cannot be is said before the first slide
    kept = out / "runs" / _scans_digest(read[0])
    readings = finish(
        [Job(job.slide.name, read_slide, job.model_dump(mode="json")) for job in read],
        kept / "readings.jsonl",
        workers=workers,
        progress=progress,
    )
    truths = finish(
        [Job(job.slide.name, count_truth, job.model_dump(mode="json")) for job in truth],
        kept / "truths.jsonl",
        workers=workers,
        progress=progress,
    )
    found = score_panel(config, slides, readings, truths)
    results = {
        "slides_of_panel": [len(slides), config.size],
        "reduced": config.reduced,
        "scores": found,
        "slides": [_row(slide, readings, truths) for slide in slides],
        "models": read[0].models,
        "config": config.model_dump(mode="json"),
    }
    (out / "table.md").write_text(as_markdown(results), encoding="utf-8")
    draw_panel(results).savefig(out / "picture.png", dpi=130)
    return results


def _jobs(config: PanelConfig, slides: Sequence[PanelSlide]) -> tuple[list[ReadJob], list[TruthJob]]:
    names = {config.model, *(arm.model for arm in config.arms.values() if arm.model is not None)}
    models = {name: Bundle.named(name).card.digest() for name in sorted(names)}
    common: dict[str, Any] = {"model": config.model, "rig": config.rig, "film_um": config.film_um}
    reads = [
        ReadJob(slide=slide, arms=config.arms, models=models, scan=config.scan, verdict=config.verdict, **common)
        for slide in slides
    ]
    region = config.scan.region
    truths = [TruthJob(slide=slide, model_digest=models[config.model], region=region, **common) for slide in slides]
    return reads, truths


def _scans_digest(job: ReadJob) -> str:
    """Of everything but the slide: a reduced panel is the beginning of the whole one with the same scans."""
    told = job.model_dump(mode="json", exclude={"slide"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _row(slide: PanelSlide, readings: Rows, truths: Rows) -> dict[str, Any]:
    """One slide in the results: what it is, what lies in its fields, and what every arm said."""
    return slide.model_dump(mode="json") | {"truth": dict(truths[slide.name]), "arms": dict(readings[slide.name])}
