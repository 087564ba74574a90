"""Gradient descent on everything at once."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.optics.recover.config import RecoverConfig
from lsm.optics.recover.model import StackModel

Progress: TypeAlias = Callable[[int, int, float], None]

# Adam: a short memory of the mean lets the sample follow the LEDs as they enter
BETAS = (0.8, 0.99)
LAST_RATE = 0.02
# share of an image's mean added under the root, which is steep where no light falls
FLOOR = 1e-3
GAIN_PRIOR = 1e-2


class Fit:
    """A model, the images it shall explain and the optimiser between them; advances epoch by epoch.

    images: of the LEDs `leds`; na: of those LEDs.
    """

    def __init__(
        self,
        model: StackModel,
        images: Float[Tensor, "led y x"],
        leds: Int[Tensor, " led"],
        na: Float[np.ndarray, " led"],
        config: RecoverConfig,
    ) -> None:
        self.model, self.leds, self.config = model, leds, config
        self.na = torch.from_numpy(na)
        mean = images.mean((1, 2))
        self.floor = FLOOR * mean[:, None, None]
        self.root = torch.sqrt(images.clamp_min(0.0) + self.floor)
        weight = mean**-config.dark_weight
        self.weight = weight / (weight * mean).mean()
        self.generator = torch.Generator().manual_seed(config.seed)
        self.epoch = 0
        self.losses: list[float] = []
        self.optimizer = torch.optim.Adam(self._groups(), betas=BETAS)
        model.start(math.sqrt(float(mean.max())), self.generator)

    def _groups(self) -> list[dict[str, object]]:
        model, config = self.model, self.config
        moved = config.fit_positions
        table = [
            ([model.bins], config.rate_sample, 0),
            ([model.log_gain], config.rate_gain * config.fit_gains, 2),
            ([model.place.pose], config.rate_pose * moved, config.calibrate_from),
            ([model.place.offset_mm], config.rate_offset_mm * moved, config.calibrate_from),
            ([model.pupil.waves_rms, model.pupil.log_amplitude], config.rate_pupil, config.calibrate_from),
            ([model.pupil.log_na, model.pupil.log_edge], config.rate_edge, config.calibrate_from),
            ([model.defocus_um], config.rate_defocus_um * config.fit_defocus, config.calibrate_from),
        ]
        return [{"params": params, "lr": 0.0, "rate": rate, "first": first} for params, rate, first in table]

    def run(self, progress: Progress | None = None, after_epoch: Callable[[], None] | None = None) -> None:
        """All epochs that are left."""
        while self.epoch < self.config.epochs:
            loss = self._pass()
            self.losses.append(loss)
            self.epoch += 1
            if progress is not None:
                progress(self.epoch, self.config.epochs, loss)
            if after_epoch is not None:
                after_epoch()

    def _pass(self) -> float:
        self._set_rates()
        active = self._active()
        order = active[torch.randperm(len(active), generator=self.generator)]
        total = 0.0
        for batch in torch.split(order, self.config.batch_leds):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._loss(batch)
            torch.autograd.backward(loss)
            self.optimizer.step()
            total += loss.item() * len(batch)
        return total / len(order)

    def _set_rates(self) -> None:
        grow = self.config.grow_epochs
        done = max(0, self.epoch - grow) / max(1, self.config.epochs - grow)
        decay = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * decay if self.epoch >= group["first"] else 0.0

    def _active(self) -> Int[Tensor, " some"]:
        """LEDs of this pass: all that a circle, growing from the bright field, encloses."""
        if self.epoch + 1 >= self.config.grow_epochs:
            return torch.arange(len(self.leds))
        first = 1.2 * self.model.system.na
        reach = first + (float(self.na.max()) - first) * (self.epoch + 1) / self.config.grow_epochs
        return (self.na <= max(reach, float(self.na.min()))).nonzero()[:, 0]

    def _loss(self, batch: Int[Tensor, " some"]) -> Tensor:
        leds = self.leds[batch]
        images = self.model.images(leds)
        misfit = ((torch.sqrt(images + self.floor[batch]) - self.root[batch]) ** 2).mean((1, 2))
        prior = self.config.offset_prior * (self.model.place.offset_mm[leds] ** 2).sum(1)
        prior = prior + GAIN_PRIOR * self.model.log_gain[leds] ** 2
        return (misfit * self.weight[batch] + prior).mean()
