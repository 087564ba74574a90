"""Accuracy against photons and against captures, light and time stated: what a learned pattern costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.experiments.studies import Studied, StudiesConfig, as_markdown, run_studies
from lsm.experiments.tables import curves
from lsm.sensing.progress import Reporter

AXES = {
    "signal": "detected electrons per pixel, mean over the field, all captures together",
    "light": "emitted light: electrons per pixel that it gives in the empty bright field",
}


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Tables and curves; see `lsm.experiments.registry.run_experiment`.

    Arms are named "LIGHT @ ELECTRONS"; a study draws one curve for each light.
    """
    settings = StudiesConfig.from_file(config)
    studied, _ = run_studies(settings, out, quick=quick, seeds=seeds, workers=workers, progress=progress)
    (out / "table.md").write_text(as_markdown(studied), encoding="utf-8")
    for name, study in studied.items():
        title = f"Equal {name}: {study.source}"
        curves(lines_of(study), across=AXES.get(name, name), title=title).savefig(out / f"{name}.png", dpi=130)
    return {"studies": {name: study.model_dump(mode="json") for name, study in studied.items()}}


def lines_of(study: Studied) -> dict[str, list[tuple[float, float, float, float]]]:
    """For each light its points (electrons, accuracy, low, high), in order of the electrons."""
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for arm, row in study.arms.items():
        light, _, electrons = arm.partition(" @ ")
        lines.setdefault(light, []).append((float(electrons), row["accuracy"], row["low"], row["high"]))
    return {light: sorted(points) for light, points in lines.items()}
