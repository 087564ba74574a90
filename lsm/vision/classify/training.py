"""How a network of crops learns."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lsm.config import Config
from lsm.errors import ConfigError, InputError
from lsm.sensing.checkpoint import Trainee
from lsm.sensing.progress import Reporter, Silent
from lsm.sensing.schedule import one_cycle, set_rates
from lsm.vision.classify.augment import CropAugmentConfig, augment
from lsm.vision.classify.crops import CropSet, Rows
from lsm.vision.classify.network import CropNetwork, CropOutput


class CropFitConfig(Config):
    """One training.

    learning_rate: the largest of a cycle. balanced: every class counts alike, however few crops it has. count_weight:
    of the count's loss beside that of the classes. augment: None does what the labels allow: any turn and some
    scaling, or quarter turns where objects are counted. seed: of order, augmentation and dropout.
    """

    epochs: Annotated[int, Gt(0)] = 20
    crops_per_step: Annotated[int, Gt(1)] = 64
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    balanced: bool = False
    count_weight: Annotated[float, Gt(0)] = 1.0
    augment: CropAugmentConfig | None = None
    seed: Annotated[int, Ge(0)] = 0


def train(
    network: CropNetwork,
    data: CropSet,
    norm: tuple[Float[Tensor, "1 channel 1 1"], Float[Tensor, "1 channel 1 1"]],
    mean_count: float,
    config: CropFitConfig,
    *,
    chosen: CropAugmentConfig,
    progress: Reporter | None = None,
    checkpoint: Path | None = None,
    digest: str = "",
    stop_at: int | None = None,
) -> list[float]:
    """Train in place; the mean loss of every epoch run here.

    norm: mean and standard deviation of the channels. mean_count: unit of the counts. chosen: the augmentation.
    checkpoint: file to go on from, written after every epoch, which `digest` ties to its configuration. stop_at: stop
    after so many epochs, as an interrupted run would. Raises ConfigError for fewer than two crops, InputError where
    the loss is not finite, ModelMismatch or WrongFormat for a checkpoint of another configuration or a damaged one.
    """
    if len(data) < 2:
        raise ConfigError(f"{len(data)} crops cannot be trained on.", hint="give at least 2")
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(
        [{"params": list(network.parameters()), "largest_lr": config.learning_rate}],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    trainee = Trainee({"network": network}, optimizer, generator, digest=digest)
    if checkpoint is not None:
        trainee.restore(checkpoint)
    weights = _class_weights(data) if config.balanced and data.category is not None else None
    last = config.epochs if stop_at is None else min(stop_at, config.epochs)
    losses = []
    network.train()
    with (progress or Silent()).stage("training on crops", max(0, last - trainee.step)) as stage:
        while trainee.step < last:
            portions = _portions(len(data), config.crops_per_step, generator)
            total = 0.0
            for k, rows in enumerate(portions):
                set_rates(optimizer, one_cycle(trainee.step * len(portions) + k, config.epochs * len(portions)))
                crops = augment((data.pixels(rows) - norm[0]) / norm[1], chosen, generator)
                with torch.random.fork_rng(devices=[]):
                    # dropout draws from the global generator; seeding it here keeps a resumed run equal
                    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
                    said = network(crops)
                total += _step(optimizer, _loss(said, data, rows, mean_count, weights, config))
            trainee.step += 1
            losses.append(total / len(portions))
            stage.advance(losses[-1])
            if checkpoint is not None:
                trainee.save(checkpoint)
    network.eval()
    return losses


def _step(optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> float:
    found = loss.item()
    if not np.isfinite(found):
        raise InputError("The training's loss is not finite.", hint="lower learning_rate, or look at the pixels")
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return found


def _loss(
    said: CropOutput,
    data: CropSet,
    rows: Rows,
    mean_count: float,
    weights: Float[Tensor, " category"] | None,
    config: CropFitConfig,
) -> Float[Tensor, ""]:
    loss = torch.zeros(())
    if said.logits is not None and data.category is not None:
        loss = loss + F.cross_entropy(said.logits, torch.from_numpy(data.category[rows]), weight=weights)
    if said.objects is not None and data.count is not None:
        wanted = torch.from_numpy(data.count[rows] / mean_count).float()
        loss = loss + config.count_weight * F.smooth_l1_loss(said.objects, wanted)
    return loss


def _class_weights(data: CropSet) -> Float[Tensor, " category"]:
    """Inverse to the number of crops, 1 in the mean over the crops; a class without any weighs nothing."""
    found = np.array(list(data.numbers().values()), dtype=np.float64)
    share = np.divide(len(data), found, out=np.zeros_like(found), where=found > 0)
    return torch.from_numpy(share / (found > 0).sum()).float()


def _portions(n: int, size: int, generator: torch.Generator) -> list[Rows]:
    """All crops in random order; equal portions, none of a single crop, which batch norm could not take."""
    count = max(1, n // size)
    return np.array_split(torch.randperm(n, generator=generator).numpy(), count)
