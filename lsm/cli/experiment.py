"""`lsm experiment`: results of publications, repeated with one command each."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from lsm.cli import _show
from lsm.experiments.registry import EXPERIMENTS, run_experiment
from lsm.sensing.progress import RichReporter

app = typer.Typer(
    help="Repeat published experiments: light and pupil learned with the classifier, photon budgets, detectors.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_(as_json: _show.AsJson = False) -> None:
    """Say which experiments there are.

    Example: lsm experiment list
    """
    if as_json:
        rows = [
            {"name": each.name, "title": each.title, "core_hours": each.hours, "data": list(each.data)}
            for each in EXPERIMENTS
        ]
        typer.echo(json.dumps({"experiments": rows}))
        return
    table = Table("name", "what it shows", "hours of one core", "reads from LSM_DATA")
    for each in EXPERIMENTS:
        table.add_row(each.name, each.title, f"{each.hours:g}", ", ".join(each.data) or "-")
    Console().print(table)
    Console().print("Next: lsm experiment run NAME --quick", markup=False)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="One of `lsm experiment list`.")],
    quick: Annotated[
        bool, typer.Option(help="A minute or two on a few cells: the direction, not the figures.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Training seeds, in place of the configuration's; most need two.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one core each.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Other TOML; `data` in it names other cells.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of results; default out/experiments/NAME.")] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Run an experiment: results.json, tables and figures; given again, it goes on where it was interrupted.

    Example: lsm experiment run muthumbi2019 --quick
    """
    folder = out or Path("out/experiments") / name
    with _show.progress(quiet=as_json) as bars:
        results = run_experiment(
            name, folder, config=config, quick=quick, seeds=seeds, workers=workers, progress=RichReporter(bars)
        )
    if as_json:
        typer.echo(json.dumps(results))
        return
    console = Console()
    if (folder / "table.md").is_file():
        console.print(Markdown((folder / "table.md").read_text(encoding="utf-8")))
    console.print(f"Results, tables and figures: {folder}", soft_wrap=True, markup=False)
