"""The whole experiment, from crops to tables and picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.experiments.cell_run import nih_crops
from lsm.experiments.kim2020.config import KimConfig
from lsm.experiments.kim2020.figure import draw
from lsm.experiments.kim2020.study import Study
from lsm.sensing.progress import Reporter


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """The tables, with `table.md` and `picture.png` in the folder; see `lsm.experiments.registry.run_experiment`.

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
    (out / "table.md").write_text(as_markdown(tables), encoding="utf-8")
    draw(study.pictures(), tables, out / "picture.png")
    return tables


def as_markdown(tables: Mapping[str, Any]) -> str:
    """The tables as a README shows them."""
    lines = []
    for grey, table in tables["greys"].items():
        lines += [
            f"### Grey levels: {grey}",
            "",
            "| arm | accuracy | 95 % interval | sd of seeds | majority | exposure | emitted light | signal |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, arm in table["arms"].items():
            lines.append(
                f"| {name} | {arm['accuracy']:.3f} | {arm['low']:.3f} to {arm['high']:.3f} | {arm['seed_sd']:.3f} "
                f"| {arm['majority']:.3f} | {arm['exposure_time']:.3g} x | {arm['emitted_light']:.3g} x "
                f"| {arm['signal_e']:.0f} e |"
            )
        lines += ["", "| difference | points, 95 % interval | as it came out |", "|---|---|---|"]
        for each in table["differences"]:
            middle, low, high = each["points"]
            points = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
            lines.append(f"| {each['of']} minus {each['minus']} | {points} | {each['verdict']} |")
        lines.append("")
    return "\n".join(lines)
