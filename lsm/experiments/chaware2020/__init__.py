"""Light chosen capture by capture, against fixed, greedy and sequential rules, on cells of unseen patients.

After Chaware et al., "Towards an intelligent microscope: adaptively learned illumination for optimal sample
classification" (ICASSP 2020).
"""

from lsm.experiments.chaware2020.config import ChawareConfig
from lsm.experiments.chaware2020.run import run

__all__ = ["ChawareConfig", "run"]
