"""Slides to look at: procedural blood smears with ground truth, and smears of real cell images."""

from lsm.samples.crops import CellCrops
from lsm.samples.images import CellImageSmear
from lsm.samples.procedural import ProceduralSmear
from lsm.samples.smear import Smear, SmearConfig
from lsm.samples.table import CellTable, Kind, Stage

__all__ = [
    "CellCrops",
    "CellImageSmear",
    "CellTable",
    "Kind",
    "ProceduralSmear",
    "Smear",
    "SmearConfig",
    "Stage",
]
