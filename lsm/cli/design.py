"""`lsm design`: learn light, classifier and cell finder together."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsm.cli import _show
from lsm.sensing import Bundle
from lsm.sensing.progress import RichReporter
from lsm.vision.pipeline import PipelineConfig, run_pipeline


def design(
    config: Annotated[str, typer.Argument(help="TOML file, or the name of a shipped one: procedural, nih.")],
    out: Annotated[Path | None, typer.Option(help="New folder for the model; default out/models/NAME.")] = None,
    cells: Annotated[
        Path | None, typer.Option(help="NIH cell crops, for designs on real cells; default: from LSM_DATA.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for LED stacks and checkpoints.")] = Path("out/cache"),
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the design.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")] = False,
) -> None:
    """Learn illumination patterns, classifier and cell finder together, calibrate them, and write a model.

    An interrupted design goes on from its last checkpoint when the same command is given again.

    Example: lsm design procedural --out out/models/procedural
    """
    started = time.monotonic()
    settings = PipelineConfig.from_file(_show.config_file("design", config), seed=seed)
    folder = _show.new_folder(out or Path("out/models") / settings.name)
    with _show.progress(quiet=as_json) as bars:
        bundle = run_pipeline(settings, cache=cache, cells=cells or _show.nih_cells(), progress=RichReporter(bars))
    bundle.save(folder)
    _tell(bundle, folder, time.monotonic() - started, as_json=as_json)


def _tell(bundle: Bundle, folder: Path, seconds: float, *, as_json: bool) -> None:
    facts = {"model": str(folder), "figures": bundle.card.figures, "seconds": round(seconds), "cores": os.cpu_count()}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print_json(data=bundle.card.figures)
    console.print(f"Model: {folder} ({seconds:.0f} s)", soft_wrap=True)
    console.print(f"Next:  lsm train-policy --model {folder}", soft_wrap=True)
