"""What the simulated stage and camera really did, beside what the console says of them."""

import numpy as np
import torch

from lsm.illum import bright_field
from lsm.scope import RigConfig
from lsm.types import DutyLevels, Image
from lsm_sim.rig import _options, _twin
from lsm_sim.world import Renderer

Place = tuple[float, float, float]


class Watched:
    """A Renderer that notes each place at which the stage stopped and each exposure, and what was beyond a limit.

    It judges by the rig file's numbers alone. inner: computes the images; the rig's own twin by default, of which
    only the lights of a bright field are computed before they are lit.
    """

    def __init__(self, rig: RigConfig, inner: Renderer | None = None, *, seed: int = 1) -> None:
        self.places: list[Place] = []
        self.exposures_ms: list[float] = []
        self.outside: list[str] = []
        self._limits = rig.limits
        # a stage stops this near its target, on either side
        self._slack_um = _options(rig).repeatability_um
        self._inner = inner or _twin(rig, _options(rig), None, seed)
        self._first_lit = bright_field(rig.led.board.build(), na=rig.objective.na).levels

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        self._note((*xy_um, z_um))
        self._inner.image(self._first_lit, xy_um, z_um, 1.0, torch.Generator())

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> Image:
        self._note((*xy_um, z_um))
        self.exposures_ms.append(exposure_ms)
        low_ms, high_ms = self._limits.exposure_ms
        dose = float(np.sum(levels, dtype=np.int64)) / 255 * exposure_ms
        if not low_ms <= exposure_ms <= high_ms or dose > self._limits.capture_dose_led_ms:
            self.outside.append(f"exposed {exposure_ms} ms, {dose} LED ms")
        return self._inner.image(levels, xy_um, z_um, exposure_ms, generator)

    def _note(self, place: Place) -> None:
        if not self.places or place != self.places[-1]:
            self.places.append(place)
        limits, slack_um = self._limits, self._slack_um
        for value, (low, high) in zip(place, (limits.x_um, limits.y_um, limits.free_z_um), strict=True):
            if not low - slack_um <= value <= high + slack_um:
                self.outside.append(f"stood at {place}")
