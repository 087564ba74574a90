"""What a policy for single cells is trained on: one table that determines every byte of it."""

from typing import Annotated, Final, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from pydantic import Field, model_validator

from lsm.agent.adaptive.policies.ppo import CellPpoConfig
from lsm.agent.adaptive.rules import AdaptiveConfig
from lsm.config import Config
from lsm.errors import ConfigError
from lsm.optics import Camera, ImagingSystem
from lsm.samples import SmearConfig
from lsm.sensing.cells.exposure import PhotonBudget
from lsm.sensing.cells.light import Kind
from lsm.twin import GridBoardConfig

KIND: Final = "cells"
"""What `kind` says in a configuration of this sort; those of the slide search have none."""

Share = Annotated[float, Gt(0), Lt(1)]
Micrometres = Annotated[float, Field(gt=0)]


class CellRigConfig(Config):
    """Board, optics and camera; the numbers of the rig `simulated`, with a frame as large as one cell.

    sample_px, sample_pixel_um, margin_px: see ImagingSystem; the frame is what the margin leaves.
    """

    board: GridBoardConfig = GridBoardConfig()
    colour: Annotated[int, Field(ge=0, le=2)] = 1
    na: Micrometres = 0.10
    camera_pixel_um: Micrometres = 1.2
    sample_pixel_um: Micrometres = 0.3
    sample_px: Annotated[int, Ge(8)] = 80
    margin_px: Annotated[int, Ge(0)] = 4
    camera: Camera = Camera()

    @property
    def system(self) -> ImagingSystem:
        """The optics. Raises ConfigError where the numbers do not fit together."""
        return ImagingSystem(
            na=self.na,
            wavelength_um=self.board.board().wavelengths_um[self.colour],
            sample_pixel_um=self.sample_pixel_um,
            camera_pixel_um=self.camera_pixel_um,
            sample_px=self.sample_px,
            margin_px=self.margin_px,
        )


class CellsConfig(Config):
    """Which cells are looked at.

    source: "procedural" computes smears, each of which counts as a patient; "nih" takes the NIH crops, each alone.
    smears, cells_per_smear, smear: of the first. off_centre_um: how far a cell may lie from the middle of its images.
    crops: of the second, at most so many, evenly over the file.
    """

    source: Literal["procedural", "nih"] = "procedural"
    smears: Annotated[int, Ge(3)] = 48
    cells_per_smear: Annotated[int, Ge(2)] = 60
    smear: SmearConfig = SmearConfig()
    off_centre_um: Annotated[float, Ge(0)] = 0.6
    crops: Annotated[int, Ge(10)] = 3000


class CellTrainingConfig(Config):
    """Everything that determines a policy for single cells.

    reader, held_out: shares of the patients that the reader is fitted on and that the figures come from; the policy
    learns on the rest, and nobody is in two of them. lights: by name, see `named_lights`. repeats: how often each
    held-out cell is met. checkpoint_every: updates between checkpoints.
    """

    kind: Literal["cells"]
    name: str = "cells"
    seed: Annotated[int, Ge(0)] = 0
    reader: Share = 0.4
    held_out: Share = 0.3
    repeats: Annotated[int, Ge(1)] = 2
    lights: tuple[Kind, ...] = ("centre", "bright field", "dark field", "outer dark field", "off-axis", "PC +/-")
    checkpoint_every: Annotated[int, Ge(1)] = 20
    rig: CellRigConfig = CellRigConfig()
    cells: CellsConfig = CellsConfig()
    photons: PhotonBudget = PhotonBudget()
    episode: AdaptiveConfig = AdaptiveConfig()
    ppo: CellPpoConfig = CellPpoConfig()

    @model_validator(mode="after")
    def _leaves_cells(self) -> "CellTrainingConfig":
        if self.reader + self.held_out >= 1:
            raise ConfigError(
                f"The shares {self.reader:g} of the reader and {self.held_out:g} held out leave nobody to learn on.",
                hint="let them sum to less than 1",
            )
        if not self.lights or "learned" in self.lights:
            raise ConfigError(f"The lights {self.lights} are no fixed lights.", hint="such as 'dark field'")
        return self

    def split(self, patient: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Names of the patients of reader, policy and figures. Raises ConfigError where one of them gets nobody."""
        names = np.random.default_rng([self.seed, 1]).permutation(np.unique(patient))
        first, last = round(self.reader * len(names)), round((1 - self.held_out) * len(names))
        parts = names[:first], names[first:last], names[last:]
        if any(len(part) == 0 for part in parts):
            raise ConfigError(
                f"{len(names)} patients cannot be shared out to reader, policy and figures.", hint="give more patients"
            )
        return parts
