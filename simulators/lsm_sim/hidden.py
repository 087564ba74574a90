"""What a simulated rig really is, where its rig file is wrong: the truth that a calibration has to find.

Nothing under lsm/ reads it; it acts on images alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from lsm.config import Config
from lsm.illum import LedBoard
from lsm.types import DutyLevels, Image
from lsm_sim.world import Renderer

NonNegative = Annotated[float, Field(ge=0)]
Pair = tuple[float, float]


class Hidden(Config):
    """The table [simulator.options.hidden] of a rig file; all zero is a rig that is as its file says.

    shift_mm, rotation_deg, distance_factor, tilt: of the LED board as a whole; tilt is the change of its height per mm
    along x and y. placement_mm: standard deviation of each LED's place on the board, on each axis.
    brightness_spread: standard deviation of the logarithm of the LEDs' brightness. seed: of both.
    dead_leds: they do not light. blocked: nothing passes from the board to the camera.
    pixel_factor: camera pixel at the sample over that of the rig file.
    stage_angle_deg: from the stage's +x to the image's columns, towards +y. focus_um: where the sample is in focus.
    mirror: the axis along which the camera's image is reversed.
    """

    shift_mm: Pair = (0.0, 0.0)
    rotation_deg: float = 0.0
    distance_factor: Annotated[float, Field(gt=0)] = 1.0
    tilt: Pair = (0.0, 0.0)
    placement_mm: NonNegative = 0.0
    brightness_spread: NonNegative = 0.0
    seed: int = 0
    dead_leds: tuple[int, ...] = ()
    blocked: bool = False
    pixel_factor: Annotated[float, Field(gt=0)] = 1.0
    stage_angle_deg: float = 0.0
    focus_um: float = 0.0
    mirror: Literal["", "columns", "rows"] = ""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Hidden":
        """A rig as people build them: millimetres, degrees and per cents off."""
        shift_x, shift_y = rng.uniform(-1.0, 1.0, 2)
        tilt_x, tilt_y = rng.uniform(-0.01, 0.01, 2)
        return cls(
            shift_mm=(float(shift_x), float(shift_y)),
            rotation_deg=float(rng.uniform(-2.0, 2.0)),
            distance_factor=float(rng.uniform(0.98, 1.02)),
            tilt=(float(tilt_x), float(tilt_y)),
            placement_mm=0.05,
            brightness_spread=0.1,
            seed=int(rng.integers(2**31)),
            pixel_factor=float(rng.uniform(0.98, 1.02)),
            stage_angle_deg=float(rng.uniform(-3.0, 3.0)),
            focus_um=float(rng.uniform(-20.0, 20.0)),
        )

    def board(self, nominal: LedBoard) -> LedBoard:
        """The board as it really is."""
        rng = np.random.default_rng(self.seed)
        x, y, z = nominal.positions_mm.T
        turn = math.radians(self.rotation_deg)
        place = rng.normal(0.0, self.placement_mm, (nominal.n_leds, 2))
        positions = np.column_stack(
            [
                math.cos(turn) * x - math.sin(turn) * y + self.shift_mm[0] + place[:, 0],
                math.sin(turn) * x + math.cos(turn) * y + self.shift_mm[1] + place[:, 1],
                self.distance_factor * z + self.tilt[0] * x + self.tilt[1] * y,
            ]
        )
        return replace(nominal, positions_mm=positions, gain=self.brightness(nominal.n_leds))

    def brightness(self, n_leds: int) -> np.ndarray:
        """Of each LED."""
        rng = np.random.default_rng([self.seed, 1])
        gain: np.ndarray = np.exp(rng.normal(0.0, self.brightness_spread, n_leds))
        return gain


class HiddenRenderer:
    """Computes images as a rig with hidden truths takes them; `middle_um`: about which its stage is turned."""

    def __init__(self, renderer: Renderer, hidden: Hidden, middle_um: Pair) -> None:
        self._renderer, self._hidden, self._middle_um = renderer, hidden, middle_um

    def prepare(self, xy_um: Pair, z_um: float, colours: tuple[int, ...]) -> None:
        self._renderer.prepare(self._sample_place(xy_um), z_um - self._hidden.focus_um, colours)

    def image(
        self, levels: DutyLevels, xy_um: Pair, z_um: float, exposure_ms: float, generator: torch.Generator
    ) -> Image:
        hidden, lit = self._hidden, levels.copy()
        lit[list(hidden.dead_leds)] = 0
        if hidden.blocked:
            lit[:] = 0
        place = self._sample_place(xy_um)
        image = self._renderer.image(lit, place, z_um - hidden.focus_um, exposure_ms, generator)
        return np.ascontiguousarray(_MIRRORS[hidden.mirror](image))

    def _sample_place(self, xy_um: Pair) -> Pair:
        """What lies in the middle of the image when the stage stands there."""
        turn = math.radians(-self._hidden.stage_angle_deg)
        x, y = xy_um[0] - self._middle_um[0], xy_um[1] - self._middle_um[1]
        turned_x, turned_y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
        return self._middle_um[0] + turned_x, self._middle_um[1] + turned_y


_MIRRORS: dict[str, Callable[[Image], Image]] = {
    "": lambda image: image,
    "columns": lambda image: image[:, ::-1],
    "rows": lambda image: image[::-1],
}
