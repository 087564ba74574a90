"""The whole experiment, from images to tables and picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsm.experiments.ferreira2023.config import FerreiraConfig
from lsm.experiments.ferreira2023.figure import Shown, draw
from lsm.experiments.ferreira2023.study import Study
from lsm.sensing.progress import Reporter


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """The tables, with `table.md` and `picture.png` in the folder; see `lsm.experiments.registry.run_experiment`.

    Every training is a row of a table of jobs in the folder, from which an interrupted run goes on.
    Raises FileMissing without the data, ConfigError for settings that do not fit, ModelMismatch for a folder of
    other settings.
    """
    settings = FerreiraConfig.from_file(config, seeds=seeds)
    if quick:
        settings = settings.quick(seeds)
    study = Study(settings, out / "quick" if quick else out / "runs")
    study.run(workers, progress)
    tables = study.tables() | {"config": settings.model_dump(mode="json")}
    (out / "table.md").write_text(as_markdown(tables), encoding="utf-8")
    draw({name: _shown(study, name, tables["tasks"][name]) for name in settings.tasks}, out / "picture.png")
    return tables


def _shown(study: Study, name: str, table: Mapping[str, Any]) -> Shown:
    """The best arm by the figure of the task: F1 where there are classes, else the error of the counts."""
    arms = table["arms"]
    best = max(arms, key=lambda arm: arms[arm].get("f1", -arms[arm].get("mae", 0.0)))
    said, crops = study.said(name, best), study.crops[name]
    named = study.named(name, best) if said.probability is not None else None
    counts = None if said.count is None or crops.count is None else (said.count.mean(axis=0), crops.count)
    return Shown(best, named, counts)


def as_markdown(tables: Mapping[str, Any]) -> str:
    """The tables as a README shows them."""
    lines: list[str] = []
    for name, table in tables["tasks"].items():
        about = f"{table['crops']} crops in {table['groups']} groups, {table['folds']} folds, {table['seeds']} seeds"
        lines += [f"### {name}", "", f"Data: {table['data']}; {about}.", ""]
        if "classes" in table:
            lines += [*_named(table["arms"]), ""]
        if "objects" in table:
            objects = table["objects"]
            lines += [
                f"Objects per crop: {objects['mean']:g} in the mean, at most {objects['most']:g}; always saying the "
                f"mean has an MAE of {objects['mae_of_mean']:g}.",
                "",
                *_counted(table["arms"]),
                "",
            ]
        lines += ["| difference | by, 95 % interval | as it came out |", "|---|---|---|"]
        lines += [_difference(each) for each in table["differences"]]
        if "classes" in table:
            best = max(table["arms"], key=lambda arm: table["arms"][arm]["f1"])
            lines += ["", f"Classes of '{best}', all seeds together:", "", *_classes(table["arms"][best]["together"])]
        lines.append("")
    return "\n".join(lines)


def _named(arms: Mapping[str, Any]) -> list[str]:
    lines = [
        "| arm | accuracy | 95 % interval | sd of seeds | precision | recall | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, arm in arms.items():
        lines.append(
            f"| {name} | {arm['accuracy']:.3f} | {arm['low']:.3f} to {arm['high']:.3f} | {arm['seed_sd']:.3f} "
            f"| {arm['precision']:.3f} | {arm['recall']:.3f} | {arm['f1']:.3f} |"
        )
    return lines


def _counted(arms: Mapping[str, Any]) -> list[str]:
    lines = ["| arm | MAE | 95 % interval | sd of seeds | MSE | R2 | R | found |", "|---|---|---|---|---|---|---|---|"]
    for name, arm in arms.items():
        r2, r = (_shown_number(arm[key]) for key in ("r2", "r"))
        lines.append(
            f"| {name} | {arm['mae']:.2f} | {arm['mae_low']:.2f} to {arm['mae_high']:.2f} | {arm['mae_seed_sd']:.2f} "
            f"| {arm['mse']:.2f} | {r2} | {r} | {_shown_number(arm['percent'], 1)} % |"
        )
    return lines


def _classes(together: Mapping[str, Any]) -> Sequence[str]:
    lines = ["| class | crops | precision | recall | F1 | AUC | 95 % interval |", "|---|---|---|---|---|---|---|"]
    for each in together["classes"]:
        recall, f1, auc, low, high = (
            _shown_number(each[key]) for key in ("recall", "f1", "auc", "auc_low", "auc_high")
        )
        lines.append(
            f"| {each['name']} | {each['crops']} | {each['precision']:.3f} | {recall} | {f1} | {auc} "
            f"| {low} to {high} |"
        )
    return lines


def _difference(each: Mapping[str, Any]) -> str:
    middle, low, high = each["by"]
    return (
        f"| {each['of']} minus {each['minus']} | {middle:+.2f} ({low:+.2f} to {high:+.2f}) {each['in']} "
        f"| {each['verdict']} |"
    )


def _shown_number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
