"""How often every interval of a diagnosis holds the truth, and how often its sequential test errs, by simulation."""

from lsm.experiments.interval_coverage.config import CoverageConfig
from lsm.experiments.interval_coverage.run import run

__all__ = ["CoverageConfig", "run"]
