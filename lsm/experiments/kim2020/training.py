"""One training of an arm as a job: plain values in, a row of plain values out."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge
from jaxtyping import Bool

from lsm.config import Config
from lsm.experiments.arrays import write_arrays
from lsm.experiments.kim2020.config import Arm, KimConfig, Objective
from lsm.experiments.kim2020.optics import CellOptics
from lsm.samples import CellCrops, Grey
from lsm.sensing.cells.folds import check_disjoint, patient_folds
from lsm.sensing.cells.training import cell_odds, train_cells


class Training(Config):
    """One network, its light and its pupil.

    config: the whole experiment's; `arms` and `seeds` of it do not matter here. out: folder for what is kept.
    """

    config: KimConfig
    grey: Grey
    objective: Objective
    arm: Arm
    seed: Annotated[int, Ge(0)]
    fold: Annotated[int, Ge(0)]
    crops: Path
    out: Path

    @property
    def name(self) -> str:
        """What the arm is called in tables."""
        return f"{self.arm} at NA {self.objective.na:.2f}"

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        return f"{self.grey} / {self.name} / seed {self.seed} / fold {self.fold}"


def train_arm(arguments: dict[str, Any]) -> dict[str, Any]:
    """What one training came to; odds of the tested cells, light and pupil go into the file that it names.

    arguments: the table of a Training. Raises as its parts do.
    """
    training = Training.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    optics = open_optics(training)
    crops = optics.crops
    fold = patient_folds(crops.patient, training.config.folds, training.seed)
    test = fold == training.fold
    check_disjoint(crops.patient, ~test, test)
    generator = torch.Generator().manual_seed(1_000_003 * training.seed + training.fold)
    clock = time.process_time()
    model = optics.model(training.arm, generator)
    losses = train_cells(model, optics.stack, np.flatnonzero(~test), training.config.training, generator)
    odds = cell_odds(model, optics.stack, np.flatnonzero(test), generator)
    seconds = time.process_time() - clock
    arrays, figures = optics.outcome(model)
    name = f"{hashlib.sha256(training.key.encode()).hexdigest()[:16]}.npz"
    write_arrays(training.out / name, {"odds": odds, "rows": np.flatnonzero(test), **arrays})
    accuracy = float(((odds > 0) == crops.infected[test]).mean())
    return {"accuracy": accuracy, "loss": losses[-1], "cpu_s": round(seconds, 2), "kept": name, **figures}


def open_optics(training: Training) -> CellOptics:
    """Cells and optics of a training, kept for the next ones that share them."""
    config = training.config.model_copy(update={"seeds": 2, "first_seed": 0, "greys": (), "objectives": ()})
    objective = training.objective.model_copy(update={"arms": ()})
    return _optics(training.crops, config.model_dump_json(), training.grey, objective.model_dump_json())


@lru_cache(maxsize=8)
def _optics(crops: Path, config: str, grey: Grey, objective: str) -> CellOptics:
    settled = KimConfig.model_validate_json(config)
    return CellOptics(settled, open_crops(crops, settled.cells), grey, Objective.model_validate_json(objective))


@lru_cache(maxsize=2)
def open_crops(path: Path, wanted: int) -> CellCrops:
    """Crops spread evenly over the file, which may hold one class after the other; all when 0 are wanted."""
    crops = CellCrops.from_path(path)
    return crops.where(_spread(len(crops), wanted))


def _spread(available: int, wanted: int) -> Bool[np.ndarray, " crop"]:
    chosen = np.zeros(available, dtype=bool)
    chosen[np.linspace(0, available - 1, min(wanted or available, available)).round().astype(int)] = True
    return chosen
