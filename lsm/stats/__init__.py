"""Intervals, curves and prevalence from imperfect scores; numpy and scipy only."""

from lsm.stats.binomial import clopper_pearson, wilson
from lsm.stats.calibration import ScoreCalibration
from lsm.stats.estimate import RED_CELLS_PER_UL, PrevalenceEstimate, cell_posterior, density_per_ul
from lsm.stats.prevalence import estimate_prevalence, half_width, prevalence_em
from lsm.stats.roc import AucEstimate, RocCurve, auc, auc_interval, roc_curve

__all__ = [
    "RED_CELLS_PER_UL",
    "AucEstimate",
    "PrevalenceEstimate",
    "RocCurve",
    "ScoreCalibration",
    "auc",
    "auc_interval",
    "cell_posterior",
    "clopper_pearson",
    "density_per_ul",
    "estimate_prevalence",
    "half_width",
    "prevalence_em",
    "roc_curve",
    "wilson",
]
