"""Scans of small regions by the twin, with the shipped model; and slides on which something is wrong."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from lsm.agent.pipeline import design_of
from lsm.devices import Frame, Microscope, Observe
from lsm.diagnose import VerdictRules
from lsm.diagnose.scan import QualityConfig, RegionConfig, ScanConfig, ScanKit
from lsm.diagnose.scan.kit import scan_kit
from lsm.illum import LedBoard
from lsm.samples import ProceduralSmear, Smear, SmearConfig
from lsm.scope import RigConfig, find_rig
from lsm.sensing import Bundle
from lsm.twin import Twin, TwinConfig

RULES = VerdictRules()


@lru_cache
def model() -> Bundle:
    return Bundle.shipped("procedural")


@lru_cache
def rig() -> RigConfig:
    return RigConfig.from_file(find_rig("simulated"))


def smear_config(**changes: Any) -> SmearConfig:
    """Like the slides of the model's design."""
    return design_of(model()).smear.model_copy(update=changes)


def kit_of(columns: int = 3, rows: int = 2, *, overlap: float = 0.1, **changes: Any) -> ScanKit:
    """A scan of that many fields in the middle of the slide; it goes on to the end unless told otherwise."""
    region = RegionConfig(columns=columns, rows=rows, overlap=overlap)
    config = ScanConfig(**{"region": region, "decide": False, "quality": QualityConfig()} | changes)
    return scan_kit(model(), rig(), config, RULES)


def twin(sample: Smear | None = None, *, seed: int = 3, **config: Any) -> Twin:
    """A microscope over a slide that is like those of the model's design, unless another is given."""
    return Twin(sample or ProceduralSmear(smear_config(), seed), TwinConfig(cached_positions=1, **config), seed)


class Disturbed:
    """A microscope whose slide is not where the stage has it: `off_um` is asked for every exposure, by its number."""

    def __init__(self, microscope: Microscope, off_um: Callable[[int, Observe], tuple[float, float, float]]) -> None:
        self._microscope, self._off_um, self._exposures = microscope, off_um, 0

    @property
    def board(self) -> LedBoard:
        return self._microscope.board

    def observe(self, request: Observe) -> Frame:
        x_um, y_um, z_um = self._off_um(self._exposures, request)
        self._exposures += 1
        asked_xy, asked_z = request.xy_um, request.z_um
        moved = replace(
            request,
            xy_um=None if asked_xy is None else (asked_xy[0] + x_um, asked_xy[1] + y_um),
            z_um=z_um if asked_z is None else asked_z + z_um,
        )
        frame = self._microscope.observe(moved)
        told_z = 0.0 if asked_z is None else asked_z
        return replace(frame, request=request, xy_um=asked_xy or frame.xy_um, z_um=told_z)

    def close(self) -> None:
        self._microscope.close()
