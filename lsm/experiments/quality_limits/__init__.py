"""How many sound fields the quality limits of a scan refuse, and how many with a bubble or dust they let pass."""

from lsm.experiments.quality_limits.config import QualityLimitsConfig
from lsm.experiments.quality_limits.run import run

__all__ = ["QualityLimitsConfig", "run"]
