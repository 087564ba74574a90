"""Slides to look at: procedural blood smears with ground truth, smears of real cell images, and calibration targets."""

from lsm.samples._absorbing import Grey
from lsm.samples.crops import CellCrops
from lsm.samples.film import InfectionConfig
from lsm.samples.images import CellImageSmear
from lsm.samples.procedural import ProceduralSmear
from lsm.samples.single import single_cells
from lsm.samples.smear import Smear, SmearConfig
from lsm.samples.spoiled import Bubble, Dust, SpoiledSmear
from lsm.samples.table import CellTable, Kind, Stage
from lsm.samples.targets import TARGETS, target
from lsm.samples.variety import LOOK_ALIKES, SlideTraits, SlideVariety

__all__ = [
    "LOOK_ALIKES",
    "TARGETS",
    "Bubble",
    "CellCrops",
    "CellImageSmear",
    "CellTable",
    "Dust",
    "Grey",
    "InfectionConfig",
    "Kind",
    "ProceduralSmear",
    "SlideTraits",
    "SlideVariety",
    "Smear",
    "SmearConfig",
    "SpoiledSmear",
    "Stage",
    "single_cells",
    "target",
]
