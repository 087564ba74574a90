"""Cells as an objective sees them, and the models of the arms."""

import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex64, Float
from torch import Tensor

from lsm.errors import ConfigError
from lsm.experiments.kim2020.config import Arm, KimConfig, Objective
from lsm.illum import LedBoard
from lsm.optics import AliasingWarning, ImagingSystem, pattern_stack
from lsm.samples import CellCrops, Grey, single_cells
from lsm.sensing.cells.light import CellLightConfig, Lamps
from lsm.sensing.cells.pupil import PupilCellModel, band_limited
from lsm.sensing.cells.stack import CellStack
from lsm.sensing.cells.training import CellModel

_ROWS_PER_STEP = 100
_SAMPLED = 200
"""Cells by which the mean signal is told."""


class CellOptics:
    """Cells of one grey model under one objective."""

    def __init__(self, config: KimConfig, crops: CellCrops, grey: Grey, objective: Objective) -> None:
        self.config = config
        self.crops = crops
        self.grey = grey
        self.board = config.board.board()
        self.system = light_grid(config, self.board, objective)
        self.lamps = Lamps(
            self.board, np.arange(self.board.n_leds), np.full(self.board.n_leds, config.colour), objective.na
        )

    @cached_property
    def slides(self) -> Complex64[Tensor, "row y x"]:
        """Transmissions of all cells on the grid of `system`."""
        return torch.cat([self._drawn(rows) for rows in self._portions()])

    @cached_property
    def stack(self) -> CellStack:
        """The bright-field image of every cell as that of one lamp, which has the mean weight of those lit."""
        weights = torch.from_numpy(self.bright / self.bright.sum() * self.lamps.irradiance).float()[None]
        with torch.no_grad():
            images = torch.cat([self._images(rows, weights) for rows in self._portions()])
        return CellStack(
            images.to(torch.float16).numpy(),
            np.array([int(self.board.na.argmin())]),
            np.array([self.config.colour]),
            self.crops.infected,
            self.crops.patient,
            np.arange(len(self.crops)),
            self.board,
            self.system,
            f"bright field of {len(self.crops)} cell crops (grey levels: {self.grey})",
        )

    @property
    def bright(self) -> Float[np.ndarray, " lamp"]:
        """1 for lamps inside the objective's aperture."""
        inside: Float[np.ndarray, " lamp"] = (self.lamps.na <= self.lamps.na_objective).astype(np.float64)
        return inside

    def model(self, arm: Arm, generator: torch.Generator) -> CellModel:
        """An untrained model of the arm."""
        config = self.config
        shared: dict[str, Any] = {"camera": config.camera, "budget": config.budget, "network": config.network}
        shared["disturbance"] = config.training.disturbance
        if arm == "nothing":
            lamp = Lamps(self.board, self.stack.led, self.stack.colour, self.lamps.na_objective)
            fixed = CellLightConfig(kind="all LEDs", colours=(config.colour,))
            return CellModel(lamp, self.system.camera_px, fixed, generator, **shared)
        learned = config.light.model_copy(update={"kind": "learned", "colours": (config.colour,)})
        light = CellLightConfig(kind="bright field", colours=(config.colour,)) if arm == "pupil" else learned
        pupil = None if arm == "LEDs" else config.pupil
        return PupilCellModel(self.lamps, self.system, self.slides, light, generator, pupil=pupil, **shared)

    def outcome(self, model: CellModel) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """What was learned, as arrays, and what it costs.

        exposure: time at the same drive of the LEDs. light: emitted in it. signal_e: collected per pixel, in the mean.
        """
        exposure = float(model.capture.exposure[0])
        arrays: dict[str, np.ndarray] = {
            "axis_na": np.zeros(0),
            "pupil": np.zeros((0, 0), dtype=np.complex64),
            "duties": self.bright,
        }
        passed = 1.0
        if isinstance(model, PupilCellModel):
            arrays["duties"] = np.asarray(model.light()[0].tolist())
            if model.pupil is not None:
                passed = model.pupil.passed()
                arrays["pupil"] = model.pupil.factor().detach().numpy()
                n = self.system.computed_px
                arrays["axis_na"] = (np.arange(n) - n // 2) * self.system.wavelength_um / self.system.field_um
        else:
            # its one lamp stands for the mean of those lit
            exposure /= self.bright.sum()
        duties = arrays["duties"]
        outside = self.lamps.na > self.lamps.na_objective
        seen = self.seen(np.arange(0, len(self.crops), max(1, len(self.crops) // _SAMPLED)), arrays)
        figures = {
            "exposure": exposure,
            "light": exposure * float(duties.sum()),
            "signal_e": exposure * float(seen.mean()),
            "dark_field_share": float(duties[outside].sum() / duties.sum()),
            "passed": passed,
        }
        return arrays, figures

    def seen(self, rows: np.ndarray, kept: Mapping[str, np.ndarray]) -> Float[np.ndarray, "row y x"]:
        """Images of these cells under a kept light and pupil, without noise."""
        weights = torch.from_numpy(kept["duties"] * self.lamps.irradiance).float()[None]
        pupil = torch.from_numpy(kept["pupil"]) if kept["pupil"].size else None
        with torch.no_grad():
            return np.asarray(self._images(rows, weights, pupil)[:, 0].numpy())

    def _images(
        self, rows: np.ndarray, weights: Float[Tensor, "1 lamp"], pupil: Tensor | None = None
    ) -> Float[Tensor, "row 1 y x"]:
        with warnings.catch_warnings():
            # pixels of 0.6 um at NA 0.25 are somewhat too large for its image, as those of real cameras are
            warnings.simplefilter("ignore", AliasingWarning)
            images: Tensor = pattern_stack(self._drawn(rows), self.board, self.system, weights, pupil=pupil)
        return images

    def _drawn(self, rows: np.ndarray) -> Complex64[Tensor, "row y x"]:
        config, crops = self.config, self.crops
        cells = single_cells(
            CellCrops(crops.images[rows], crops.infected[rows], crops.patient[rows]),
            n_px=config.field_px,
            pixel_um=config.field_pixel_um,
            wavelength_um=self.system.wavelength_um,
            grey=self.grey,
        )
        return band_limited(torch.from_numpy(cells), self.system.sample_px)

    def _portions(self) -> list[np.ndarray]:
        return [
            np.arange(start, min(start + _ROWS_PER_STEP, len(self.crops)))
            for start in range(0, len(self.crops), _ROWS_PER_STEP)
        ]


def light_grid(config: KimConfig, board: LedBoard, objective: Objective) -> ImagingSystem:
    """The coarsest grid on which light of this board still reaches the camera exactly.

    Raises ConfigError where even the grid on which cells are drawn is too coarse.
    """
    field_um = config.field_px * config.field_pixel_um
    camera_px = round(field_um / objective.camera_pixel_um)
    wavelength_um = board.wavelengths_um[config.colour]
    reach = (float(board.na.max()) + objective.na) / wavelength_um
    needed = max(2 * reach * field_um, 4 * objective.na / wavelength_um * field_um + 1)
    fine_enough = [k * camera_px for k in range(1, config.field_px // camera_px + 1) if k * camera_px >= needed]
    even = [px for px in fine_enough if px % 2 == 0]
    if not even:
        raise ConfigError(
            f"A field of {config.field_px} px does not hold the light of NA {objective.na:g} and board "
            f"'{board.name}', which needs {needed:.0f}.",
            hint="draw the cells on a finer grid: a smaller field_pixel_um and a larger field_px",
        )
    return ImagingSystem(
        na=objective.na,
        wavelength_um=wavelength_um,
        sample_px=even[0],
        sample_pixel_um=field_um / even[0],
        camera_pixel_um=objective.camera_pixel_um,
    )
