"""Policies for single cells from one configuration: cells, reader, training and figures."""

from lsm.agent.adaptive.training.cells import labelled_cells, smear_of
from lsm.agent.adaptive.training.config import KIND, CellRigConfig, CellsConfig, CellTrainingConfig
from lsm.agent.adaptive.training.folder import PolicyFolder
from lsm.agent.adaptive.training.run import CellTrials, curve_of, judge, row_of, save_trained, train_cells

__all__ = [
    "KIND",
    "CellRigConfig",
    "CellTrainingConfig",
    "CellTrials",
    "CellsConfig",
    "PolicyFolder",
    "curve_of",
    "judge",
    "labelled_cells",
    "row_of",
    "save_trained",
    "smear_of",
    "train_cells",
]
