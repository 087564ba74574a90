"""Small computed microscopes for calibrations, and one whose camera is mounted another way."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lsm.devices import Frame, Microscope, Observe
from lsm.optics import ImagingSystem
from lsm.optics.stage import AxisErrors, StageErrors
from lsm.samples import ProceduralSmear, SmearConfig
from lsm.twin import GridBoardConfig, Twin, TwinConfig

NA = 0.10
PIXEL_UM = 1.2
SIDE_UM = 400.0
CONFIG = TwinConfig(
    system=ImagingSystem(sample_px=512, margin_px=16), led_board=GridBoardConfig(rows=7, columns=7), cached_positions=1
)
BAD_STAGE = StageErrors(
    xy=AxisErrors(repeatability_um=0.3, backlash_um=6.0), z=AxisErrors(repeatability_um=0.3, backlash_um=4.0)
)


def smear_twin(seed: int = 0, *, stage: StageErrors | None = None, cells: bool = True) -> Twin:
    """A microscope over a smear of this seed, or over bare glass."""
    smear = SmearConfig(width_um=SIDE_UM, height_um=SIDE_UM)
    if not cells:
        none = {"monolayer_per_mm2": 1e-3, "platelets_per_red": 0.0, "precipitate_per_mm2": 0.0, "white_per_red": 0.0}
        smear = smear.model_copy(update=none)
    return Twin(ProceduralSmear(smear, seed), CONFIG.model_copy(update={"stage": stage}), seed)


class Remounted:
    """A microscope whose image is changed before anyone sees it."""

    def __init__(self, microscope: Microscope, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.board = microscope.board
        self._microscope, self._change = microscope, change

    def observe(self, request: Observe) -> Frame:
        frame = self._microscope.observe(request)
        return replace(frame, image=np.ascontiguousarray(self._change(frame.image)))

    def close(self) -> None: ...
