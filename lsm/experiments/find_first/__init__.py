"""Fields until the first infected cell: scans, a Bayesian planner and a learned search, by how infection clusters."""

from lsm.experiments.find_first.config import FindFirstConfig
from lsm.experiments.find_first.run import run

__all__ = ["FindFirstConfig", "run"]
