"""A wired simulated rig, and images that tell by which LEDs they were lit."""

import numpy as np
import torch

from lsm.devices import Frame
from lsm.scope import RigConfig, find_rig
from lsm.types import DutyLevels

WIRES = {"input": 1, "output": 0, "camera_properties": [["Camera", "TriggerMode", "External"]]}
WIRED = RigConfig.from_file(find_rig("simulated"), trigger=WIRES, timeouts_s={"stage": 10.0, "camera": 2.0})


class Painted:
    """A Renderer whose images tell which LEDs lit them: a pixel of the first row for each; the rest is noise."""

    def prepare(self, xy_um: tuple[float, float], z_um: float, colours: tuple[int, ...]) -> None:
        pass

    def image(
        self,
        levels: DutyLevels,
        xy_um: tuple[float, float],
        z_um: float,
        exposure_ms: float,
        generator: torch.Generator,
    ) -> np.ndarray:
        image = (100 * torch.rand(192, 192, generator=generator)).numpy().astype(np.uint16)
        # far brighter than the dark, whatever is lit
        image[1:] += np.uint16(50 * levels.any())
        image[0, :169] = 200 * levels.max(axis=1).astype(np.uint16)
        return image


def lit_in(frame: Frame) -> list[int]:
    return [int(led) for led in np.flatnonzero(frame.image[0, :169] > 100)]


def asked(frame: Frame) -> list[int]:
    return [int(led) for led in np.flatnonzero(frame.request.pattern.levels.any(axis=1))]
