"""Light and classifier trained together, from the loss on single cells back to the duty of each LED."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from jaxtyping import Bool, Float
from pydantic import model_serializer
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.illum import LEVELS, LedBoard
from lsm.optics import Camera, effective_weights, pattern_image
from lsm.sensing.capture import CaptureModel, ExposureConfig
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.early_stop import EarlyStop
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
from lsm.sensing.picture import draw_light, light_pixels
from lsm.sensing.progress import Journal
from lsm.sensing.schedule import one_cycle, set_rates

_CHECK_SEED = 20_119

Advance = Callable[[float], None]
"""Called after every step with the loss."""


class TrainingConfig(Config):
    """How long and how fast the classifier and the light learn.

    Errors of brightness, of the whole source and of each LED, are part of every step (`ExposureConfig`). Errors of
    LED positions are not: the fields are images that were computed for LEDs in their places.

    patience: checks on held-back slides without a lower loss after which the training ends early; it then, and
    in any case, gives the state with the lowest loss. 0 trains on all slides to the last step.
    check_every: steps from check to check. held_back: share of the training slides kept for the checks.
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
    patience: Annotated[int, Ge(0)] = 0
    check_every: Annotated[int, Gt(0)] = 100
    held_back: Annotated[float, Gt(0), Lt(1)] = 0.2

    @model_serializer(mode="wrap")
    def _without_checks_that_are_off(self, serialise: Callable[["TrainingConfig"], dict[str, Any]]) -> dict[str, Any]:
        # a design that trains to the last step keeps the digest that its models and checkpoints carry
        table = serialise(self)
        if self.patience:
            return table
        return {key: value for key, value in table.items() if key not in ("patience", "check_every", "held_back")}


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
    journal: Journal | None = None,
    stop_at: int | None = None,
) -> list[float]:
    """Train in place and return the loss of every step run here; exposures are frozen at the end.

    checkpoint: file to go on from, and to write every `checkpoint_every` steps; `digest` ties it to its
    configuration. journal: is told losses, rates, checks and the light. stop_at: stop after that many steps,
    as an interrupted run would. Raises ModelMismatch for a checkpoint of another configuration, ConfigError
    where slides are to be held back and there is one only.
    """
    groups = [
        {"params": list(model.classifier.parameters()), "largest_lr": config.learning_rate},
        {"params": list(model.illumination.parameters()), "largest_lr": config.light_learning_rate, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    trainee = Trainee({"model": model}, optimizer, generator, digest=digest)
    early = _Early(model, fields, config) if config.patience else None
    if checkpoint is not None and trainee.restore(checkpoint):
        for _ in range(trainee.step):
            advance(float("nan"))
        if early is not None:
            early.stop.restore(trainee.more)
    teller = _Teller(model, optimizer, journal, trainee.step)
    step = _Step(model, fields, config, generator, without=early.slides if early else ())
    model.train()
    losses: list[float] = []
    last = config.steps if stop_at is None else min(stop_at, config.steps)
    while trainee.step < last and not (early and early.stop.over):
        losses.append(_one_step(model, optimizer, step, one_cycle(trainee.step, config.steps), generator))
        trainee.step += 1
        advance(losses[-1])
        teller.loss(trainee.step, losses[-1])
        done = trainee.step == last
        if early is not None and (trainee.step % config.check_every == 0 or trainee.step == config.steps):
            teller.values(trainee.step, early.check())
            trainee.more = early.stop.state()
            done = done or early.stop.over
        if checkpoint is not None and (trainee.step % config.checkpoint_every == 0 or done):
            trainee.save(checkpoint)
        teller.light(trainee.step, done=done)
    if early is not None:
        early.stop.use_best()
    model.eval()
    model.freeze(fields)
    return losses


def _one_step(
    model: SensingModel, optimizer: torch.optim.Optimizer, step: "_Step", rate: float, generator: torch.Generator
) -> float:
    set_rates(optimizer, rate)
    optimizer.zero_grad()
    with torch.random.fork_rng(devices=[]):
        # Dropout draws from the global generator; seeding it here keeps a resumed run equal.
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        loss = step()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), 2.0)
    optimizer.step()
    return loss.item()


class _Teller:
    """Tells a journal, where there is one."""

    def __init__(
        self, model: SensingModel, optimizer: torch.optim.Optimizer, journal: Journal | None, step: int
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._journal = journal
        if journal is not None:
            journal.begin(step)

    def loss(self, step: int, loss: float) -> None:
        if self._journal is not None:
            network, light = (float(group["lr"]) for group in self._optimizer.param_groups)
            self._journal.values(step, {"loss": loss, "rate/network": network, "rate/light": light})

    def values(self, step: int, values: dict[str, float]) -> None:
        if self._journal is not None:
            self._journal.values(step, values)

    def light(self, step: int, *, done: bool) -> None:
        if self._journal is None or not (done or self._journal.wants_picture(step)):
            return
        illumination, board = self._model.illumination, self._model.light.board
        duty = illumination.levels().numpy() / LEVELS
        exposures_ms = self._model.capture.exposures_ms.tolist()
        figure = draw_light(board, duty, illumination.config.bright_na, exposures_ms=exposures_ms)
        self._journal.picture(step, "light", light_pixels(figure))


class _Early:
    """Checks on slides of the training split that no step is taken on; their patients are training patients."""

    def __init__(self, model: SensingModel, fields: FieldSet, config: TrainingConfig) -> None:
        slides = np.unique(fields.slide)
        if len(slides) < 2:
            raise ConfigError(
                "A design with patience holds training slides back, and there is one slide only.",
                hint="raise train.slides, or set patience to 0",
            )
        count = min(max(1, round(config.held_back * len(slides))), len(slides) - 1)
        self.slides = tuple(int(slide) for slide in slides[-count:])
        self.stop = EarlyStop(model, config.patience)
        self._model = model
        self._fields = fields
        red = fields.cells.field[fields.cells.kind == 0]
        self._held = np.intersect1d(np.flatnonzero(np.isin(fields.slide, self.slides)), red).tolist()
        if not self._held:
            raise ConfigError(
                f"The {count} training slides held back for the checks show no red cell.",
                hint="raise train.fields_per_slide or training.held_back",
            )

    def check(self) -> dict[str, float]:
        """Loss over all sets of captures, as they are drawn in training, and accuracy with all of them.

        Both classes weigh the same, and the noise is the same every time.
        """
        generator = torch.Generator().manual_seed(_CHECK_SEED)
        scored = list(score_true_cells(self._model, self._fields, generator, only=self._held))
        self._model.train()
        odds = torch.cat([torch.from_numpy(scores) for _, scores in scored], dim=1).double()
        truth = torch.from_numpy(np.concatenate([cells.infected for cells, _ in scored]))
        counts = torch.bincount(truth.long(), minlength=2)
        weight = 1 / (counts[truth.long()].double() * int((counts > 0).sum()))
        target = truth.double().expand_as(odds)
        each = F.binary_cross_entropy_with_logits(odds, target, reduction="none") @ weight
        loss = float(each @ _subset_shares(self._model.n_patterns))
        self.stop.check(loss)
        accuracy = float(((odds[-1] > 0) == truth).double() @ weight)
        return {"held back/loss": loss, "held back/accuracy": accuracy}


def _subset_shares(n_captures: int) -> Float[Tensor, " mask"]:
    """How often `random_subsets` draws each set of captures; bit k of the index is capture k."""
    sizes = [mask.bit_count() for mask in range(2**n_captures)]
    shares = [1 / (n_captures * math.comb(n_captures, size)) if size else 0.0 for size in sizes]
    return torch.tensor(shares, dtype=torch.float64)


class _Step:
    """The loss of a few random fields, a few cells each, under random subsets of the captures."""

    def __init__(
        self,
        model: SensingModel,
        fields: FieldSet,
        config: TrainingConfig,
        generator: torch.Generator,
        *,
        without: tuple[int, ...],
    ) -> None:
        self.model = model
        self.fields = fields
        self.config = config
        self.generator = generator
        self.symmetries = led_symmetries(model.light.board)
        red = fields.cells.where(fields.cells.kind == 0)
        self.red = [red.of_field(i) for i in range(len(fields))]
        used = ~np.isin(fields.slide, without)
        self.usable = torch.tensor([i for i, cells in enumerate(self.red) if used[i] and len(cells)])

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
    model: SensingModel, fields: FieldSet, generator: torch.Generator, *, only: Sequence[int] | None = None
) -> Iterator[tuple[FieldCells, Float[np.ndarray, "mask cell"]]]:
    """For each field (or each of `only`) its true red cells and their log-odds under all sets of captures [mask, cell].

    Bit k of the mask index is pattern k; mask 0 is left at zero. Noise is drawn once per field.
    """
    model.eval()
    red = fields.cells.where(fields.cells.kind == 0)
    for i in range(len(fields)) if only is None else only:
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
