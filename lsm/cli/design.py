"""`lsm design`: learn light, classifier and cell finder together."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lsm.cli import _show
from lsm.illum import LEVELS, Drive, LedBoard, compile_light
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
    light = shown_light(bundle, settings.rig.led_board.board())
    _tell(bundle, folder, light, time.monotonic() - started, as_json=as_json)


def shown_light(bundle: Bundle, board: LedBoard) -> list[dict[str, Any]]:
    """What the project's own firmware, as it starts, shows of each pattern at the exposure of the design.

    scale: below 1 where the current limit dims the pattern. max_error: beyond that, of any LED, relative to
    the brightest. current_ma: predicted supply current.
    """
    rows = []
    for pattern, exposure_ms in zip(bundle.patterns(board), bundle.exposures_ms.tolist(), strict=True):
        weights = pattern.levels / LEVELS
        light = compile_light(board, weights, Drive.of_firmware(board), exposure_ms=exposure_ms, keep_exposure=True)
        row = {"scale": light.scale, "max_error": light.max_error, "current_ma": light.peak_current_ma}
        rows.append({"pattern": pattern.name} | {key: round(value, 4) for key, value in row.items()})
    return rows


def _tell(bundle: Bundle, folder: Path, light: list[dict[str, Any]], seconds: float, *, as_json: bool) -> None:
    facts = {
        "model": str(folder),
        "figures": bundle.card.figures,
        "light": light,
        "seconds": round(seconds),
        "cores": os.cpu_count(),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    console = Console()
    console.print_json(data=bundle.card.figures)
    for row in light:
        console.print(
            f"{row['pattern']}: the LED board shows {row['scale']:.0%} of it at {row['current_ma']:.0f} mA, "
            f"within {row['max_error']:.1%}",
            soft_wrap=True,
        )
    console.print(f"Model: {folder} ({seconds:.0f} s)", soft_wrap=True, markup=False)
    console.print(f"Next:  lsm train-policy --model {folder}", soft_wrap=True, markup=False)
