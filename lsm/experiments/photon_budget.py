"""Accuracy against photons and against captures, light and time stated: what a learned pattern costs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.errors import ConfigError
from lsm.experiments.studies import Studied, StudiesConfig, as_markdown, results_of, run_studies
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

    Arms are named "LIGHT @ ELECTRONS"; a study draws one curve for each light. Raises ConfigError
    where a name does not tell the budget.
    """
    settings = StudiesConfig.from_file(config)
    check_budgets(settings)
    studied, _ = run_studies(settings, out, quick=quick, seeds=seeds, workers=workers, progress=progress)
    (out / "table.md").write_text(as_markdown(studied), encoding="utf-8")
    for name, study in studied.items():
        title = f"Equal {name}: {study.source}"
        curves(lines_of(study), across=AXES.get(name, name), title=title).savefig(out / f"{name}.png", dpi=130)
    return results_of(studied, settings)


def check_budgets(settings: StudiesConfig) -> None:
    """Raises ConfigError where an arm does not have the electrons of its name, or a study not the rule of its."""
    for name, study in settings.studies.items():
        for arm in study.arms:
            budget = study.design_of(arm).budget
            if budget.electrons != electrons_of(arm)[1]:
                raise ConfigError(
                    f"The arm '{arm}' has a budget of {budget.electrons:g} electrons.",
                    hint="curves are drawn by the arms' names: give both the same number",
                )
            if name in AXES and budget.rule != name:
                raise ConfigError(
                    f"The arm '{arm}' of the study '{name}' has the rule '{budget.rule}'.", hint=f"rule = '{name}'"
                )


def lines_of(study: Studied) -> dict[str, list[tuple[float, float, float, float]]]:
    """For each light its points (electrons, accuracy, low, high), in order of the electrons."""
    lines: dict[str, list[tuple[float, float, float, float]]] = {}
    for arm, row in study.arms.items():
        light, electrons = electrons_of(arm)
        lines.setdefault(light, []).append((electrons, row["accuracy"], row["low"], row["high"]))
    return {light: sorted(points) for light, points in lines.items()}


def electrons_of(arm: str) -> tuple[str, float]:
    """Light and electrons of an arm by its name. Raises ConfigError."""
    light, _, electrons = arm.partition(" @ ")
    try:
        return light, float(electrons)
    except ValueError as error:
        raise ConfigError(
            f"The arm '{arm}' does not name its electrons.", hint="call it LIGHT @ ELECTRONS, such as 'learned @ 500'"
        ) from error
