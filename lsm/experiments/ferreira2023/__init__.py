"""Cells named and counted from small images: Ferreira and Silveira, Sci. Rep. 14 (2024), 10.1038/s41598-024-59625-z.

Their eight cell lines are not at hand; the same network, sharpening kernel and augmentation are tried on red cells
(infected or not, and their shapes), on nuclei and on phantoms. All arms of a task use the same crops, groups, network
and schedule; only sharpening, augmentation and the counting head differ.
"""

from lsm.experiments.ferreira2023.config import CropArm, FerreiraConfig, SmearTiles, Source, Task
from lsm.experiments.ferreira2023.run import run

__all__ = ["CropArm", "FerreiraConfig", "SmearTiles", "Source", "Task", "run"]
