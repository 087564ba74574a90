"""The experiment: train every light's detector, search the test slides with all of them, and say what came out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsm.errors import LimitExceeded
from lsm.experiments.detect_light.config import DetectLightConfig
from lsm.experiments.detect_light.tables import as_markdown, as_table
from lsm.experiments.detect_light.testing import (
    Worse,
    found_alarms,
    pictured,
    search_disturbed,
    search_slides,
    searches,
    trainings,
)
from lsm.experiments.detect_light.training import Training, train_light
from lsm.experiments.jobs import Job, finish
from lsm.illum import LEVELS, Drive, compile_light
from lsm.illum.pattern import GREEN
from lsm.sensing.picture import draw_light, save_picture
from lsm.sensing.progress import Reporter
from lsm.vision.field import FieldModel, LedFields, Phantoms, annotated_fields, counting_thresholds

_COUNTED = 40
"""Training fields on which the kept detector's thresholds are set."""


def run(
    config: Path, out: Path, *, quick: bool, seeds: int | None, workers: int, progress: Reporter
) -> Mapping[str, Any]:
    """The tables; see `lsm.experiments.registry.run_experiment`.

    In the folder: `table.md`, `light.png`, and of the first seed of the first learned light `light.json` for
    `lsm led show --pattern` and `detector.safetensors` for images under it. LED stacks lie in `fields`, which may be
    deleted. Raises ConfigError for settings that do not fit, ModelMismatch for a folder of other settings.
    """
    settings = DetectLightConfig.from_file(config, seeds=seeds)
    if quick:
        settings = settings.quick(seeds)
    folder = out / ("quick" if quick else "runs")
    with progress.stage("LED stacks", len(Phantoms(settings.train, settings.rig.system))) as stage:
        phantoms = Phantoms(settings.train, settings.rig.system)
        fields = LedFields.cached(phantoms, settings.rig, folder / "fields", advance=stage.advance)
    table = folder / "table.jsonl"
    done = trainings(settings, folder)
    rows = finish(
        [Job(each.key, train_light, each.model_dump(mode="json"), ("cache", "out")) for each in done],
        table,
        workers=workers,
        progress=progress,
    )
    finish(
        [
            Job(each.key, search_slides, each.model_dump(mode="json"), ("folder",))
            for each in searches(settings, folder)
        ],
        table,
        workers=workers,
        progress=progress,
    )
    first = [each for each in done if each.seed == settings.seed]
    worse = {each.arm: Worse(config=settings, arm=each.arm, seed=each.seed, folder=folder) for each in first}
    disturbed = finish(
        [Job(each.key, search_disturbed, each.model_dump(mode="json"), ("folder",)) for each in worse.values()],
        table,
        workers=workers,
        progress=progress,
    )
    results = as_table(settings, found_alarms(settings, folder), rows) | {
        "robustness": {arm: disturbed[each.key]["rows"] for arm, each in worse.items()},
        "seeds": settings.seeds,
        "data": fields.origin,
        "config": settings.model_dump(mode="json"),
    }
    results["shown"] = _keep_lights(settings, first, fields, out)
    (out / "table.md").write_text(as_markdown(results), encoding="utf-8")
    return results


def _keep_lights(
    config: DetectLightConfig, first: list[Training], fields: LedFields, out: Path
) -> dict[str, dict[str, Any]]:
    """Files and picture of the first seed's lights, and how well the project's firmware shows each capture."""
    models = {training.arm: training.trained(fields) for training in first}
    learned = next((arm for arm in models if config.arms[arm].kind == "learned"), None)
    if learned is not None:
        made = {"arm": learned, "data": fields.origin, "design": config.digest()}
        models[learned].light.file(made).save(out / "light.json")
        detector = models[learned].detector()
        some = range(0, len(fields), max(1, len(fields) // _COUNTED))
        noise = torch.Generator().manual_seed(config.seed)
        shown = annotated_fields(models[learned].light, fields, noise, numbers=some)
        detector.thresholds = counting_thresholds(detector, shown)
        detector.save(out / "detector.safetensors")
    board = config.rig.led_board.board()
    images = np.stack(list(pictured(list(models.values()), config)))
    duties = np.stack([model.light.duty()[0].detach().numpy() for model in models.values()])
    exposures = [float(model.light.capture.exposures_ms[0]) for model in models.values()]
    figure = draw_light(board, duties, config.rig.system.na, {"field": images}, list(models), exposures_ms=exposures)
    save_picture(figure, out / "light.png")
    return {arm: _compiled(model) for arm, model in models.items()}


def _compiled(model: FieldModel) -> dict[str, Any]:
    """Patterns that the firmware of this board needs for all captures, and the largest error in the light."""
    board, drive = model.light.light.board, Drive.of_firmware(model.light.light.board)
    frames, errors = 0, [0.0]
    for row, exposure_ms in zip(model.light.duty().detach().numpy(), model.light.capture.exposures_ms, strict=True):
        weights = np.zeros((board.n_leds, board.n_colours))
        weights[:, GREEN] = np.round(row * LEVELS) / LEVELS
        try:
            light = compile_light(board, weights, drive, exposure_ms=float(exposure_ms))
        except LimitExceeded as error:
            return {"frames": None, "rms_error": None, "refused": error.message}
        frames += len(light.frames)
        errors.append(light.rms_error)
    return {"frames": frames, "rms_error": round(max(errors), 5)}
