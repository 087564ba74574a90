"""`lsm design`: learn light, classifier and cell finder together, and write the light as a file and a picture."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console

from lsm.cli import _show
from lsm.illum import LEVELS, Drive, LedBoard, LightCapture, LightFile, compile_light
from lsm.sensing import Bundle
from lsm.sensing.config import DesignConfig
from lsm.sensing.design import example_images, pinned
from lsm.sensing.fields import FieldSet
from lsm.sensing.picture import draw_light, save_picture
from lsm.sensing.progress import Reporter, RichReporter
from lsm.sensing.slides import Slides
from lsm.sensing.tensorboard import TensorBoardReporter
from lsm.vision.pipeline import PipelineConfig, calibrate_again, run_pipeline

LIGHT_FILE = "light.json"
LIGHT_PICTURE = "light.png"


def design(
    config: Annotated[str, typer.Argument(help="TOML file, or the name of a shipped one: procedural, nih.")],
    out: Annotated[Path | None, typer.Option(help="New folder for the model; default out/models/NAME.")] = None,
    cells: Annotated[
        Path | None, typer.Option(help="NIH cell crops, for designs on real cells; default: from LSM_DATA.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for LED stacks and checkpoints.")] = Path("out/cache"),
    seed: Annotated[int | None, typer.Option(help="Seed of everything random in the design.")] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(help="Learn nothing: calibrate this model, a folder or a shipped name, on the slides again."),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard: losses, rates, checks and the light as it is learned.")
    ] = None,
    as_json: _show.AsJson = False,
) -> None:
    """Learn illumination patterns, classifier and cell finder together, calibrate them, and write a model.

    Beside the model lie light.json, which `lsm led show --pattern` puts on a board, and light.png, its picture.
    A configuration may take its light from such a file, with light = "light.json" under illumination.

    An interrupted design goes on from its last checkpoint when the same command is given again.

    With --calibrate a model keeps its light and networks, and is calibrated anew: on more slides, or to write what an
    older calibration lacks.

    Example: lsm design procedural --out out/models/procedural
    """
    started = time.monotonic()
    settings = pinned(PipelineConfig.from_file(_show.config_file("design", config), seed=seed))
    folder = _show.new_folder(out or Path("out/models") / settings.name)
    crops = cells or _show.nih_cells()
    with _show.progress(quiet=as_json) as bars:
        reporter: Reporter = RichReporter(bars)
        if tensorboard is not None:
            reporter = TensorBoardReporter(reporter, tensorboard / f"{settings.name}-{settings.digest()[:8]}")
        if calibrate is not None:
            bundle = calibrate_again(settings, Bundle.named(calibrate), cells=crops, progress=reporter)
        else:
            bundle = run_pipeline(settings, cache=cache, cells=crops, progress=reporter)
    bundle.save(folder)
    light_file(bundle, settings.rig.led_board.board()).save(folder / LIGHT_FILE)
    if calibrate is None:
        fields = Slides(settings, cells=crops).fields("train", cache)
        save_picture(light_picture(bundle, settings, fields), folder / LIGHT_PICTURE)
    light = shown_light(bundle, settings.rig.led_board.board())
    _tell(bundle, folder, light, time.monotonic() - started, as_json=as_json)


def light_file(bundle: Bundle, board: LedBoard) -> LightFile:
    """The model's codebook as a light file. Raises ModelMismatch for another board."""
    captures = [
        LightCapture.of(pattern.levels, exposure_ms=round(exposure_ms, 4), name=pattern.name)
        for pattern, exposure_ms in zip(bundle.patterns(board), bundle.exposures_ms.tolist(), strict=True)
    ]
    card = bundle.card
    made = {
        "by": "lsm design",
        "design": card.name,
        "seed": card.seed,
        "config_digest": card.config_digest,
        "weights_digest": card.weights_digest,
        "commit": card.commit,
        "data": card.data,
    }
    return LightFile.of(board, captures, made=made)


def light_picture(bundle: Bundle, config: DesignConfig, fields: FieldSet) -> Figure:
    """The model's codebook on its board, with a field and two cells of the design under it."""
    board = config.rig.led_board.board()
    return draw_light(
        board,
        np.stack([pattern.duty for pattern in bundle.patterns(board)]),
        config.rig.system.na,
        example_images(config, fields, bundle.duty_levels.float() / LEVELS),
        [pattern.name for pattern in bundle.patterns(board)],
        exposures_ms=bundle.exposures_ms.tolist(),
    )


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
    picture = folder / LIGHT_PICTURE
    facts = {
        "model": str(folder),
        "light_file": str(folder / LIGHT_FILE),
        "light_picture": str(picture) if picture.exists() else None,
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
    drawn = f", picture: {picture}" if picture.exists() else ""
    console.print(f"Light: {folder / LIGHT_FILE}{drawn}", soft_wrap=True, markup=False)
    console.print(f"Next:  lsm train-policy --model {folder}", soft_wrap=True, markup=False)
