"""Intervals, limits, sequential decisions, curves and prevalence from imperfect scores; numpy and scipy only.

A count on a slide: `thin_film_density` (fixed number of cells) or `anytime_density` (the scan ends when it likes), both
with `ReaderErrors`, whose false positives come from `fit_gamma_rate` and, for the slide at hand, `GammaRate.given`;
`count_suspicious` makes both of a histogram of scores and its calibration.
`Answered` and `reviewed_density` where an operator has looked at some cells.
A decision while scanning: `SequentialCount` with a `SequentialRule`, and `forecast_cells` for what is left to scan.
"""

from lsm.stats.agreement import DensityAgreement, cohen_kappa, concordance, density_agreement, share_within
from lsm.stats.anytime import anytime_density
from lsm.stats.binomial import clopper_pearson, mid_p, share, wilson
from lsm.stats.calibration import ScoreCalibration
from lsm.stats.competence import Competence, assess_competence
from lsm.stats.counts import gamma_poisson_interval, poisson_interval
from lsm.stats.density import DensityEstimate, thick_film_density, thin_film_density
from lsm.stats.estimate import RED_CELLS_PER_UL, Estimate, PrevalenceEstimate, Share, cell_posterior, density_per_ul
from lsm.stats.forecast import Forecast, forecast_cells
from lsm.stats.limits import DetectionLimit, limit_of_detection
from lsm.stats.patients import (
    DetectionCurve,
    OperatingPoint,
    PatientAccuracy,
    fit_detection_curve,
    operating_point,
    patient_accuracy,
    sensitivity_by_density,
)
from lsm.stats.prevalence import estimate_prevalence, half_width, prevalence_em
from lsm.stats.rate_fit import GammaRateFit, fit_gamma_rate
from lsm.stats.rates import BetaShare, GammaRate, ReaderErrors
from lsm.stats.reviewed import Answered, OperatorAccuracy, reviewed_density
from lsm.stats.roc import AucEstimate, RocCurve, auc, auc_interval, roc_curve
from lsm.stats.sequential import Decision, FixedDesign, SequentialCount, SequentialRule
from lsm.stats.suspicious import SuspiciousCount, best_first_bin, count_suspicious, errors_above

__all__ = [
    "RED_CELLS_PER_UL",
    "Answered",
    "AucEstimate",
    "BetaShare",
    "Competence",
    "Decision",
    "DensityAgreement",
    "DensityEstimate",
    "DetectionCurve",
    "DetectionLimit",
    "Estimate",
    "FixedDesign",
    "Forecast",
    "GammaRate",
    "GammaRateFit",
    "OperatingPoint",
    "OperatorAccuracy",
    "PatientAccuracy",
    "PrevalenceEstimate",
    "ReaderErrors",
    "RocCurve",
    "ScoreCalibration",
    "SequentialCount",
    "SequentialRule",
    "Share",
    "SuspiciousCount",
    "anytime_density",
    "assess_competence",
    "auc",
    "auc_interval",
    "best_first_bin",
    "cell_posterior",
    "clopper_pearson",
    "cohen_kappa",
    "concordance",
    "count_suspicious",
    "density_agreement",
    "density_per_ul",
    "errors_above",
    "estimate_prevalence",
    "fit_detection_curve",
    "fit_gamma_rate",
    "forecast_cells",
    "gamma_poisson_interval",
    "half_width",
    "limit_of_detection",
    "mid_p",
    "operating_point",
    "patient_accuracy",
    "poisson_interval",
    "prevalence_em",
    "reviewed_density",
    "roc_curve",
    "sensitivity_by_density",
    "share",
    "share_within",
    "thick_film_density",
    "thin_film_density",
    "wilson",
]
