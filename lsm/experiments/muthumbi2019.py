"""Learned illumination against fixed ones (Muthumbi et al., Biomed. Opt. Express 10, 6351 (2019))."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsm.experiments.light_picture import save_lights
from lsm.experiments.studies import Studied, StudiesConfig, as_markdown, results_of, run_studies
from lsm.experiments.tables import bars
from lsm.sensing.progress import Reporter

PUBLISHED = {
    "red": (0.827, 0.782, 0.718, 0.711, 0.749, 0.852),
    "green": (0.859, 0.746, 0.699, 0.705, 0.760, 0.873),
    "blue": (0.842, 0.748, 0.735, 0.731, 0.758, 0.853),
    "RGB": (0.847, 0.768, 0.726, 0.707, 0.753, 0.882),
}
"""Mean accuracy of 15 trainings on thin smears as published, on their own microscope and cells."""
LIGHTS = ("PC ring", "off-axis", "PC +/-", "all LEDs", "random", "learned")


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """Tables, claims and figures; see `lsm.experiments.registry.run_experiment`."""
    settings = StudiesConfig.from_file(config)
    studied, votes = run_studies(settings, out, quick=quick, seeds=seeds, workers=workers, progress=progress)
    table = as_markdown(studied)
    if "colours" in studied:
        table += "\n" + beside_the_published(studied["colours"])
    (out / "table.md").write_text(table, encoding="utf-8")
    for name, study in studied.items():
        bars(study.arms, f"{name}: {study.source}").savefig(out / f"{name}.png")
    if "green" in votes:
        shown = [
            arm
            for arm in ("learned", "learned, 1 bit", "learned, two captures", "bright field")
            if arm in studied["green"].arms
        ]
        if shown:
            save_lights(votes["green"], shown, out)
    return results_of(studied, settings)


def beside_the_published(study: Studied) -> str:
    """The published table with ours in it: mean accuracy, ours / theirs; '-' where an arm was not run."""
    lines = ["| | " + " | ".join(LIGHTS) + " |", "|---" * (len(LIGHTS) + 1) + "|"]
    for colour, theirs in PUBLISHED.items():
        ours = [study.arms.get(f"{colour}: {light}") for light in LIGHTS]
        cells = [
            f"{'-' if arm is None else format(arm['accuracy'], '.3f')} / {value:.3f}"
            for arm, value in zip(ours, theirs, strict=True)
        ]
        lines.append(f"| {colour} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
