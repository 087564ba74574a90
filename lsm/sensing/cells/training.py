"""Light and classifier of single cells, trained together from a cached stack."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import Camera
from lsm.sensing.cells.exposure import CellCapture, Disturbance, PhotonBudget, per_image
from lsm.sensing.cells.light import CellLight, CellLightConfig, Lamps, split_captures
from lsm.sensing.cells.network import CellNetwork, NetworkConfig
from lsm.sensing.cells.stack import CellStack
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.illumination import turn
from lsm.sensing.schedule import one_cycle, set_rates

Rows = Int[np.ndarray, " some"]
_FREEZE_ROWS = 512
_EVAL_ROWS = 256


class CellTrainingConfig(Config):
    """How light and classifier of single cells learn.

    learning_rate, light_learning_rate: largest step of the network and of the light.
    turned: cells are turned and mirrored, and the lamps with them, so that the light stands still on the board.
    """

    epochs: Annotated[int, Gt(0)] = 30
    rows_per_step: Annotated[int, Gt(1)] = 64
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    light_learning_rate: Annotated[float, Ge(0)] = 3e-2
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    turned: bool = True
    disturbance: Disturbance = Disturbance()


class CellModel(nn.Module):
    """Light, captures and network: from one image per lamp to the odds that the cell is infected."""

    irradiance: Tensor

    def __init__(
        self,
        lamps: Lamps,
        side_px: int,
        light: CellLightConfig,
        generator: torch.Generator,
        *,
        camera: Camera | None = None,
        budget: PhotonBudget | None = None,
        network: NetworkConfig | None = None,
        disturbance: Disturbance | None = None,
    ) -> None:
        super().__init__()
        self.lamps = lamps
        self.side_px = side_px
        self.disturbance = disturbance or Disturbance()
        self.light = CellLight(lamps, light, generator)
        self.capture = CellCapture(
            camera or Camera(), budget or PhotonBudget(), brightness_error=self.disturbance.brightness_error
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
            self.network = CellNetwork(light.n_channels, side_px, network or NetworkConfig())
        self.network.to(memory_format=torch.channels_last)
        self.register_buffer("irradiance", torch.from_numpy(lamps.irradiance).float())

    def electrons(
        self,
        stack: CellStack,
        rows: Rows,
        generator: torch.Generator,
        turns: "Turns | None" = None,
        weights: Float[Tensor, "channel lamp"] | None = None,
    ) -> Float[Tensor, "row channel y x"]:
        """Noisy images of these cells; each in a random turn where `turns` are given.

        weights: in place of those of the light, as when a board shows something else.
        """
        shown = self.light() if weights is None else weights
        if self.training and self.disturbance.led_error:
            gain = 1 + self.disturbance.led_error * torch.randn(shown.shape[1], generator=generator)
            shown = shown * gain.clamp_min(0)
        parts, channel, sign = split_captures(shown)
        lit = parts * self.irradiance
        if turns is None:
            images = stack.mix(rows, lit)
        else:
            which = torch.randint(8, (len(rows),), generator=generator)
            images = turns.back(stack.mix(rows, turns.light(lit)[which]), which)
        electrons: Tensor = self.capture(images, parts.sum(dim=1), channel, sign, generator)
        return electrons

    def forward(
        self, stack: CellStack, rows: Rows, generator: torch.Generator, turns: "Turns | None" = None
    ) -> Float[Tensor, " row"]:
        odds: Tensor = self.network(per_image(self.electrons(stack, rows, generator, turns)))
        return odds

    @torch.no_grad()
    def freeze(self, stack: CellStack, rows: Rows, weights: Float[Tensor, "channel lamp"] | None = None) -> None:
        """Fix exposures at what these cells need in the mean; before, every batch sets its own.

        weights: those that will be shown, where they are not the light's own.
        """
        parts, channel, _ = split_captures(self.light() if weights is None else weights)
        found = [
            self.capture.exposures(stack.mix(some, parts * self.irradiance), parts.sum(dim=1), channel)
            for some in spread(rows, _FREEZE_ROWS)
        ]
        self.capture.freeze(found)


class Turns:
    """The eight turns of a cell: its lamps' places, and the images turned back."""

    def __init__(self, lamps: Lamps, side_px: int) -> None:
        self._symmetries = lamps.symmetries()
        grid = torch.arange(side_px * side_px).reshape(side_px, side_px)
        self._pixels = torch.stack([turn(grid, k).reshape(-1) for k in range(8)])

    def light(self, weights: Float[Tensor, "part lamp"]) -> Float[Tensor, "8 part lamp"]:
        """For each turn, the weights that light the plain cell as these light the turned one."""
        return torch.stack([torch.zeros_like(weights).index_copy(1, order, weights) for order in self._symmetries])

    def back(self, images: Float[Tensor, "row part y x"], which: Int[Tensor, " row"]) -> Float[Tensor, "row part y x"]:
        """Images as they are of the turned cells."""
        pixels = self._pixels[which][:, None, :].expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, pixels).reshape(images.shape)


def train_cells(
    model: CellModel,
    stack: CellStack,
    rows: Rows,
    config: CellTrainingConfig,
    generator: torch.Generator,
    *,
    checkpoint: Path | None = None,
    digest: str = "",
    advance: Callable[[Mapping[str, float]], None] = lambda _: None,
    stop_at: int | None = None,
) -> list[float]:
    """Train in place on these rows; the mean loss of every epoch run here. Exposures are frozen at the end.

    checkpoint: file to go on from, written after every epoch; `digest` ties it to its configuration.
    advance: called after every epoch with loss and number. stop_at: stop after that many epochs, as an
    interrupted run would. Raises ConfigError for fewer rows than a step takes, ModelMismatch for a checkpoint
    of another configuration.
    """
    if len(rows) < config.rows_per_step:
        raise ConfigError(
            f"{len(rows)} cells do not fill a step of {config.rows_per_step}.", hint="lower rows_per_step"
        )
    optimizer = _optimizer(model, config)
    trainee = Trainee({"model": model}, optimizer, generator, digest=digest)
    if checkpoint is not None:
        trainee.restore(checkpoint)
    turns = Turns(model.lamps, model.side_px) if config.turned else None
    infected = torch.from_numpy(stack.infected).float()
    per_epoch = len(rows) // config.rows_per_step
    model.train()
    model.capture.thaw()
    losses = []
    while trainee.step < (config.epochs if stop_at is None else min(stop_at, config.epochs)):
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        total = 0.0
        for k in range(per_epoch):
            set_rates(optimizer, one_cycle(trainee.step * per_epoch + k, config.epochs * per_epoch))
            some = order[k * config.rows_per_step : (k + 1) * config.rows_per_step]
            total += _step(model, stack, some, infected, optimizer, generator, turns)
        trainee.step += 1
        losses.append(total / per_epoch)
        advance({"epoch": trainee.step, "loss": losses[-1]})
        if checkpoint is not None:
            trainee.save(checkpoint)
    model.eval()
    model.freeze(stack, rows)
    return losses


def _step(
    model: CellModel,
    stack: CellStack,
    rows: Rows,
    infected: Float[Tensor, " all"],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    turns: Turns | None,
) -> float:
    optimizer.zero_grad()
    with torch.random.fork_rng(devices=[]):
        # Dropout draws from the global generator; seeding it here keeps a resumed run equal.
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        odds = model(stack, rows, generator, turns)
    loss = F.binary_cross_entropy_with_logits(odds, infected[torch.from_numpy(rows)])
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()


def _optimizer(model: CellModel, config: CellTrainingConfig) -> torch.optim.Optimizer:
    groups = [
        {"params": list(model.network.parameters()), "largest_lr": config.learning_rate},
        {"params": list(model.light.parameters()), "largest_lr": config.light_learning_rate, "weight_decay": 0.0},
    ]
    held = [group for group in groups if group["params"]]
    return torch.optim.AdamW(held, lr=config.learning_rate, weight_decay=config.weight_decay)


@torch.no_grad()
def cell_odds(
    model: CellModel,
    stack: CellStack,
    rows: Rows,
    generator: torch.Generator,
    *,
    weights: Float[Tensor, "channel lamp"] | None = None,
) -> Float[np.ndarray, " some"]:
    """Log-odds of infection of these rows, one noise draw each; the model is left in its evaluating state.

    weights: shown in place of the learned ones, at the same exposures.
    """
    model.eval()
    odds = [
        model.network(per_image(model.electrons(stack, some, generator, weights=weights)))
        for some in _portions(rows, _EVAL_ROWS)
    ]
    return np.asarray(torch.cat(odds).numpy())


def spread(rows: Rows, size: int) -> list[Int[np.ndarray, " _"]]:
    """Portions of at most `size` rows, each from all over them: a stack may hold one class after the other."""
    count = -(-len(rows) // size)
    return [rows[first::count] for first in range(count)]


def _portions(rows: Rows, size: int) -> list[Int[np.ndarray, " _"]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
