"""Everything an episode needs but its cell: where cells come from, lights, camera, reader and rules."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from lsm.agent.adaptive.light import LightBook, Meter
from lsm.agent.adaptive.reader import Reader
from lsm.agent.adaptive.rules import AdaptiveConfig, AdaptiveRules
from lsm.agent.adaptive.source import CellSource
from lsm.errors import ConfigError
from lsm.optics import Camera


@dataclass(frozen=True, eq=False)
class AdaptiveWorld:
    """Cells, lights, camera, reader and rules that belong together.

    light: a book of patterns to choose from, or a meter that exposes whatever weights an action asks for.
    irradiance: of each lamp at full drive, relative to the strongest. flux_e_per_ms: electrons per ms and pixel in
    the empty bright field under the strongest lamp at full drive, as on the twin.
    Raises ConfigError where the numbers of lamps differ.
    """

    source: CellSource
    light: LightBook | Meter
    reader: Reader
    irradiance: Float32[np.ndarray, " lamp"]
    config: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    camera: Camera = field(default_factory=Camera)
    flux_e_per_ms: float = 100.0

    def __post_init__(self) -> None:
        lamps = self.source.stack.n_lamps
        held = self.light.duty.shape[1] if isinstance(self.light, LightBook) else len(self.light.mean_e_per_ms)
        if held != lamps or len(self.irradiance) != lamps:
            raise ConfigError(
                f"The cells have images under {lamps} lamps, the lights are of {held} and the irradiance of "
                f"{len(self.irradiance)}.",
                hint="make lights with the lamps of the stack",
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> "AdaptiveWorld":
        """Itself: nothing in it changes, its images can be gigabytes, and Gymnasium copies what makes environments."""
        return self

    @cached_property
    def rules(self) -> AdaptiveRules:
        """The rules with these lights."""
        lamps, side_px = self.source.stack.n_lamps, self.source.side_px
        if isinstance(self.light, Meter):
            return AdaptiveRules.of(
                self.config, lamps=lamps, side_px=side_px, exposure_max_ms=self.light.exposure_max_ms
            )
        return AdaptiveRules.of(
            self.config,
            lamps=lamps,
            side_px=side_px,
            exposures_ms=self.light.exposure_ms.tolist(),
            lights_led_s=self.light.lights_led_s.tolist(),
            exposure_max_ms=float(self.light.exposure_ms.max()),
        )

    @cached_property
    def per_duty_e_per_ms(self) -> Float32[Tensor, " lamp"]:
        """Electrons per ms and pixel in the empty bright field under each lamp at full drive."""
        return torch.from_numpy((self.irradiance * self.flux_e_per_ms).astype(np.float32)).to(self.source.device)

    @cached_property
    def digest(self) -> str:
        """Identity of what a policy is trained for: rules, lights, camera, flux and reader; not of the cells."""
        board = hashlib.sha256(np.ascontiguousarray(self.irradiance).tobytes()).hexdigest()
        parts = (
            board,
            self.rules.digest(),
            self.light.digest,
            self.camera.digest(),
            f"{self.flux_e_per_ms:g}",
            self.reader.digest,
        )
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]
