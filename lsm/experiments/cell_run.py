"""One training of light and classifier on single cells, as a job: plain values in, a row of plain values out."""

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Float
from torch import Tensor

from lsm.commit import source_commit
from lsm.config import Config
from lsm.errors import ConfigError, FileMissing
from lsm.experiments.arrays import write_arrays
from lsm.illum import Drive
from lsm.optics import Camera
from lsm.samples import CellCrops
from lsm.sensing.cells.build import CellStackConfig, build_cell_stack
from lsm.sensing.cells.cellfile import read_cells
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.folds import check_disjoint, patient_folds
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.network import NetworkConfig
from lsm.sensing.cells.shown import compiled_weights
from lsm.sensing.cells.stack import CellStack
from lsm.sensing.cells.training import CellModel, CellTrainingConfig, cell_odds, train_cells
from lsm.stats import auc

ON_THE_BOARD = "odds_on_the_board"
"""The array of odds under the light that the firmware shows, beside those under the light as it was learned."""


class CellDesign(Config):
    """All that determines one training but its seed.

    cells: how many crops are used, spread evenly over the file; 0 is all. stack: images of single cells; of a stack
    that was converted only its `na` is read, where the stack does not know its own.
    light, budget, camera, network, training: see there.
    folds: the patients are shared out to so many; each training tests on one of them.
    """

    cells: Annotated[int, Ge(0)] = 0
    stack: CellStackConfig = CellStackConfig()
    light: CellLightConfig = CellLightConfig()
    budget: PhotonBudget = PhotonBudget()
    camera: Camera = Camera()
    network: NetworkConfig = NetworkConfig()
    training: CellTrainingConfig = CellTrainingConfig()
    folds: Annotated[int, Gt(1), Le(100)] = 4


class CellJob(Config):
    """One training.

    seed: of the partition of patients and of everything random in the training. crops: cells, or a converted stack;
    the NIH crops if None. cache, out: folders of stacks and of odds.
    """

    design: CellDesign = CellDesign()
    seed: Annotated[int, Ge(0)]
    fold: Annotated[int, Ge(0)] = 0
    crops: Path | None = None
    cache: Path
    out: Path


def run_cell(arguments: dict[str, Any]) -> dict[str, Any]:
    """Accuracy, AUC, light and time of one training; the odds of every tested cell go into the file it names.

    arguments: the table of a CellJob. Raises as its parts do.
    """
    job = CellJob.from_table(arguments, source="the job")
    torch.set_num_threads(1)
    started = time.monotonic()
    stack = open_cells(job.crops or nih_crops(), job.cache, job.design.stack, job.design.cells)
    fold = patient_folds(stack.patient, job.design.folds, job.seed)
    test = fold == job.fold
    check_disjoint(stack.patient, ~test, test)
    generator = torch.Generator().manual_seed(1_000_003 * job.seed + job.fold)
    model = cell_model(job.design, stack, generator)
    losses = train_cells(model, stack, np.flatnonzero(~test), job.design.training, generator)
    odds = cell_odds(model, stack, np.flatnonzero(test), generator)
    weights = model.light().detach()
    infected = stack.infected[test]
    row = {
        "accuracy": float(((odds > 0) == infected).mean()),
        "auc": auc(odds.astype(np.float64), infected),
        "loss": losses[-1],
        "dark_field_share": _outside(weights, model.lamps),
        "exposure": [round(float(value), 3) for value in model.capture.exposure],
    }
    arrays = {"odds": odds, "rows": np.flatnonzero(test).astype(np.int32)}
    arrays |= {"weights": weights.numpy(), "exposure": model.capture.exposure.numpy()}
    if job.design.light.kind == "learned" and job.design.light.bits:
        arrays[ON_THE_BOARD] = _compiled_odds(model, stack, ~test, test, generator)
        row["accuracy_compiled"] = float(((arrays[ON_THE_BOARD] > 0) == infected).mean())
    name = _odds_name(job)
    write_arrays(job.out / name, {each: _narrow(values) for each, values in arrays.items()})
    return row | {"odds": name, "commit": source_commit(), "seconds": round(time.monotonic() - started, 2)}


def _compiled_odds(
    model: CellModel,
    stack: CellStack,
    train: Bool[np.ndarray, " row"],
    test: Bool[np.ndarray, " row"],
    generator: torch.Generator,
) -> Float[np.ndarray, " some"]:
    """The same under what the project's own firmware shows of the light, within its current limit."""
    shown = compiled_weights(model.light(), model.lamps, Drive.of_firmware(model.lamps.board))
    model.freeze(stack, np.flatnonzero(train), shown)
    return cell_odds(model, stack, np.flatnonzero(test), generator, weights=shown)


def nih_crops() -> Path:
    """The NIH cell crops in the data folder. Raises FileMissing."""
    folder = Path(os.environ.get("LSM_DATA", "")) / "nih_malaria_cells_50px"
    if not os.environ.get("LSM_DATA") or not folder.exists():
        raise FileMissing(
            "The NIH cell crops are not there.", hint="set LSM_DATA to the folder that holds nih_malaria_cells_50px"
        )
    return folder


def cell_model(design: CellDesign, stack: CellStack, generator: torch.Generator) -> CellModel:
    """An untrained model of this design for the stack's lamps. Raises ConfigError where it has no geometry."""
    return CellModel(
        lamps_of(stack, design.stack.na),
        stack.shape[-1],
        design.light,
        generator,
        camera=design.camera,
        budget=design.budget,
        network=design.network,
        disturbance=design.training.disturbance,
    )


def lamps_of(stack: CellStack, na: float) -> Lamps:
    """The stack's lamps; na: of the objective, where the stack does not know it. Raises ConfigError without a board."""
    if stack.board is None:
        raise ConfigError(
            f"It is not known where the LEDs of {stack.source} were.", hint="convert it with a board: lsm data convert"
        )
    return Lamps(stack.board, stack.led, stack.colour, stack.system.na if stack.system else na)


@lru_cache(maxsize=2)
def open_cells(crops: Path, cache: Path, config: CellStackConfig, cells: int) -> CellStack:
    """The stack of the crops in that file or folder, computed where it is not yet in `cache`, or one on disk."""
    if crops.is_file() and h5py.is_hdf5(crops):
        converted = read_cells(crops)
        return converted.where(_first(len(converted), cells))
    found = CellCrops.from_path(crops)
    return build_cell_stack(found.where(_first(len(found), cells)), config, cache)


def _first(available: int, cells: int) -> Bool[np.ndarray, " crop"]:
    """Evenly spread over the file, which may hold one class after the other."""
    chosen = np.zeros(available, dtype=bool)
    wanted = min(cells or available, available)
    chosen[np.linspace(0, available - 1, wanted).round().astype(int)] = True
    return chosen


def _odds_name(job: CellJob) -> str:
    """The same wherever the job's files lie."""
    nowhere = Path()
    return f"{job.model_copy(update={'crops': nowhere, 'cache': nowhere, 'out': nowhere}).digest()}.npz"


def _outside(weights: Float[Tensor, "channel lamp"], lamps: Lamps) -> float:
    """Share of the emitted light that shines outside the objective's aperture."""
    outside = torch.from_numpy(lamps.na > lamps.na_objective)
    return round(float(weights.abs()[:, outside].sum() / weights.abs().sum()), 4)


def _narrow(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype == np.float64 else values
