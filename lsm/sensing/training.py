"""Light and classifier trained together, from the loss on single cells back to the duty of each LED."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config
from lsm.illum import LedBoard
from lsm.optics import Camera, effective_weights, pattern_image
from lsm.sensing.capture import CaptureModel, ExposureConfig
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.fields import FieldCells, FieldSet
from lsm.sensing.heads import CellClassifier, ClassifierConfig, crop_cells, random_subsets
from lsm.sensing.illumination import (
    IlluminationConfig,
    IlluminationLayer,
    given_duty,
    led_symmetries,
    turn,
    turned_duty,
)
from lsm.sensing.schedule import one_cycle, set_rates

Advance = Callable[[float], None]
"""Called after every step with the loss."""


class TrainingConfig(Config):
    """How long and how fast the classifier and the light learn.

    jitter_px: standard deviation of the error of a cell's centre, as the finder makes it.
    learning_rate, light_learning_rate: largest step of the network and of the light.
    """

    steps: Annotated[int, Gt(0)] = 1500
    fields_per_step: Annotated[int, Gt(0)] = 2
    cells_per_field: Annotated[int, Gt(0)] = 128
    learning_rate: Annotated[float, Gt(0)] = 3e-3
    light_learning_rate: Annotated[float, Ge(0)] = 2e-2
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    jitter_px: Annotated[float, Ge(0)] = 0.5
    checkpoint_every: Annotated[int, Gt(0)] = 250


@dataclass(frozen=True, eq=False)
class Light:
    """The part of the rig that the learned light is made for."""

    board: LedBoard
    camera: Camera
    flux_e_per_ms: float

    def rates(
        self, stack: Float[Tensor, "led y x"], duty: Float[Tensor, "capture led"]
    ) -> Float[Tensor, "capture y x"]:
        """Electrons per ms and pixel under each pattern."""
        return self.flux_e_per_ms * pattern_image(stack, effective_weights(self.board, duty))


class SensingModel(nn.Module):
    """Illumination, capture and classifier of one codebook; with no learned pattern, the bright-field baseline."""

    def __init__(
        self,
        light: Light,
        illumination: IlluminationConfig,
        exposure: ExposureConfig,
        classifier: ClassifierConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.light = light
        given = given_duty(light.board, illumination)
        n_patterns = 1 + len(given) + illumination.n_learned
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            self.classifier = CellClassifier(n_patterns, classifier)
        self.illumination = IlluminationLayer(light.board, illumination, generator, given=given)
        self.capture = CaptureModel(n_patterns, light.camera, exposure)

    @property
    def n_patterns(self) -> int:
        return self.illumination.n_patterns

    @torch.no_grad()
    def freeze(self, fields: FieldSet) -> None:
        """Fix exposures and scales to the mean over the design fields."""
        duty = self.illumination()
        self.capture.freeze(self.light.rates(fields.stack(i), duty)[None] for i in range(len(fields)))


def train_sensing(
    model: SensingModel,
    fields: FieldSet,
    config: TrainingConfig,
    generator: torch.Generator,
    *,
    checkpoint: Path | None = None,
    digest: str = "",
    advance: Advance = lambda _: None,
    stop_at: int | None = None,
) -> list[float]:
    """Train in place and return the loss of every step run here; exposures are frozen at the end.

    checkpoint: file to go on from, and to write every `checkpoint_every` steps; `digest` ties it to its
    configuration. stop_at: stop early after that many steps, as an interrupted run would.
    Raises ModelMismatch for a checkpoint of another configuration.
    """
    groups = [
        {"params": list(model.classifier.parameters()), "largest_lr": config.learning_rate},
        {"params": list(model.illumination.parameters()), "largest_lr": config.light_learning_rate, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    trainee = Trainee({"model": model}, optimizer, generator, digest=digest)
    if checkpoint is not None and trainee.restore(checkpoint):
        for _ in range(trainee.step):
            advance(float("nan"))
    step = _Step(model, fields, config, generator)
    model.train()
    losses = []
    last = config.steps if stop_at is None else min(stop_at, config.steps)
    while trainee.step < last:
        set_rates(optimizer, one_cycle(trainee.step, config.steps))
        optimizer.zero_grad()
        with torch.random.fork_rng(devices=[]):
            # Dropout draws from the global generator; seeding it here keeps a resumed run equal.
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            loss = step()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        trainee.step += 1
        losses.append(loss.item())
        advance(losses[-1])
        if checkpoint is not None and (trainee.step % config.checkpoint_every == 0 or trainee.step == last):
            trainee.save(checkpoint)
    model.eval()
    model.freeze(fields)
    return losses


class _Step:
    """The loss of a few random fields, a few cells each, under random subsets of the captures."""

    def __init__(
        self, model: SensingModel, fields: FieldSet, config: TrainingConfig, generator: torch.Generator
    ) -> None:
        self.model = model
        self.fields = fields
        self.config = config
        self.generator = generator
        self.symmetries = led_symmetries(model.light.board)
        red = fields.cells.where(fields.cells.kind == 0)
        self.red = [red.of_field(i) for i in range(len(fields))]
        self.usable = torch.tensor([i for i, cells in enumerate(self.red) if len(cells)])

    def __call__(self) -> Float[Tensor, ""]:
        count, generator = self.config.fields_per_step, self.generator
        chosen = self.usable[torch.randint(len(self.usable), (count,), generator=generator)].tolist()
        turns = torch.randint(8, (count,), generator=generator).tolist()
        rates = torch.stack([self._rates(i, k) for i, k in zip(chosen, turns, strict=True)])
        self.model.capture.follow(rates.detach())
        images = self.model.capture(rates, generator)
        parts = [self._cells(images[slot : slot + 1], chosen[slot], turns[slot]) for slot in range(count)]
        crops = torch.cat([crops for crops, _ in parts])
        infected = torch.cat([infected for _, infected in parts])
        present = random_subsets(len(crops), self.model.n_patterns, generator)
        return F.binary_cross_entropy_with_logits(self.model.classifier(crops, present), infected)

    def _rates(self, field: int, k: int) -> Float[Tensor, "capture y x"]:
        duty = self.model.illumination()
        error = self.model.capture.config.led_error
        gain = (1 + error * torch.randn(duty.shape[1], generator=self.generator)).clamp_min(0)
        return self.model.light.rates(self.fields.stack(field), turned_duty(duty * gain, self.symmetries, k))

    def _cells(
        self, image: Float[Tensor, "1 capture y x"], field: int, k: int
    ) -> tuple[Float[Tensor, "cell capture h w"], Float[Tensor, " cell"]]:
        cells = self.red[field]
        cells = cells.where(_balanced(cells.infected, self.config.cells_per_field, self.generator))
        n = len(cells)
        jitter = self.config.jitter_px * torch.randn(2, n, generator=self.generator)
        crops = crop_cells(
            image,
            torch.zeros(n, dtype=torch.int64),
            torch.from_numpy(cells.x_px).float() + jitter[0],
            torch.from_numpy(cells.y_px).float() + jitter[1],
            size_px=self.model.classifier.config.crop_px,
        )
        return turn(crops, k), torch.from_numpy(cells.infected).float()


def _balanced(infected: Bool[np.ndarray, " cell"], count: int, generator: torch.Generator) -> np.ndarray:
    """Indices of about `count` cells, half of them infected where there are both kinds."""
    classes = [np.flatnonzero(infected), np.flatnonzero(~infected)]
    held = [members for members in classes if len(members)]
    share = count // len(held)
    picked = [members[torch.randint(len(members), (share,), generator=generator).numpy()] for members in held]
    return np.concatenate(picked)


def score_true_cells(
    model: SensingModel, fields: FieldSet, generator: torch.Generator
) -> Iterator[tuple[FieldCells, Float[np.ndarray, "mask cell"]]]:
    """For each field its true red cells and their log-odds under every set of captures [mask, cell].

    Bit k of the mask index is pattern k; mask 0 is left at zero. Noise is drawn once per field.
    """
    model.eval()
    red = fields.cells.where(fields.cells.kind == 0)
    for i in range(len(fields)):
        cells = red.of_field(i)
        yield cells, _odds(model, fields.stack(i), cells, generator)


@torch.no_grad()
def _odds(
    model: SensingModel, stack: Float[Tensor, "led y x"], cells: FieldCells, generator: torch.Generator
) -> Float[np.ndarray, "mask cell"]:
    n = model.n_patterns
    crops = crop_cells(
        model.capture(model.light.rates(stack, model.illumination())[None], generator),
        torch.zeros(len(cells), dtype=torch.int64),
        torch.from_numpy(cells.x_px).float(),
        torch.from_numpy(cells.y_px).float(),
        size_px=model.classifier.config.crop_px,
    )
    odds = torch.zeros(2**n, len(cells))
    for mask in range(1, 2**n):
        present = torch.tensor([bool(mask >> k & 1) for k in range(n)]).expand(len(cells), n)
        odds[mask] = model.classifier(crops, present)
    return odds.numpy()
