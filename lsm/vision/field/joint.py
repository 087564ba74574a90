"""Detector and light trained together on whole fields: from the losses of all marked cells back to every LED's duty."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from lsm.config import Config
from lsm.errors import InputError, LsmError
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.clock import KEY, Clock
from lsm.sensing.schedule import one_cycle, set_rates
from lsm.twin import TwinConfig
from lsm.vision.data import AnnotatedImage, AnnotatedSet, Boxes, Objects
from lsm.vision.detect.detector import Detector
from lsm.vision.detect.facts import DataFacts, measure
from lsm.vision.detect.grid import GridConfig
from lsm.vision.detect.matching import counted
from lsm.vision.detect.model import ModelConfig
from lsm.vision.field.light import FieldLight, FieldLightConfig
from lsm.vision.field.render import Fields, Window
from lsm.vision.field.scenes import seen_objects


class FieldTraining(Config):
    """How long and how fast detector and light learn; the same for every light that is compared.

    crop_px: side of the piece that is taken of each field, at a random place; 0 takes whole fields, which is slow.
    turned: fields are turned and mirrored at random; the board must have these symmetries.
    learning_rate, light_learning_rate: largest step of the detector, and of light and pupil.
    loss_weights: factors on the network's losses by name, 1 where none is given. What the light learns is a compromise
    between them: edges of cells ask for other light than what is inside.
    """

    steps: Annotated[int, Gt(0)] = 1200
    fields_per_step: Annotated[int, Gt(0)] = 4
    crop_px: Annotated[int, Ge(0)] = 96
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    light_learning_rate: Annotated[float, Ge(0)] = 2e-2
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    loss_weights: dict[str, Annotated[float, Ge(0)]] = Field(default_factory=dict)
    turned: bool = True
    checkpoint_every: Annotated[int, Gt(0)] = 200


class FieldModel(nn.Module):
    """A light and the network that finds cells under it.

    facts: of the marked objects; pixels reach the network with mean 0 and spread 1 in a typical field.
    Raises as `FieldLight`.
    """

    def __init__(
        self,
        rig: TwinConfig,
        light: FieldLightConfig,
        fields: Fields,
        generator: torch.Generator,
        *,
        model: ModelConfig | None = None,
        exposure: ExposureConfig | None = None,
    ) -> None:
        super().__init__()
        self.light = FieldLight(rig, light, exposure or ExposureConfig(), generator)
        self.model = model or GridConfig()
        self.facts = _facts(fields, self.light.n_captures)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            self.network = self.model.build(self.facts)

    def detector(self) -> Detector:
        """The network as a detector of images in full wells, as `annotated_fields` gives them; needs frozen exposures.

        Its thresholds are not set: `counting_thresholds` finds them.
        """
        capture = self.light.capture
        scale = {"mean": tuple(capture.signal_mean.tolist()), "std": tuple(capture.signal_std.tolist())}
        detector = Detector(self.model, DataFacts.model_validate(self.facts.model_dump() | scale))
        detector.network.load_state_dict(self.network.state_dict())
        return detector


def train_fields(
    model: FieldModel,
    fields: Fields,
    config: FieldTraining,
    generator: torch.Generator,
    *,
    checkpoint: Path | None = None,
    digest: str = "",
    clock: Clock | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> list[float]:
    """Train in place and return the loss of every step run here; exposures are frozen at the end.

    checkpoint: file to go on from, and to write; `digest` ties it to its configuration. clock: told of the time
    before it. advance: told every loss.
    Raises InputError where no field has an object, ModelMismatch for a checkpoint of another configuration, LsmError
    where the loss is no longer finite.
    """
    usable = torch.tensor([k for k in range(len(fields)) if not bool(fields.field(k).objects.ignore.all())])
    if not len(usable):
        raise InputError("No object is marked in any field.", hint="a detector learns from marked objects")
    light = list(model.light.parameters())
    groups = [
        {"params": list(model.network.parameters()), "largest_lr": config.learning_rate},
        {"params": light, "largest_lr": config.light_learning_rate, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    run = Trainee({"model": model}, optimizer, generator, digest=digest)
    clock = clock or Clock()
    if checkpoint is not None and run.restore(checkpoint):
        clock.go_on(run.more.get(KEY))
        for _ in range(run.step):
            advance(float("nan"))
    model.train()
    losses: list[float] = []
    while run.step < config.steps:
        set_rates(optimizer, one_cycle(run.step, config.steps))
        losses.append(_step(model, fields, usable, config, optimizer, generator))
        run.step += 1
        advance(losses[-1])
        if checkpoint is not None and (run.step % config.checkpoint_every == 0 or run.step == config.steps):
            run.more[KEY] = clock.seconds()
            run.save(checkpoint)
    model.eval()
    model.light.freeze(fields)
    return losses


def _step(
    model: FieldModel,
    fields: Fields,
    usable: Tensor,
    config: FieldTraining,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    count = config.fields_per_step
    chosen = usable[torch.randint(len(usable), (count,), generator=generator)].tolist()
    symmetries = torch.randint(8 if config.turned else 1, (count,), generator=generator).tolist()
    images, targets = [], []
    for number, symmetry in zip(chosen, symmetries, strict=True):
        window = _window(fields.field(number).size, config.crop_px, generator)
        if _size(window)[0] != _size(window)[1]:
            symmetry -= symmetry % 2
        rates = model.light.rates(fields, number, symmetry=symmetry, window=window, wrong=generator)[None]
        model.light.capture.follow(rates.detach())
        images.append(model.light.capture(rates, generator)[0])
        targets.append(_target(fields.field(number).objects, window, symmetry))
    with torch.random.fork_rng(devices=[]):
        # a network may draw from the global generator; seeding it here keeps a resumed run equal
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        losses: dict[str, Tensor] = model.network(images, targets)
    loss = torch.stack([config.loss_weights.get(name, 1.0) * each for name, each in losses.items()]).sum()
    if not bool(torch.isfinite(loss)):
        raise LsmError("The loss is no longer finite.", hint="learn with a smaller learning_rate")
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    # apart, so that steep losses of the detector at the start do not hold the light still
    for group in optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], 5.0)
    optimizer.step()
    return float(loss.detach())


def _window(size: tuple[int, int], crop_px: int, generator: torch.Generator) -> Window:
    """A random place for a piece of this side; of a smaller field all of it."""
    starts = []
    for side in size:
        room = max(0, side - crop_px) if crop_px else 0
        starts.append(int(torch.randint(room + 1, (), generator=generator)))
    top, left = starts
    height, width = (min(side, crop_px) if crop_px else side for side in size)
    return slice(top, top + height), slice(left, left + width)


def _size(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _target(objects: Objects, window: Window, symmetry: int) -> dict[str, Tensor]:
    rows, columns = window
    size = _size(window)
    shift = np.array([columns.start, rows.start, columns.start, rows.start])
    piece = seen_objects(objects.box_px - shift, objects.category, None, objects.ignore, size)
    asked = piece.where(~piece.ignore)
    boxes = turned_boxes(asked.box_px, size, symmetry)
    return {"boxes": torch.from_numpy(boxes).float(), "labels": torch.from_numpy(asked.category) + 1}


def turned_boxes(box_px: Boxes, size: tuple[int, int], symmetry: int) -> Boxes:
    """Boxes of the image turned by a symmetry of the square, as `lsm.sensing.illumination.turn` turns its pixels."""
    height, width = size
    x0, y0, x1, y1 = box_px.T
    if symmetry >= 4:
        x0, x1 = width - x1, width - x0
    for _ in range(symmetry % 4):
        # rot90 takes what lies along +x to -y
        x0, y0, x1, y1 = y0, width - x1, y1, width - x0
        height, width = width, height
    turned: Boxes = np.stack([x0, y0, x1, y1], axis=1)
    return turned


def counting_thresholds(detector: Detector, data: AnnotatedSet) -> Float[np.ndarray, " category"]:
    """For each category the score from which there are as many detections as objects in these images."""
    found = [counted(detector.predict([image.pixels()])[0], image.objects) for image in data.images]
    thresholds = detector.thresholds.copy()
    for kind, objects in enumerate(data.counts().values()):
        scores = np.sort(np.concatenate([each.score[each.category == kind] for each in found]))[::-1]
        if objects and len(scores):
            thresholds[kind] = scores[min(objects, len(scores)) - 1]
    return thresholds


def _facts(fields: Fields, channels: int) -> DataFacts:
    """What the network is built from; the pixels do not matter, because captures have a scale of their own."""
    marked = [fields.field(number) for number in range(len(fields))]
    blank = tuple(
        AnnotatedImage.of(field.name, np.zeros((channels, *field.size), dtype=np.float32), field.objects)
        for field in marked
    )
    facts = measure(AnnotatedSet(blank, fields.categories))
    return DataFacts.model_validate(facts.model_dump() | {"mean": (0.0,) * channels, "std": (1.0,) * channels})
