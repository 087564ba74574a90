"""Settings of the experiment."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from lsm.config import Config
from lsm.optics import Camera
from lsm.samples import Grey
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import CellLightConfig
from lsm.sensing.cells.network import NetworkConfig
from lsm.sensing.cells.pupil import PupilConfig
from lsm.sensing.cells.training import CellTrainingConfig
from lsm.twin import GridBoardConfig

Arm = Literal["nothing", "LEDs", "pupil", "both"]
Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(1)]

ALL_ARMS: tuple[Arm, ...] = ("nothing", "LEDs", "pupil", "both")


class Objective(Config):
    """An objective, its camera pixel at the sample, and which arms are trained with it."""

    na: Positive
    camera_pixel_um: Positive
    arms: tuple[Arm, ...] = ("nothing",)


class KimConfig(Config):
    """The whole experiment.

    cells: crops that are used, spread evenly over the file; 0 is all. greys: what their grey levels mean.
    objectives: the first is the one whose arms are compared; "nothing" of the others are the references.
    field_px, field_pixel_um: grid on which cells are drawn. colour: channel of the board.
    light, pupil: what is learned, and from which start; the same for an arm alone and for both.
    folds, seeds, first_seed: partitions of the patients; every arm is trained once for each seed and fold.
    """

    cells: Annotated[int, Ge(0)] = 0
    greys: tuple[Grey, ...] = ("fixed", "own")
    board: GridBoardConfig = GridBoardConfig()
    colour: Annotated[int, Ge(0), Le(2)] = 1
    objectives: tuple[Objective, ...] = (
        Objective(na=0.10, camera_pixel_um=1.2, arms=ALL_ARMS),
        Objective(na=0.25, camera_pixel_um=0.6),
        Objective(na=0.50, camera_pixel_um=0.3),
    )
    field_px: Count = 128
    field_pixel_um: Positive = 0.15
    light: CellLightConfig = CellLightConfig()
    pupil: PupilConfig = PupilConfig()
    camera: Camera = Camera()
    budget: PhotonBudget = PhotonBudget()
    network: NetworkConfig = NetworkConfig()
    training: CellTrainingConfig = CellTrainingConfig(epochs=12)
    folds: Annotated[int, Ge(2)] = 2
    seeds: Annotated[int, Ge(2)] = 5
    first_seed: Annotated[int, Ge(0)] = 1

    def quick(self, seeds: int | None = None) -> "KimConfig":
        """A form that takes about half a minute: fewer cells, one grey model, the first objective alone.

        It tells direction, not size: so short a training leaves bright field near chance, and learned light not.
        """
        return self.model_copy(
            update={
                "cells": 500,
                "greys": self.greys[:1],
                "objectives": self.objectives[:1],
                "training": self.training.model_copy(update={"rows_per_step": 32}),
                "folds": 2,
                "seeds": seeds or 2,
            }
        )
