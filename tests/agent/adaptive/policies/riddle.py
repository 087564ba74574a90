"""Two invented worlds whose best policies are known.

The riddle: every cell is of kind A or B, which pattern 0 shows and which says nothing about infection. Pattern 1
shows infection in kind A and a coin's side in kind B, pattern 2 the other way round. Each sign is shown wrong in a
share FLIP of cells. With two captures the best policy looks with 0 and then with the pattern that its answer names,
and errs in about 2 FLIP / 2 + FLIP of cells; any fixed pair is right in about three quarters.

The balance: one pattern, whose frames differ in a Gaussian score of known mean and spread, again in every capture.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from lsm.agent.adaptive import (
    AdaptiveConfig,
    AdaptiveWorld,
    BatchAdaptiveEnv,
    CellBudget,
    CellReward,
    CellSource,
    LightBook,
    Meter,
)
from lsm.agent.adaptive.reader import Capture, Reader, Reading
from lsm.illum import LedBoard
from lsm.optics import Camera
from lsm.sensing.cells import CellStack

FLIP: Final = 0.02
SIDE_PX: Final = 4
NEVER_REFER: Final = CellReward(referred=1.0)
CAMERA: Final = Camera(prnu=0.0, dsnu_e=0.0, dark_e_per_s=0.0)


class RiddleReader:
    """Bayes' rule over the kinds, from the sign that each frame shows: left half against right half."""

    n_features = 2
    n_units = 3
    digest = "riddle"

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        frame = capture.frame.float()
        left, right = frame[:, :, : SIDE_PX // 2].mean((1, 2)), frame[:, :, SIDE_PX // 2 :].mean((1, 2))
        sign = torch.sign(left - right)
        memory = memory.clone()
        memory.scatter_(1, capture.pattern[:, None], sign[:, None])
        chances = [_chance(memory, infected) for infected in (1.0, -1.0)]
        evidence = chances[0].log() - chances[1].log()
        return Reading(evidence.double(), torch.stack([sign, capture.pattern.float() / 2], 1), memory)


class BlindReader:
    """No evidence, whatever was captured."""

    n_features = 1
    n_units = 1
    digest = "blind"

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        return Reading(memory[:, 0].double(), memory, memory)


class BalanceReader:
    """Adds exact log-likelihood ratios of a Gaussian score with means +-1 and one spread."""

    n_features = 1
    n_units = 1
    digest = "balance"

    def __init__(self, mean: float, spread: float) -> None:
        self.mean, self.spread = mean, spread

    def read(self, capture: Capture, memory: Float32[Tensor, "episode unit"]) -> Reading:
        evidence = memory[:, 0] + (2 * self.mean / self.spread**2) * balance_score(capture.frame)
        return Reading(evidence.double(), evidence[:, None] / 16, evidence[:, None])


@dataclass(frozen=True)
class World:
    """A world for training and one of other cells."""

    train: AdaptiveWorld
    held_out: AdaptiveWorld


def balance_score(frame: Tensor) -> Float32[Tensor, " episode"]:
    """Mean of the left half minus that of the right half, ADU."""
    frame = frame.float()
    return frame[:, :, : SIDE_PX // 2].mean((1, 2)) - frame[:, :, SIDE_PX // 2 :].mean((1, 2))


def riddle(config: AdaptiveConfig | None = None, *, cells: int = 512, free: bool = False) -> World:
    """The riddle with two captures, or by another configuration; with free weights its reader knows nothing."""
    config = config or AdaptiveConfig(budget=CellBudget(captures=2), reward=NEVER_REFER)
    reader = BlindReader() if free else RiddleReader()
    worlds = [_world(_riddle_signs(cells, seed), config, reader, contrast=0.5, free=free) for seed in (0, 1)]
    return World(*worlds)


def balance(config: AdaptiveConfig, *, cells: int = 64, contrast: float = 0.002) -> AdaptiveWorld:
    """The balance, its reader calibrated on the world itself."""
    infected = np.arange(cells) % 2 == 0
    signs = np.where(infected, 1.0, -1.0)[:, None]
    draft = _world((infected, signs), config, BalanceReader(1.0, 1.0), contrast=contrast)
    env = BatchAdaptiveEnv(draft)
    env.reset(100_000, 77)
    view = env.step(torch.zeros(100_000, dtype=torch.int64)).view
    score = balance_score(view.frame) * torch.where(env.infected, 1.0, -1.0)
    reader = BalanceReader(float(score.mean()), float(score.std()))
    return _world((infected, signs), config, reader, contrast=contrast)


def _riddle_signs(cells: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 5])
    infected, first = rng.random(cells) < 0.5, rng.random(cells) < 0.5
    truth, coin = np.where(infected, 1.0, -1.0), rng.choice([-1.0, 1.0], cells)
    shown = np.stack([np.where(first, 1.0, -1.0), np.where(first, truth, coin), np.where(first, coin, truth)], 1)
    return infected, np.where(rng.random(shown.shape) < FLIP, -shown, shown)


def _chance(signs: Float[Tensor, "episode 3"], infected: float) -> Float[Tensor, " episode"]:
    """Probability of the signs seen (0: not seen) in cells that are infected (1) or healthy (-1)."""
    total = torch.zeros(len(signs))
    for kind in (1.0, -1.0):
        shown = 1 if kind > 0 else 2
        parts = [(0, kind), (shown, infected)]
        chance = torch.full((len(signs),), 0.5)
        for column, truth in parts:
            right = torch.where(signs[:, column] == truth, 1 - FLIP, FLIP)
            chance = chance * torch.where(signs[:, column] == 0, 1.0, right)
        coin = signs[:, 3 - shown]
        total = total + chance * torch.where(coin == 0, 1.0, 0.5)
    return total


def _world(
    made: tuple[np.ndarray, np.ndarray],
    config: AdaptiveConfig,
    reader: Reader,
    *,
    contrast: float,
    free: bool = False,
) -> AdaptiveWorld:
    infected, signs = made
    cells, lamps = signs.shape
    half = np.where(np.arange(SIDE_PX) < SIDE_PX // 2, 1.0, -1.0)
    images = np.broadcast_to(0.5 * (1 + contrast * signs[:, :, None, None] * half), (cells, lamps, SIDE_PX, SIDE_PX))
    stack = CellStack(
        images.astype(np.float16),
        led=np.arange(lamps),
        colour=np.ones(lamps, dtype=np.int64),
        infected=infected,
        patient=np.array([f"P{number % 16}" for number in range(cells)]),
        crop=np.arange(cells),
        board=LedBoard.grid(rows=1, columns=lamps, pitch_mm=3.0, distance_mm=50.0, name="riddle"),
        system=None,
        source="a riddle",
    )
    book = LightBook(np.eye(lamps, dtype=np.float32), np.full(lamps, 10.0))
    rates = np.full(lamps, 50.0)
    meter = Meter(rates, rates * (1 + contrast), electrons=2000.0, saturation_e=9000.0, exposure_max_ms=1000.0)
    return AdaptiveWorld(
        CellSource(stack),
        meter if free else book,
        reader,
        irradiance=np.ones(lamps, dtype=np.float32),
        config=config,
        camera=CAMERA,
        flux_e_per_ms=100.0,
    )
