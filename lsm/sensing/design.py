"""Learn the light and its classifier, and beside it the bright-field classifier it has to beat."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lsm.illum import LightFile
from lsm.sensing.config import DesignConfig
from lsm.sensing.fields import FieldCells, FieldSet
from lsm.sensing.heads import crop_cells
from lsm.sensing.illumination import IlluminationLayer
from lsm.sensing.progress import Journal, Reporter, Silent
from lsm.sensing.slides import Slides
from lsm.sensing.training import Light, SensingModel, train_sensing

AnyDesign = TypeVar("AnyDesign", bound=DesignConfig)

_PIECE_PX = 96


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
    config = pinned(config)
    group = config.train
    with reporter.stage("LED stacks", group.slides * group.fields_per_slide) as stage:
        fields = Slides(config, cells=cells).fields("train", cache, advance=stage.advance)
    learned, learned_losses = _trained(config, fields, cache, reporter, learn_light=True)
    baseline, baseline_losses = _trained(config, fields, cache, reporter, learn_light=False)
    return Design(learned, baseline, fields, {"learned": learned_losses, "baseline": baseline_losses})


def pinned(config: AnyDesign) -> AnyDesign:
    """The configuration with the digest of the light file that it names, so that it tells the light itself.

    Raises as `IlluminationLayer` does, for a light that the rig's board cannot show, before any work is done.
    """
    illumination = config.illumination
    IlluminationLayer(config.rig.led_board.board(), illumination, torch.Generator())
    if not illumination.light:
        return config
    digest = LightFile.load(Path(illumination.light)).light_digest
    return config.model_copy(update={"illumination": illumination.model_copy(update={"light_digest": digest})})


def example_images(
    config: DesignConfig, fields: FieldSet, duty: Float[Tensor, "capture led"]
) -> dict[str, Float[np.ndarray, "capture y x"]]:
    """A piece of a field, an infected and a healthy red cell, each under every pattern; without noise.

    The field is the one with most infected cells, the cells are those that stand most alone in it.
    """
    red = fields.cells.where(fields.cells.kind == 0)
    chosen = int(np.bincount(red.field, weights=red.infected, minlength=len(fields)).argmax())
    image = design_light(config).rates(fields.stack(chosen), duty)[None]
    cells, side = red.of_field(chosen), image.shape[-1]
    middle, alone_px = (side - 1) / 2, _room_px(cells, side)
    images = {"field": _square(image, middle, middle, min(_PIECE_PX, side // 2 * 2))}
    for name, wanted in (("infected", True), ("healthy", False)):
        candidates = np.flatnonzero(cells.infected == wanted)
        for index in candidates[np.argsort(-alone_px[candidates], kind="stable")][:1]:
            x_px, y_px = float(cells.x_px[index]), float(cells.y_px[index])
            images[name] = _square(image, x_px, y_px, config.classifier.crop_px)
    return images


def _room_px(cells: FieldCells, side: int) -> Float[np.ndarray, " cell"]:
    """Distance from each cell to the next one, or to the border of the field where that is nearer."""
    x, y = cells.x_px, cells.y_px
    between = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(between, np.inf)
    border = np.min([x, y, side - 1 - x, side - 1 - y], axis=0)
    room: Float[np.ndarray, " cell"] = np.minimum(between.min(axis=1, initial=np.inf), border)
    return room


def _square(
    image: Float[Tensor, "1 capture y x"], x_px: float, y_px: float, size_px: int
) -> Float[np.ndarray, "capture h w"]:
    piece: Float[np.ndarray, "capture h w"] = crop_cells(
        image, torch.zeros(1, dtype=torch.int64), torch.tensor([x_px]), torch.tensor([y_px]), size_px=size_px
    )[0].numpy()
    return piece


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
