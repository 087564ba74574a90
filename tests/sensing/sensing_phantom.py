"""Small fields without optics: cells are soft discs, and an infected one scatters into one ring of LEDs."""

import numpy as np
import torch

from lsm.illum import LedBoard
from lsm.optics import Camera
from lsm.sensing.capture import ExposureConfig
from lsm.sensing.fields import FieldCells, FieldSet
from lsm.sensing.heads import ClassifierConfig
from lsm.sensing.illumination import IlluminationConfig
from lsm.sensing.training import Light, SensingModel

BOARD = LedBoard.grid(rows=5, columns=5, pitch_mm=6.0, distance_mm=50.0)
LIGHT = Light(BOARD, Camera(), 200.0)
SMALL = ClassifierConfig(widths=(8, 8, 8), hidden=8, dropout=0.1)


def phantom_fields(count: int = 4, side_px: int = 64, seed: int = 0) -> FieldSet:
    """Fields with twelve cells each, half of them infected; centre LEDs see absorption, outer LEDs scattering."""
    rng = np.random.default_rng(seed)
    stacks, tables = [], []
    rows, columns = np.mgrid[:side_px, :side_px]
    bright = BOARD.na <= 0.13
    for _ in range(count):
        stack = np.where(bright[:, None, None], 1.0, 0.01) * np.ones((BOARD.n_leds, side_px, side_px))
        place = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(-1, 2) * [15, 20] + [9, 11]
        x_px, y_px = (place + rng.uniform(-1, 1, place.shape)).T
        infected = rng.permutation(np.arange(12) % 2 == 0)
        for x, y, ill in zip(x_px, y_px, infected, strict=True):
            disc = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
            stack[bright] *= 1 - 0.4 * disc
            stack[~bright] += (0.06 if ill else 0.03) * disc
        stacks.append(stack)
        zeros = np.zeros(12, dtype=np.int64)
        tables.append(FieldCells(zeros, x_px, y_px, np.full(12, 3.0), zeros, infected))
    return FieldSet(np.array(stacks, dtype=np.float16), np.arange(count), FieldCells.joined(tables))


def phantom_model(seed: int = 0) -> SensingModel:
    """A model with one learned pattern for the phantom's board."""
    illumination = IlluminationConfig(starts=("random",), bright_na=0.13)
    generator = torch.Generator().manual_seed(seed)
    return SensingModel(LIGHT, illumination, ExposureConfig(), SMALL, generator)
