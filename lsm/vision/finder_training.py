"""Training of the cell finder on the design fields, under all patterns of the codebook."""

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor, nn

from lsm.config import Config
from lsm.sensing.capture import CaptureModel
from lsm.sensing.fields import FieldCells, FieldSet
from lsm.sensing.schedule import one_cycle, set_rates
from lsm.sensing.training import Advance, SensingModel
from lsm.vision.finder import N_KINDS, CellFinder, FinderConfig, finder_loss


class FinderTrainingConfig(Config):
    """How long and how fast the finder learns; each image is one field under one random pattern."""

    steps: Annotated[int, Gt(0)] = 700
    images_per_step: Annotated[int, Gt(0)] = 4
    learning_rate: Annotated[float, Gt(0)] = 3e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-4


@torch.no_grad()
def codebook_rates(model: SensingModel, fields: FieldSet) -> Float[Tensor, "field capture y x"]:
    """All fields under all patterns of the codebook, in electrons per ms, without noise."""
    duty = model.illumination()
    return torch.stack([model.light.rates(fields.stack(i), duty) for i in range(len(fields))])


def train_finder(
    config: FinderConfig,
    rates: Float[Tensor, "field capture y x"],
    cells: FieldCells,
    capture: CaptureModel,
    training: FinderTrainingConfig,
    generator: torch.Generator,
    *,
    advance: Advance = lambda _: None,
) -> CellFinder:
    """A finder trained on these fields; noise is new in every step. Precipitates are not marked: they are no cells."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        finder = CellFinder(config)
    groups = [{"params": list(finder.parameters()), "largest_lr": training.learning_rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=training.weight_decay)
    targets = cells.where(cells.kind < N_KINDS)
    by_field = [targets.of_field(i) for i in range(len(rates))]
    for step in range(training.steps):
        set_rates(optimizer, one_cycle(step, training.steps))
        fields = torch.randint(len(rates), (training.images_per_step,), generator=generator)
        patterns = torch.randint(rates.shape[1], (training.images_per_step,), generator=generator)
        images = capture(rates[fields], generator)[torch.arange(len(fields)), patterns]
        table = FieldCells.joined([by_field[i] for i in fields.tolist()])
        loss = finder_loss(
            finder(images[:, None]),
            *(torch.from_numpy(column) for column in _columns(table)),
            typical_radius_px=config.radius_px,
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(finder.parameters(), 5.0)
        optimizer.step()
        advance(loss.item())
    return finder.eval()


def _columns(table: FieldCells) -> Iterable[np.ndarray]:
    yield table.field
    yield table.x_px.astype(np.float32)
    yield table.y_px.astype(np.float32)
    yield table.radius_px.astype(np.float32)
    yield table.kind
