"""From a measured stack to a sample: the stages one after the other, with checkpoints."""

import hashlib
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsm.illum import LedBoard
from lsm.optics.grid import ImagingSystem
from lsm.optics.illumination import led_directions
from lsm.optics.recover.config import RecoverConfig
from lsm.optics.recover.fit import Fit, Progress
from lsm.optics.recover.measured import Measured, check_stack
from lsm.optics.recover.model import StackModel, expected_spectrum, widened
from lsm.optics.recover.pose import spread_positions
from lsm.optics.recover.result import Recovered, with_fit
from lsm.optics.recover.seek import seek
from lsm.optics.recover.stages import Stage, plan_stages
from lsm.optics.recover.state import Checkpoint
from lsm.optics.windows import check_reach

# LEDs are sought this much further away than they are said to be: the others carried them along, not exactly
SEEK = 1.6


def recover(
    images: Float[Tensor, "led y x"],
    board: LedBoard,
    system: ImagingSystem,
    *,
    leds: Int[Tensor, " led"] | None = None,
    defocus_um: float = 0.0,
    config: RecoverConfig | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> Recovered:
    """Sample, pupil, LED positions and gains that explain a stack of one image per LED.

    Fourier ptychography (Zheng, Horstmeyer, Yang, Nat. Photonics 7, 739 (2013)) by gradient descent through
    the forward model, on the difference of amplitudes (Yeh et al., Opt. Express 23, 33214 (2015)).

    images: linear in light, [camera_px, camera_px] of `system`; leds: their LEDs on the board, all when None.
    system: a margin_px of 10 to 20 % of the image lets light from outside the image be explained.
    defocus_um: where the search for it starts; better than 30 um where the positions are to be found too.
    progress: called with (epochs done, epochs in all, loss). checkpoint: file from which the same call goes on.
    Raises WrongFormat for images that do not fit or are not finite, for too few LEDs or too little overlap,
    ConfigError for LEDs beyond the sample's grid, ModelMismatch for a checkpoint of another run.
    """
    config = config or RecoverConfig()
    stack = check_stack(images, board, system, leds)
    check_reach(led_directions(board)[stack.leds, :2] / system.wavelength_um, widened(system), board.name)
    run = _Run(stack, board, system, defocus_um, config, progress)
    return with_fit(run.through(checkpoint), images)


class _Run:
    def __init__(
        self,
        stack: Measured,
        board: LedBoard,
        system: ImagingSystem,
        defocus_um: float,
        config: RecoverConfig,
        progress: Progress | None,
    ) -> None:
        self.stack, self.given, self.system, self.config = stack, board, system, config
        # the pupil's soft edge stands for the size of the LEDs
        self.board, self.defocus_um = replace(board, die_mm=0.0), defocus_um
        self.stages = plan_stages(config, stack.na, system.na)
        self.progress = progress
        self.total = sum(stage.config.epochs for stage in self.stages)
        self.before = 0

    def through(self, path: Path | None) -> Recovered:
        """All stages, from the checkpoint on where there is one."""
        kept = Checkpoint(path, self._digest()) if path is not None else None
        first = kept.stage() if kept is not None else 0
        self.before = sum(stage.config.epochs for stage in self.stages[:first])
        for number in range(first, len(self.stages)):
            fit = self._fit(self.stages[number], kept, resumed=number == first, number=number)
            self.before += self.stages[number].config.epochs
            self._move_board(fit, self.stages[number])
        found = self._result(fit)
        if kept is not None:
            kept.remove()
        return found

    def _fit(self, stage: Stage, kept: Checkpoint | None, *, resumed: bool, number: int) -> Fit:
        if kept is not None and resumed:
            self.board, self.defocus_um = kept.start_of_stage(self.board, self.defocus_um)
        inside = np.flatnonzero(stage.fitted)
        some, na = torch.from_numpy(inside), self.stack.na[inside]
        images = self.stack.images[some]
        expected = expected_spectrum(images.mean((1, 2)), na, self.stack.contrast, self.system)
        model = StackModel(self.board, self.system, expected, stage.config, defocus_um=self.defocus_um)
        fit = Fit(model, images, self.stack.leds[some], na, stage.config)
        if kept is not None and resumed:
            kept.restore(fit)
        last = time.monotonic()

        def after_epoch() -> None:
            nonlocal last
            if kept is not None and time.monotonic() - last > self.config.checkpoint_s:
                kept.save(fit, number, self.board, self.defocus_um)
                last = time.monotonic()

        fit.run(self._tell, after_epoch)
        return fit

    def _tell(self, epoch: int, epochs: int, loss: float) -> None:
        del epochs
        if self.progress is not None:
            self.progress(self.before + epoch, self.total, loss)

    def _move_board(self, fit: Fit, stage: Stage) -> None:
        """Take the positions found as the next stage's board; LEDs not yet fitted follow the pose of the others."""
        fitted = np.zeros(self.board.n_leds, dtype=bool)
        fitted[fit.leds.numpy()] = True
        found = fit.model.place().detach().numpy()
        # a board that is not yet known to its rim is carried on as it is bent so far, not further
        degree = 3 if fit.config is self.config else 1
        positions = spread_positions(self.given.positions_mm, found, fitted, degree=degree)
        for number in np.flatnonzero(stage.sought):
            led = int(self.stack.leds[number])
            start = torch.from_numpy(positions[led])
            positions[led] = seek(fit.model, self.stack.images[number], start, SEEK * self.config.position_error_mm)
        self.board = replace(self.board, positions_mm=positions)
        self.defocus_um = float(fit.model.defocus_um.detach())

    def _result(self, fit: Fit) -> Recovered:
        model = fit.model.requires_grad_(False)
        gains = np.ones(self.board.n_leds)
        gains[fit.leds.numpy()] = torch.exp(model.log_gain)[fit.leds].double().numpy()
        return Recovered(
            transmission=model.transmission() * math.sqrt(self.stack.peak),
            board=self.board,
            system=self.system,
            pupil=model.pupil,
            defocus_um=self.defocus_um,
            leds=self.stack.leds.numpy(),
            gains=gains,
            losses=tuple(fit.losses),
            residual=np.zeros(len(self.stack.leds)),
            correlation=np.zeros(len(self.stack.leds)),
            config=self.config,
        )

    def _digest(self) -> str:
        content = hashlib.sha256(self.stack.images.numpy().tobytes() + self.stack.leds.numpy().tobytes())
        words = (self.given.digest, self.system.digest(), self.config.digest(), f"{self.defocus_um:.6f}")
        content.update(" ".join(words).encode())
        return content.hexdigest()[:16]
