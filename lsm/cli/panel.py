"""`lsm panel`: how well a model and its ways to scan read a panel of slides, scored by the WHO's rules."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from lsm.bench.machine import this_machine
from lsm.cli import _show
from lsm.diagnose.scan.config import FocusWay
from lsm.errors import InputError
from lsm.experiments.jobs import commits_used
from lsm.experiments.panel import PanelConfig, run_panel
from lsm.experiments.registry import experiment_config
from lsm.sensing.progress import RichReporter
from lsm.wholefile import write_whole

ARMS = {"bright field": "bright field scan", "learned": "learned pattern scan", "agent": "agent"}


def panel(
    model: Annotated[str | None, typer.Option(help="Folder of a model, or the name of a shipped one.")] = None,
    light: Annotated[
        list[str] | None,
        typer.Option(help="'bright field', 'learned' or 'agent'; repeatable. Default: those of the configuration."),
    ] = None,
    slides: Annotated[int | None, typer.Option(min=2, help="A reduced panel of so many slides.")] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(help="Columns and rows of fields that are scanned of each slide.")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(min=0, max=0.5, help="Share of a field that neighbours have in common.")
    ] = None,
    focus: Annotated[FocusWay | None, typer.Option(help="How scans are focused.")] = None,
    target: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Parasites per microlitre that a negative slide has fewer of; "
            "default: what the model tells from none.",
        ),
    ] = None,
    rig: Annotated[str | None, typer.Option(help="Rig file, or shipped one, whose board and optics are used.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the slides and of the noise.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one core each.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for table.md, picture.png and results.json.")] = Path("out/panel"),
    config: Annotated[
        Path | None, typer.Option(help="TOML file; options win over it. Default: the shipped one.")
    ] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Read a virtual proficiency panel in the WHO's composition; score detection, counts and level with intervals.

    Slides differ in stain, density, focus and look-alikes; all scans read the same ones. Given again with the same
    folder, it goes on where it was interrupted, and a reduced panel grows into the whole one.

    Example: lsm panel --slides 6 --size 4 3 --workers 2
    """
    chosen = None if light is None else dict(map(_arm, light))
    given = config or experiment_config("panel")
    settings = PanelConfig.from_file(given, model=model, rig=rig, seed=seed, slides=slides, arms=chosen)
    settings = _with_scan(settings, size=size, overlap=overlap, focus=focus, target=target)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out} cannot be made: {error.strerror}.", hint="name another") from error
    with _show.progress(quiet=as_json) as bars, commits_used() as commits:
        found = run_panel(settings, out, workers=workers, progress=RichReporter(bars))
    results = {"experiment": "panel", "machine": asdict(this_machine()), "commits": sorted(commits)} | found
    write_whole(out / "results.json", json.dumps(results, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(results))
        return
    console = Console()
    console.print(Markdown((out / "table.md").read_text(encoding="utf-8")))
    console.print(f"Results: {out / 'results.json'}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"Picture: {out / 'picture.png'}", soft_wrap=True, highlight=False, markup=False)


def _arm(light: str) -> tuple[str, dict[str, Any]]:
    """Name and settings of the arm with this light. Raises InputError."""
    if light not in ARMS:
        raise InputError(f"There is no light '{light}'.", hint=f"one of: {', '.join(ARMS)}")
    return ARMS[light], {"light": light}


def _with_scan(
    settings: PanelConfig,
    *,
    size: tuple[int, int] | None,
    overlap: float | None,
    focus: FocusWay | None,
    target: float | None,
) -> PanelConfig:
    """The settings with the options of scans and verdict. Raises ConfigError."""
    table = settings.model_dump()
    region = table["scan"]["region"]
    if size is not None:
        region |= {"columns": size[0], "rows": size[1], "fields": size[0] * size[1]}
    region["overlap"] = region["overlap"] if overlap is None else overlap
    table["scan"]["focus"]["way"] = focus or table["scan"]["focus"]["way"]
    if target is not None:
        table["verdict"]["target_per_ul"] = target
    return PanelConfig.from_table(table, source="the options")
