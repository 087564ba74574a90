"""The whole experiment, from crops to tables and picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.experiments.kim2020.config import KimConfig
from lsm.experiments.kim2020.figure import draw
from lsm.experiments.kim2020.study import Study
from lsm.experiments.studies import nih_crops
from lsm.sensing.progress import Reporter


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """The tables, with `picture.png` in the folder; see `lsm.experiments.registry.run_experiment`.

    Every training is a row of a table of jobs in the folder, from which an interrupted run goes on.
    Raises FileMissing without the crops, ConfigError for settings that do not fit, ModelMismatch for a folder of
    other settings.
    """
    settings = KimConfig.from_file(config, seeds=seeds)
    if quick:
        settings = settings.quick(seeds)
    study = Study(settings, nih_crops(), out / "quick" if quick else out / "runs")
    study.run(workers, progress)
    tables = study.tables() | {"config": settings.model_dump(mode="json")}
    draw(study.pictures(), tables, out / "picture.png")
    return tables
