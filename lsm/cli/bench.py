"""`lsm bench`: how fast lsm is on this machine, beside other programs."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsm.bench import compare_optics, show
from lsm.cli import _show
from lsm.errors import InputError

COLUMNS = 100

app = typer.Typer(help="Measure speed and memory on this machine, beside other programs.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measure speed and memory on this machine, beside other programs."""


@app.command("optics")
def optics(
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    quick: Annotated[bool, typer.Option(help="A sign of life in seconds; the figures are rough.")] = False,
) -> None:
    """Compare the optics simulator with full-size torch, torchoptics, fpm-py and the FFT alone.

    Takes about six minutes. Run it on an idle machine: where others use the cores, it takes far longer.

    Example: lsm bench optics --json bench.json
    """
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise InputError(f"There is no folder for {json_file}.", hint="nothing was measured; make the folder first")
    with _show.progress(quiet=False) as bars:
        task = bars.add_task("", total=None, loss="")

        def tell(text: str, begun: int, most: int) -> None:
            bars.update(task, description=text, completed=begun, total=most)

        comparison = compare_optics(quick=quick, on_step=tell)
        bars.update(task, description="done", completed=bars.tasks[task].total)
    console = Console()
    console.width = min(COLUMNS, console.width) if console.is_terminal else COLUMNS
    console.print(show(comparison), highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(comparison.plain(), indent=1) + "\n", encoding="utf-8")
        console.print(f"Written: {json_file}", soft_wrap=True)
