"""Learn the light and its classifier, and beside it the bright-field classifier it has to beat."""

from dataclasses import dataclass
from pathlib import Path

import torch

from lsm.sensing.config import DesignConfig
from lsm.sensing.fields import FieldSet
from lsm.sensing.progress import Journal, Reporter, Silent
from lsm.sensing.slides import Slides
from lsm.sensing.training import Light, SensingModel, train_sensing


@dataclass(frozen=True, eq=False)
class Design:
    """The outcome of a design: both models, trained equally long on the same fields, and those fields."""

    learned: SensingModel
    baseline: SensingModel
    fields: FieldSet
    losses: dict[str, list[float]]


def run_design(
    config: DesignConfig, *, cache: Path, cells: Path | None = None, progress: Reporter | None = None
) -> Design:
    """Train both models of a design; the same configuration gives the same bytes, interrupted or not.

    cache: folder for LED stacks and checkpoints, keyed by the configuration; may be shared and deleted.
    cells: the NIH crops, for data = "nih". Raises FileMissing, ConfigError or ModelMismatch.
    """
    reporter = progress or Silent()
    group = config.train
    with reporter.stage("LED stacks", group.slides * group.fields_per_slide) as stage:
        fields = Slides(config, cells=cells).fields("train", cache, advance=stage.advance)
    learned, learned_losses = _trained(config, fields, cache, reporter, learn_light=True)
    baseline, baseline_losses = _trained(config, fields, cache, reporter, learn_light=False)
    return Design(learned, baseline, fields, {"learned": learned_losses, "baseline": baseline_losses})


def design_light(config: DesignConfig) -> Light:
    """The rig's board, camera and flux."""
    return Light(config.rig.led_board.board(), config.rig.camera, config.rig.led_flux_e_per_ms)


def _trained(
    config: DesignConfig, fields: FieldSet, cache: Path, reporter: Reporter, *, learn_light: bool
) -> tuple[SensingModel, list[float]]:
    generator = torch.Generator().manual_seed(2 * config.seed + learn_light)
    starts = config.illumination.starts if learn_light else ()
    illumination = config.illumination.model_copy(
        update={"starts": starts} | ({} if learn_light else {"light": "", "light_digest": ""})
    )
    model = SensingModel(design_light(config), illumination, config.exposure, config.classifier, generator)
    name = "learned" if learn_light else "baseline"
    with reporter.stage(f"{name} classifier", config.training.steps) as stage:
        losses = train_sensing(
            model,
            fields,
            config.training,
            generator,
            checkpoint=cache / f"{config.name}-{name}-{config.digest()}.safetensors",
            digest=config.digest(),
            advance=stage.advance,
            journal=stage if isinstance(stage, Journal) else None,
        )
    return model, losses
