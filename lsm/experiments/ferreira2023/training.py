"""One training of an arm as a job: plain values in, a row of plain values out."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from lsm.config import Config
from lsm.experiments.arrays import write_arrays
from lsm.experiments.ferreira2023.config import CropArm, Source, Task
from lsm.experiments.ferreira2023.data import open_crops
from lsm.sensing.cells.folds import check_disjoint, patient_folds
from lsm.vision.classify import COUNT_AUGMENT, NO_AUGMENT, CropAugmentConfig, CropModel, CropSet

TURNED = CropAugmentConfig(turn="any", mirror=False, scale=(0.85, 1.18))
"""Rotation and scale, as in the publication; its angles and scales were not to be found."""


class Training(Config):
    """One network.

    name: of the task; the task's own arm is the one that is trained, as `arm` says. data, cache, out: folders of the
    images, of the crops and of what is kept.
    """

    name: str
    task: Task
    arm: CropArm
    seed: Annotated[int, Ge(0)]
    fold: Annotated[int, Ge(0)]
    data: Path
    cache: Path
    out: Path

    @property
    def key(self) -> str:
        """Its name in the table of jobs."""
        return f"{self.name} / {self.task.arms[0]} / seed {self.seed} / fold {self.fold}"


def train_arm(arguments: dict[str, Any]) -> dict[str, Any]:
    """What one training came to; what it says of the tested crops goes into the file that it names.

    arguments: the table of a Training. Raises as its parts do.
    """
    training = Training.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    task, arm = training.task, training.arm
    crops = _crops(task.crops.model_dump_json(), training.data, training.cache)
    fold = patient_folds(crops.group, task.folds, training.seed)
    test = fold == training.fold
    check_disjoint(crops.group, ~test, test)
    seed = 1_000_003 * training.seed + training.fold
    network = task.network.model_copy(update={"sharpen": arm.sharpen, "count": arm.count})
    known, asked = crops.where(~test), crops.where(test)
    clock = time.process_time()
    model = CropModel.of(known, network, seed=seed)
    augment = NO_AUGMENT if not arm.augment else TURNED if crops.count is None else COUNT_AUGMENT
    record = model.fit(known, fit=task.fit.model_copy(update={"seed": seed, "augment": augment}))
    said = model.predict(asked)
    seconds = time.process_time() - clock
    held = {"rows": np.flatnonzero(test)}
    if said.probability is not None:
        held["probability"] = said.probability.astype(np.float32)
    if said.count is not None:
        held["count"] = said.count.astype(np.float32)
    name = f"{hashlib.sha256(training.key.encode()).hexdigest()[:16]}.npz"
    write_arrays(training.out / name, held)
    return {"loss": record.losses[-1], "cpu_s": round(seconds, 2), "kept": name, "trained_on": len(known)}


@lru_cache(maxsize=4)
def _crops(source: str, data: Path, cache: Path) -> CropSet:
    return open_crops(Source.model_validate_json(source), data, cache)
